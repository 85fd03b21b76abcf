/** Node's side of the ports: files, clock, terminal, workers, chance. Deno and Bun serve as Node here. */
import { randomFillSync } from 'node:crypto'
import { close, constants, fchmod, fstat, fstatSync, fsync, open, read, readFile as readDescriptor, stat, write } from 'node:fs'
import { appendFile, mkdir, readFile, realpath, rename, rm } from 'node:fs/promises'
import { availableParallelism, cpus, homedir, totalmem } from 'node:os'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import type { MessagePort } from 'node:worker_threads'
import { MessageChannel, Worker } from 'node:worker_threads'
import * as Comlink from 'comlink'
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs'
import type { Engine } from '../../runtime/host/engine.ts'
import type { Access, ByteSource, FileKind, Files } from '../../runtime/host/files.ts'
import type { Link } from '../../runtime/host/network.ts'
import type { Interrupts, Terminal } from '../../runtime/host/terminal.ts'
import type { ThreadJob } from '../../runtime/kernel/load.ts'
import type { ProgramHost } from '../../runtime/program/host.ts'
import type { Service } from '../../runtime/program/service.ts'
import { ADMIT_NOTHING, createInbox } from '../../runtime/split/link.ts'
import { clock } from './clock.ts'
import { nameEngine } from './engine.ts'
import { holdName } from './hold.ts'

const processors = cpus()
const engine: Engine = {
  ...nameEngine(process.versions), platform: `${process.platform} ${process.arch}`, processor: processors[0]?.model.trim() || 'processor unknown',
  processors: processors.length, memoryBytes: totalmem(),
}

/** What the build put beside the bundle; from sources, what lies in the checkout. */
export function findAsset(name: string): string {
  const here = dirname(fileURLToPath(import.meta.url))
  return here.endsWith('dist') ? join(here, name) : join(here, '../../dist', name)
}

/** A relative path names no directory (XDG Base Directory Specification), and a host without a home has none. */
function findOwn(variable: string, usual: string): string | undefined {
  const named = process.env[variable] ?? ''
  try {
    const directory = isAbsolute(named) ? named : join(homedir(), usual)
    return isAbsolute(directory) ? `${directory}/kerf` : undefined
  } catch {
    return undefined
  }
}

const calls = {
  open: promisify(open), close: promisify(close), fstat: promisify(fstat), stat: promisify(stat), fsync: promisify(fsync),
  read: promisify(read), write: promisify(write), fchmod: promisify(fchmod), readFile: promisify(readDescriptor),
}

function refuseDirectory(): never {
  throw Object.assign(new Error('a directory'), { code: 'EISDIR' })
}

async function openSource(path: string): Promise<ByteSource> {
  const descriptor = await calls.open(path, 'r')
  const status = await calls.fstat(descriptor)
  const end = () => calls.close(descriptor)
  if (status.isDirectory()) await end().then(refuseDirectory)
  return {
    name: path, bytes: status.size, close: end,
    async read(from, to) {
      const buffer = new Uint8Array(to - from)
      for (let at = 0; at < buffer.length;) {
        const { bytesRead } = await calls.read(descriptor, buffer, at, buffer.length - at, from + at)
        if (bytesRead === 0) return buffer.subarray(0, at)
        at += bytesRead
      }
      return buffer
    },
  }
}

const DESCRIPTOR = /^\/(?:dev\/(?:fd\/(\d+)|stdin)|proc\/self\/fd\/(\d+))$/

/** A descriptor that is a socket has a path that can't be opened: it is read as it is. */
async function readAll(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path)
  } catch (error) {
    const open = DESCRIPTOR.exec(path)
    if ((error as NodeJS.ErrnoException).code !== 'ENXIO' || !open) throw error
    return calls.readFile(Number(open[1] ?? open[2] ?? 0))
  }
}

/** One call of write takes less than 2 GiB. */
const WRITE_BYTES_MAX = 1 << 30

/** The most that a user's mask may leave. */
const MODES: Readonly<Record<Access, { file: number; directory: number }>> = {
  owner: { file: 0o600, directory: 0o700 }, habit: { file: 0o666, directory: 0o777 },
}
const OTHERS = 0o077

async function withDescriptor(
  path: string, flags: string | number, work: (descriptor: number) => Promise<void>, mode?: number,
): Promise<void> {
  const descriptor = await calls.open(path, flags, mode)
  try {
    await work(descriptor)
  } finally {
    await calls.close(descriptor)
  }
}

async function writeAll(descriptor: number, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    at += (await calls.write(descriptor, bytes, at, Math.min(bytes.length - at, WRITE_BYTES_MAX))).bytesWritten
  }
}

/** A file that is there already keeps its mode when it is opened; some file systems have none to change. */
async function takeFromOthers(descriptor: number): Promise<void> {
  const { mode } = await calls.fstat(descriptor)
  if (mode & OTHERS) await calls.fchmod(descriptor, MODES.owner.file).catch(() => {})
}

function kindOf(path: string): Promise<FileKind> {
  return calls.stat(path).then((status) => (status.isDirectory() ? 'directory' : 'file'), () => 'none')
}

