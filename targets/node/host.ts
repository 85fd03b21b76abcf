/** Node's side of the runtime: files, clock, timers, message ports, WebSockets, handed over as functions. */
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, readSync, renameSync, statSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { performance } from 'node:perf_hooks'
import type { MessagePort } from 'node:worker_threads'
import type { WebSocket } from 'ws'
import { KerfError, refuse } from '../../runtime/error.ts'
import type { Kernel, KernelBuild } from '../../runtime/kernel/load.ts'
import { loadKernel } from '../../runtime/kernel/load.ts'
import type { ByteSource } from '../../runtime/model/weights.ts'
import type { Host } from '../../runtime/split/host.ts'
import type { Link } from '../../runtime/split/link.ts'
import { createInbox } from '../../runtime/split/link.ts'

/** One clock for all threads and processes of a machine. */
export const host: Host = {
  clock: () => performance.timeOrigin + performance.now(),
  turn: () => new Promise((resolve) => { setImmediate(resolve) }),
  after(ms, done) {
    const timer = setTimeout(done, Math.min(ms, 2 ** 31 - 1))
    return () => clearTimeout(timer)
  },
}

/** What the build put beside the bundle; from sources, what lies in the checkout. */
export function findAsset(name: string): string {
  const here = dirname(fileURLToPath(import.meta.url))
  return here.endsWith('dist') ? join(here, name) : join(here, '../../dist', name)
}

function missing(error: unknown, path: string): never {
  const code = (error as NodeJS.ErrnoException).code
  if (code === 'ENOENT') refuse('file-missing', path, 'a file', 'none')
  if (code === 'EISDIR') refuse('file-kind', path, 'a file', 'a directory')
  if (code === 'EACCES') refuse('file-access', path, 'a file that may be read', 'no permission')
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
    const bytes = statSync(path).size
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

/** Replaces a file whole or not at all: temporary file, fsync, rename, fsync of the directory. */
export function saveAtomic(path: string, data: Uint8Array | string): void {
  const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data
  const temporary = `${path}.new`
  try {
    mkdirSync(dirname(path), { recursive: true })
    const file = openSync(temporary, 'w')
    try {
      for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    renameSync(temporary, path)
    const directory = openSync(dirname(path), 'r')
    try {
      fsyncSync(directory)
    } finally {
      closeSync(directory)
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error)
    refuse('file-write', path, 'room and permission to write; the file before it is untouched', code)
  }
}

export function loadNodeKernel(build: KernelBuild): Promise<Kernel> {
  return loadKernel(readBytes(findAsset(`kerf.${build}.wasm`)), build)
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
    if (binary) inbox.push(new Uint8Array(data))
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
