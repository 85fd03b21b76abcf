/**
 * Compiles the kernel once and instantiates it on memories that the caller owns.
 * The module has no static data and no state but an instance's own: its tile and its place in a team.
 */
import { refuse } from '../error.ts'
import { ABI_VERSION, TEAM } from './abi.ts'
import type { KernelExports } from './abi.ts'
import type { KernelSource } from './wasm.ts'
import { compileModule, createMemory, instantiateModule } from './wasm.ts'

export { PAGE_BYTES, createMemory } from './wasm.ts'

/** scalar and simd give the same bits; relaxed, the fast profile, is free to fuse multiply and add. */
export const KERNEL_BUILDS = ['simd', 'scalar', 'relaxed'] as const
export type KernelBuild = (typeof KERNEL_BUILDS)[number]

/** strict: the same bits in every build and on every machine. */
export const PROFILES = ['strict', 'fast'] as const
export type Profile = (typeof PROFILES)[number]

/** What a build really computes, whatever was asked for. */
export function profileOf(build: KernelBuild): Profile {
  return build === 'relaxed' ? 'fast' : 'strict'
}

/** Inner tiles of the matrix product, rows by columns, in the kernel's order. */
export const TILES = ['4x8', '6x8', '3x12', '5x16'] as const
export type Tile = (typeof TILES)[number]

/** Starts a thread that instantiates `module` on `memory`, joins the team at `address` and works until it is dismissed. */
export type StartThread = (thread: ThreadJob) => Promise<void>
export type ThreadJob = { module: WebAssembly.Module; memory: WebAssembly.Memory; tile: Tile; address: number; index: number; count: number }

export type Kernel = {
  build: KernelBuild
  module: WebAssembly.Module
  /** An instance on one page: for the sizes that plans ask for, scalar functions and CRCs, never for tensors. */
  exports: KernelExports
  memory: WebAssembly.Memory
  /** What every instance multiplies with. */
  tile: Tile
  /** What it was found to compute when it was opened for a run; none where no bits are promised, or nobody looked. */
  selfTest?: SelfTest
  /** The same build for shared memory, and how the host starts threads on it; without it every stage has one thread. */
  team?: { module: WebAssembly.Module; start: StartThread }
}

/** cases/selftest.ts: the digest over all of its cases, and the first whose bits are not those of every other host. */
export type SelfTest = { digest: string; differs: string | null }

export type KernelOptions = Partial<Pick<Kernel, 'tile' | 'team' | 'selfTest'>>

/** Refuses `kernel.abi` when the binary speaks another ABI than this runtime. */
export async function loadKernel(source: KernelSource, build: KernelBuild, options: KernelOptions = {}): Promise<Kernel> {
  return openKernel(await compileModule(source), build, options)
}

/** As loadKernel, for a module compiled elsewhere, such as one handed to a worker. */
export async function openKernel(module: WebAssembly.Module, build: KernelBuild, options: KernelOptions = {}): Promise<Kernel> {
  const memory = createMemory(1, false)
  const { tile = TILES[0], team, selfTest } = options
  const exports = await instantiate(module, memory, tile)
  return { build, module, exports, memory, tile, team, ...(selfTest && { selfTest }) }
}

/** What another thread needs to open the same kernel; a module is handed over without being compiled again. */
export type KernelPack = Pick<Kernel, 'module' | 'build' | 'tile' | 'selfTest'> & { shared?: WebAssembly.Module }

export function packKernel({ module, build, tile, selfTest, team }: Kernel): KernelPack {
  return { module, build, tile, selfTest, shared: team?.module }
}

export function openPack({ module, build, tile, selfTest, shared }: KernelPack, start: StartThread): Promise<Kernel> {
  return openKernel(module, build, { tile, selfTest, team: shared && { module: shared, start } })
}

/** A kernel instance on `memory`. */
export async function instantiate(module: WebAssembly.Module, memory: WebAssembly.Memory, tile: Tile): Promise<KernelExports> {
  const exports = await instantiateModule(module, memory) as unknown as KernelExports
  const version = typeof exports.abiVersion === 'function' ? exports.abiVersion() : 'none'
  if (version !== ABI_VERSION) refuse('kernel.abi', 'kernel.abiVersion', String(ABI_VERSION), version)
  exports.setTile(TILES.indexOf(tile))
  return exports
}

/**
 * An instance for a team of `threads` on shared `memory`, whose other threads are started and wait for work.
 * `address` holds teamBytes zeros.
 */
export async function instantiateTeam(kernel: Kernel, memory: WebAssembly.Memory, address: number, threads: number): Promise<KernelExports> {
  const { team, tile } = kernel
  if (!team) refuse('kernel.threads', 'threads', '1 on a host without shared memory', threads)
  const exports = await instantiate(team.module, memory, tile)
  exports.joinTeam(address, 0, threads)
  const others = Array.from({ length: threads - 1 }, (_, other) => other + 1)
  await Promise.all(others.map((index) => team.start({ module: team.module, memory, tile, address, index, count: threads })))
  return exports
}

/** What a started thread does; returns when the team is dismissed. */
export async function runThread({ module, memory, tile, address, index, count }: ThreadJob, ready: () => void): Promise<void> {
  const exports = await instantiate(module, memory, tile)
  exports.joinTeam(address, index, count)
  ready()
  const words = new Int32Array(memory.buffer)
  for (let seen = 0; seen >= 0;) {
    const done = exports.work(seen)
    if (done === seen) Atomics.wait(words, (address + TEAM.fields.job.offset) >> 2, seen)
    seen = done
  }
}