function createFiles(): Files {
  return {
    kind: kindOf,
    open: openSource,
    read: async (path) => new Uint8Array(await readAll(path)),
    write: (path, bytes, access) => withDescriptor(path, 'w', async (descriptor) => {
      if (access === 'owner') await takeFromOthers(descriptor)
      await writeAll(descriptor, bytes)
    }, MODES[access].file),
    append: (path, bytes) => appendFile(path, bytes, { mode: MODES.owner.file }),
    sync: (path) => withDescriptor(path, constants.O_RDWR, (descriptor) => calls.fsync(descriptor)),
    rename,
    makeDirectory: (path, access) => mkdir(path, MODES[access].directory),
    syncDirectory: (path) => withDescriptor(path, 'r', (descriptor) => calls.fsync(descriptor)),
    remove: (path) => rm(path, { force: true }),
    isSame: async (a, b) => (await realpath(a)) === (await realpath(b)),
    asset: findAsset,
    cache: findOwn('XDG_CACHE_HOME', '.cache'),
    config: findOwn('XDG_CONFIG_HOME', '.config'),
    absolute: (path) => resolve(path),
    hold: holdName,
  }
}

const COLUMNS_DEFAULT = 80

const terminal: Terminal = {
  print: (text) => { process.stdout.write(text) },
  screen: {
    write: (text) => { process.stderr.write(text) },
    columns: () => process.stderr.columns || COLUMNS_DEFAULT,
    redraws: Boolean(process.stderr.isTTY) && process.env.TERM !== 'dumb',
  },
  input() {
    // A stream of a directory would end at once, as an empty one does.
    if (fstatSync(0).isDirectory()) throw Object.assign(new Error('a directory'), { code: 'EISDIR' })
    return process.stdin
  },
  isTyped: Boolean(process.stdin.isTTY),
}

const EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const

/**
 * Ctrl-C and SIGTERM: one line, then an end at once with 128 + the signal's number. Files are replaced whole, so nothing
 * needs tidying. A signal that comes while the kernel computes waits for the end of that step.
 */
export function watchInterrupts(): Interrupts {
  let describe = (): string => 'interrupted'
  for (const [signal, exitCode] of Object.entries(EXIT_CODES)) {
    process.once(signal, () => {
      process.stderr.write(`kerf: ${describe()}\n`)
      process.exit(exitCode)
    })
  }
  return { describe: (text) => { describe = text } }
}

type Sent = { frame: Uint8Array; heardMs: number }

/** Frames over a message port; their buffers are handed over, not copied. Between threads, to be sent is to be heard. */
export function linkPort(port: MessagePort): Link {
  const inbox = createInbox(() => port.close())
  const waitingMs: number[] = []
  let lastMs = 0
  port.on('message', ({ frame, heardMs }: Sent) => {
    waitingMs.push(heardMs)
    inbox.push(frame)
  })
  port.on('close', () => inbox.finish())
  return {
    send(frame) {
      const own = frame.byteLength === frame.buffer.byteLength ? frame : frame.slice()
      const sent: Sent = { frame: own, heardMs: clock.now() }
      port.postMessage(sent, [own.buffer as ArrayBuffer])
    },
    async receive() {
      const frame = await inbox.receive()
      if (frame) lastMs = waitingMs.shift()!
      return frame
    },
    heardMs: () => lastMs,
    admit: ADMIT_NOTHING,
    close: () => port.close(),
    why: () => null,
  }
}

/** The service is kept whole as long as the thread is wanted: when it is collected, comlink lets the thread end. */
const workers: ProgramHost['workers'] = {
  available: availableParallelism(),
  open(lost) {
    const { port1, port2 } = new MessageChannel()
    const worker = new Worker(findAsset('worker.js'), { workerData: port2, transferList: [port2] })
    let closed = false
    worker.on('error', lost)
    // A thread may end without an error, and what it was asked is then never answered.
    worker.on('exit', (exitCode) => { if (!closed) lost(new Error(`expected a thread that lasts as long as the run, got exit code ${exitCode}`)) })
    return {
      // Every function of a service is asynchronous, as comlink's proxies are.
      service: Comlink.wrap<Service>(nodeEndpoint(worker)) as unknown as Service,
      link: linkPort(port1),
      close() {
        closed = true
        port1.close()
        void worker.terminate()
      },
    }
  },
  /** A running team does not keep the process alive for its threads. */
  startThread: (job: ThreadJob) => new Promise((resolve, reject) => {
    const worker = new Worker(findAsset('thread.js'), { workerData: job })
    worker.once('message', () => {
      worker.unref()
      resolve()
    })
    worker.once('error', reject)
    worker.once('exit', (exitCode) => reject(new Error(`expected a thread that lasts as long as the run, got exit code ${exitCode}`)))
  }),
  transfer: (value, buffers) => Comlink.transfer(value, buffers as ArrayBuffer[]),
}

/** V8 from this version on pairs 128-bit operations into 256-bit ones when it is told to. */
const REVECTORIZING_V8 = 14

/** Process-wide; must come before the kernel is compiled. */
function revectorize(): void {
  if (Number.parseInt(process.versions.v8, 10) >= REVECTORIZING_V8) setFlagsFromString('--experimental-wasm-revectorize')
}

/** A thread has neither: its program speaks for it. */
const NONE: Pick<ProgramHost, 'interrupts' | 'network'> = {
  interrupts: { describe: () => {} },
  network: {
    listen: () => Promise.reject(new Error('no network in a worker')),
    dial: async () => ({ miss: 'unreachable', said: 'no network in a worker' }),
  },
}

/** This process, or a thread of it, as a host. */
export function createHost({ interrupts, network } = NONE): ProgramHost {
  revectorize()
  return {
    clock, files: createFiles(), terminal, interrupts, workers, network, engine,
    entropy: { fill: (bytes) => { randomFillSync(bytes) } },
  }
}
