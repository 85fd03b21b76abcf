/**
 * `kerf/kernel`: the compute kernel alone. Load a binary, give it a memory of your own, call its operations by address.
 *
 * The kernel allocates nothing and keeps nothing between calls: every argument is an address in bytes into the memory that
 * an instance was made on, or a count of elements. Numbers are little-endian f32 and i32. Bad arguments are not checked.
 */
import { refuse } from '../error.ts'
import type { KernelExports } from '../kernel/abi.ts'
import type { Kernel, KernelBuild, StartThread, Tile } from '../kernel/load.ts'
import { PAGE_BYTES, createMemory as createPages, instantiate, loadKernel as load } from '../kernel/load.ts'
import { MEMORY_BYTES_MAX } from '../kernel/plan.ts'
import type { KernelSource } from '../kernel/wasm.ts'
import { compileModule, isValidModule } from '../kernel/wasm.ts'

export { KerfError } from '../error.ts'
/** ABI_VERSION, and where each field of a record lies. */
export { ABI_VERSION, BLOCK, LINEAR, NORM, SAVED } from '../kernel/abi.ts'
export type { KernelExports, f32, f64, i32, u32, usize } from '../kernel/abi.ts'
export { KERNEL_BUILDS, PAGE_BYTES, TILES, runThread } from '../kernel/load.ts'
export type { Kernel, KernelBuild, StartThread, ThreadJob, Tile } from '../kernel/load.ts'
export type { KernelSource } from '../kernel/wasm.ts'
/** Operations of more than eight numbers, with these by name. */
export {
  adamw, attention, attentionBackward, blockBackward, blockForward, embedding, embeddingBackward, layerNorm, layerNormBackward,
} from '../kernel/calls.ts'
/** The records that describe layers to `linear` and the block's steps. */
export {
  BLOCK_BYTES, LINEAR_BYTES, NORM_BYTES, SAVED_BYTES, writeBlock, writeLinear, writeNorm, writeSaved,
} from '../kernel/records.ts'
export type { BlockRecord, LinearRecord, NormRecord, SavedRecord } from '../kernel/records.ts'
/** Codes of weight formats, for a record's `format`. */
export { WEIGHT_FORMATS, formatCode } from '../kernel/format.ts'
export type { WeightFormat } from '../kernel/format.ts'
/** Places of tensors in one memory, each on 64 bytes, none at address 0. */
export { createPlanner } from '../kernel/plan.ts'
export type { Lifetime, MemoryPlan, Planner, Purpose, Region } from '../kernel/plan.ts'
export { createChecksum } from '../kernel/checksum.ts'

export type KernelSettings = {
  /** Which binary `source` is; 'simd' unless given. 'scalar' gives the same bits, 'relaxed' is free to fuse multiply and add. */
  build?: KernelBuild
  /** Rows by columns that a product has in registers; a matter of speed, never of bits. */
  tile?: Tile
  /** The same build for shared memory, and how to start a thread that calls `runThread`; without it, stages have one thread. */
  team?: { source: KernelSource | PromiseLike<KernelSource>; start: StartThread }
}

/**
 * Compiles a binary, once for all instances. `source`: its bytes, the Response of a fetch, which is compiled as it streams in
 * where the host can, or a WebAssembly.Module.
 *
 * Throws a KerfError: `wasm` (no WebAssembly here, or a binary that it does not take), `wasm-source`, `wasm-response` (an HTTP
 * status outside 200 to 299), `memory` (no room), `kernel.abi` (a binary of another version than this package).
 */
export async function loadKernel(
  source: KernelSource | PromiseLike<KernelSource>, { build = 'simd', tile, team }: KernelSettings = {},
): Promise<Kernel> {
  const shared = team && { module: await compileModule(await team.source), start: team.start }
  return load(await source, build, { tile, team: shared })
}

/** Whether this host takes a binary; relaxed SIMD is not everywhere. Throws `wasm` where there is no WebAssembly at all. */
export function isSupported(bytes: BufferSource): boolean {
  return isValidModule(bytes)
}

/** A memory of at least `bytes`, rounded up to whole pages of 65,536; it never grows. Throws `memory-bytes`, and `memory` where there is no room. */
export function createMemory(bytes: number): WebAssembly.Memory {
  const fits = Number.isSafeInteger(bytes) && bytes >= 0 && bytes <= MEMORY_BYTES_MAX
  if (!fits) refuse('memory-bytes', 'memory.bytes', `a whole number of 0 … ${MEMORY_BYTES_MAX}`, bytes)
  return createPages(Math.ceil(bytes / PAGE_BYTES), false)
}

/** The kernel's operations on a memory of the caller's; several instances may share a kernel. Throws `wasm` and `memory`. */
export function instantiateKernel({ module, tile }: Kernel, memory: WebAssembly.Memory): Promise<KernelExports> {
  return instantiate(module, memory, tile)
}
