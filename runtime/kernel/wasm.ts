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
function refuseMemory(bytes: number, error: RangeError): never {
  // Engines reserve far more addresses than bytes beside each memory, and a limit such as ulimit -v counts addresses.
  const expected = `room on this host for ${bytes} bytes, and the addresses that its engine sets aside with them`
  return refuse('memory', 'memory', expected, messageOf(error))
}

/** WebAssembly, if this host has it and lets a program use it. */
function requireWasm(): void {
  if (typeof WebAssembly === 'undefined') refuse('wasm', 'host', 'WebAssembly', 'none: it is switched off, or this host has no such thing')
}

function refuseFailed(error: unknown, what: string, bytes: number): never {
  if (error instanceof KerfError) throw error
  if (error instanceof RangeError) return refuseMemory(bytes, error)
  return refuse('wasm', 'host', `WebAssembly that ${what}`, messageOf(error))
}

export async function compileModule(bytes: BufferSource): Promise<WebAssembly.Module> {
  requireWasm()
  try {
    return await WebAssembly.compile(bytes)
  } catch (error) {
    return refuseFailed(error, 'compiles the kernel (--build scalar asks the least)', bytes.byteLength)
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
    return refuseFailed(error, 'instantiates the kernel', memory.buffer.byteLength)
  }
}

/** A memory of exactly `pages`, shared where threads will work on it. */
export function createMemory(pages: number, shared: boolean): WebAssembly.Memory {
  requireWasm()
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: shared ? Math.min(pages, SHARED_PAGES_MAX) : pages, shared })
  } catch (error) {
    return refuseFailed(error, shared ? 'shares memory between threads' : 'has memories', pages * PAGE_BYTES)
  }
}
