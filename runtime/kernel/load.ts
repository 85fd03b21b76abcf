/**
 * Compiles the kernel once and instantiates it on memories that the caller owns.
 * The module has no static data and no state of its own.
 */
import { refuse } from '../error.ts'
import { ABI_VERSION } from './abi.ts'
import type { KernelExports } from './abi.ts'

export const PAGE_BYTES = 65536

export type KernelBuild = 'simd' | 'scalar'

export type Kernel = {
  build: KernelBuild
  module: WebAssembly.Module
  /** An instance on one page: for the sizes that plans ask for, scalar functions and CRCs, never for tensors. */
  exports: KernelExports
  memory: WebAssembly.Memory
}

/** Refuses `kernel.abi` when the binary speaks another ABI than this runtime. */
export async function loadKernel(bytes: BufferSource, build: KernelBuild): Promise<Kernel> {
  return openKernel(await WebAssembly.compile(bytes), build)
}

/** As loadKernel, for a module compiled elsewhere, such as one handed to a worker. */
export async function openKernel(module: WebAssembly.Module, build: KernelBuild): Promise<Kernel> {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 })
  const exports = await instantiate(module, memory)
  return { build, module, exports, memory }
}

/** A kernel instance on `memory`. */
export async function instantiate(module: WebAssembly.Module, memory: WebAssembly.Memory): Promise<KernelExports> {
  const instance = await WebAssembly.instantiate(module, { env: { memory } })
  const exports = instance.exports as unknown as KernelExports
  const version = typeof exports.abiVersion === 'function' ? exports.abiVersion() : 'none'
  if (version !== ABI_VERSION) refuse('kernel.abi', 'kernel.abiVersion', String(ABI_VERSION), version)
  return exports
}
