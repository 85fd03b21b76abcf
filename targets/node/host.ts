/** Node's side of the runtime: files, clock, timers, message ports, WebSockets, handed over as functions. */
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, readSync, renameSync, rmSync, statSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { performance } from 'node:perf_hooks'
import type { MessagePort } from 'node:worker_threads'
import type { WebSocket } from 'ws'
import { KerfError, refuse } from '../../runtime/error.ts'
import type { ByteSource } from '../../runtime/model/weights.ts'
import type { Clock } from '../../runtime/host/clock.ts'
import type { Link } from '../../runtime/split/link.ts'
import { createInbox } from '../../runtime/split/link.ts'

/** One clock for all threads and processes of a machine. */
export const clock: Clock = {
  now: () => performance.timeOrigin + performance.now(),
  turn: () => new Promise((resolve) => { setImmediate(resolve) }),
  after(ms, done) {
    const timer = setTimeout(done, Math.min(ms, 2 ** 31 - 1))
    return () => clearTimeout(timer)
  },
}

export type Engine = { name: 'node' | 'deno' | 'bun'; version: string }

/** What runs this program: Deno and Bun give Node's version beside their own. */
export function nameEngine(versions: Readonly<Record<string, string | undefined>>): Engine {
  if (versions.deno) return { name: 'deno', version: versions.deno }
  if (versions.bun) return { name: 'bun', version: versions.bun }
  return { name: 'node', version: versions.node ?? 'unknown' }
}

export const ENGINE = nameEngine(process.versions)

/** What the build put beside the bundle; from sources, what lies in the checkout. */
export function findAsset(name: string): string {
  const here = dirname(fileURLToPath(import.meta.url))
  return here.endsWith('dist') ? join(here, name) : join(here, '../../dist', name)
}

function missing(error: unknown, path: string): never {
  if (error instanceof KerfError) throw error
  const code = (error as NodeJS.ErrnoException).code
  if (code === 'ENOENT' || code === 'ENOTDIR') refuse('file-missing', path, 'a file', 'none')
  if (code === 'EISDIR') refuse('file-kind', path, 'a file', 'a directory')
  if (code === 'EACCES') refuse('file-access', path, 'a file that may be read', 'no permission')
  if (code !== undefined) refuse('file-read', path, 'a file that can be read', code)
  throw error
}

export function readBytes(path: string): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(readFileSync(path))
  } catch (error) {
    return missing(error, path)
  }
}

/** A UTF-8 file; refuses bytes that are none. */
export function readText(path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(readBytes(path))
  } catch (error) {
    if (error instanceof KerfError) throw error
    return refuse('file-utf8', path, 'UTF-8 text', 'other bytes')
  }
}

/** A file read part by part. */
export function openSource(path: string): ByteSource {
  try {
    const stat = statSync(path)
    if (stat.isDirectory()) refuse('file-kind', path, 'a file', 'a directory')
    const bytes = stat.size
    const descriptor = openSync(path, 'r')
    return {
      name: path, bytes,
      async read(begin, end) {
        const buffer = new Uint8Array(end - begin)
        for (let at = 0; at < buffer.length;) {
          const got = readSync(descriptor, buffer, at, buffer.length - at, begin + at)
          if (got === 0) refuse('file-short', path, `${bytes} bytes`, begin + at)
          at += got
        }
        return buffer
      },
    }
  } catch (error) {
    return missing(error, path)
  }
}

/** Refuses to write: `path` as the file that failed. */
export function unwritten(error: unknown, path: string): never {
  const code = (error as NodeJS.ErrnoException).code ?? String(error)
  return refuse('file-write', path, 'room and permission to write; the file before it is untouched', code)
}

/** One call of write takes less than 2 GiB. */
const WRITE_BYTES_MAX = 1 << 30

function writeSynced(path: string, data: Uint8Array | string): void {
  const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data
  mkdirSync(dirname(path), { recursive: true })
  const file = openSync(path, 'w')
  try {
    for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at, Math.min(bytes.length - at, WRITE_BYTES_MAX))
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

function renameSynced(from: string, to: string): void {
  renameSync(from, to)
  const directory = openSync(dirname(to), 'r')
  try {
    fsyncSync(directory)
  } finally {
    closeSync(directory)
  }
}

const aside = (path: string) => `${path}.new`

function removeAside(path: string): void {
  try {
    rmSync(aside(path), { force: true })
  } catch {
    // What could not be written cannot always be removed either, such as a path below a file.
  }
}

/**
 * Replaces files, each whole or not at all. All are written aside and synced before the first takes its place, so that a
 * full disk leaves every earlier one as it was.
 */
export function saveTogether(files: Readonly<Record<string, Uint8Array | string>>): void {
  const paths = Object.keys(files)
  const attempt = (work: (path: string) => void) => {
    for (const path of paths) {
      try {
        work(path)
      } catch (error) {
        paths.forEach(removeAside)
        unwritten(error, path)
      }
    }
  }
  attempt((path) => writeSynced(aside(path), files[path]))
  attempt((path) => renameSynced(aside(path), path))
}

/** Replaces a file whole or not at all: temporary file, fsync, rename, fsync of the directory. */
export function saveAtomic(path: string, data: Uint8Array | string): void {
  saveTogether({ [path]: data })
}

/** Frames over a message port; their buffers are handed over, not copied. */
export function linkPort(port: MessagePort): Link {
  const inbox = createInbox(() => port.close())
  port.on('message', (bytes: Uint8Array) => inbox.push(bytes))
  port.on('close', () => inbox.finish())
  return {
    send(frame) {
      const own = frame.byteLength === frame.buffer.byteLength ? frame : frame.slice()
      port.postMessage(own, [own.buffer as ArrayBuffer])
    },
    receive: () => inbox.receive(),
    close: () => port.close(),
  }
}

const PING_MS = 5000
const OPEN = 1

/** Frames as binary messages of a WebSocket; text is refused. A peer that answers no ping for two periods is gone. */
export function linkSocket(socket: WebSocket): Link {
  const inbox = createInbox(() => socket.terminate())
  let alive = true
  const timer = setInterval(() => {
    if (!alive) return socket.terminate()
    alive = false
    if (socket.readyState === OPEN) socket.ping()
  }, PING_MS)
  socket.on('pong', () => { alive = true })
  socket.on('message', (data: Buffer, binary: boolean) => {
    alive = true
    // A large message has a buffer of its own, aligned; a small one is a piece of what was read, which a view would keep and share.
    const whole = data.byteLength === data.buffer.byteLength
    if (binary) inbox.push(whole ? new Uint8Array(data.buffer) : new Uint8Array(data))
    else socket.close(1003, 'binary frames only')
  })
  socket.on('close', () => {
    clearInterval(timer)
    inbox.finish()
  })
  // A socket error is always followed by close, which is where the link ends.
  socket.on('error', () => {})
  return {
    send: (frame) => { if (socket.readyState === OPEN) socket.send(frame) },
    receive: () => inbox.receive(),
    close: () => socket.close(),
  }
}
