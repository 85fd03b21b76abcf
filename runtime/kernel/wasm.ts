/**
 * WebAssembly as a host gives it, or does not: the one place that compiles, instantiates and takes memory, so that a host
 * without it, or without room, is refused by name. Refuses `wasm` and `memory`.
 */
import { KerfError, refuse } from '../error.ts'

export const PAGE_BYTES = 65536
/** Of the shared builds; a shared memory must not be allowed more. */
const SHARED_PAGES_MAX = 65536

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** Engines say so with a RangeError, whatever was too large for them. */
function refuseMemory(what: string, error: RangeError): never {
  // Engines reserve far more addresses than bytes beside each memory, and a limit such as ulimit -v counts addresses.
  const expected = `room on this host for ${what}, and the addresses that its engine sets aside with them`
  return refuse('memory', 'memory', expected, messageOf(error))
}

/** WebAssembly, if this host has it and lets a program use it. */
function requireWasm(): void {
  if (typeof WebAssembly === 'undefined') refuse('wasm', 'host', 'WebAssembly', 'none: it is switched off, or this host has no such thing')
}

function refuseFailed(error: unknown, what: string, room: string): never {
  if (error instanceof KerfError) throw error
  if (error instanceof RangeError) return refuseMemory(room, error)
  return refuse('wasm', 'host', `WebAssembly that ${what}`, messageOf(error))
}

/** A kernel's binary: its bytes, the answer of a host that was asked for them, or a module compiled already. */
export type KernelSource = BufferSource | Response | WebAssembly.Module

/** Engines stream nothing else, and no parameter behind it. */
const STREAMED = 'application/wasm'

/** What it is, also where it comes from another realm, such as a frame or a worker. */
function tagOf(source: KernelSource): string {
  return Object.prototype.toString.call(source).slice('[object '.length, -1)
}

/** The module as its bytes come, where the host can and the answer says that they are one; else from all of them. */
async function compileResponse(response: Response): Promise<WebAssembly.Module> {
  if (!response.ok) return refuse('wasm-response', 'kernel.status', '200 to 299', response.status)
  const streams = typeof WebAssembly.compileStreaming === 'function' && response.headers.get('content-type') === STREAMED
  return streams ? WebAssembly.compileStreaming(response) : WebAssembly.compile(await response.arrayBuffer())
}

/** Refuses `wasm-source` for what is no binary, and `wasm-response` for an answer that is no success. */
export async function compileModule(source: KernelSource): Promise<WebAssembly.Module> {
  requireWasm()
  const tag = tagOf(source)
  if (tag === 'WebAssembly.Module') return source as WebAssembly.Module
  const bytes = typeof source === 'object' && source !== null && 'byteLength' in source ? source : null
  if (!bytes && tag !== 'Response') return refuse('wasm-source', 'kernel', 'bytes, a Response or a WebAssembly.Module', tag)
  try {
    return await (bytes ? WebAssembly.compile(bytes) : compileResponse(source as Response))
  } catch (error) {
    return refuseFailed(error, 'compiles the kernel (--build scalar asks the least)', bytes ? `${bytes.byteLength} bytes` : 'a module')
  }
}

/** Whether this host could compile it. */
export function isValidModule(bytes: BufferSource): boolean {
  requireWasm()
  return WebAssembly.validate(bytes)
}

export async function instantiateModule(module: WebAssembly.Module, memory: WebAssembly.Memory): Promise<WebAssembly.Exports> {
  try {
    return (await WebAssembly.instantiate(module, { env: { memory } })).exports
  } catch (error) {
    // A memory of the wrong kind is no fault of the host's.
    if (error instanceof WebAssembly.LinkError) throw error
    return refuseFailed(error, 'instantiates the kernel', `${memory.buffer.byteLength} bytes`)
  }
}

/** A memory of exactly `pages`, shared where threads will work on it. */
export function createMemory(pages: number, shared: boolean): WebAssembly.Memory {
  requireWasm()
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: shared ? Math.min(pages, SHARED_PAGES_MAX) : pages, shared })
  } catch (error) {
    return refuseFailed(error, shared ? 'shares memory between threads' : 'has memories', `${pages * PAGE_BYTES} bytes`)
  }
}
