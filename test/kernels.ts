/** The kernel's builds, compiled once for a test file. */
import { readFileSync } from 'node:fs'
import type { Kernel, KernelBuild } from '../runtime/kernel/load.ts'
import { loadKernel } from '../runtime/kernel/load.ts'

/** The builds of the strict profile, which give the same bits. */
export const BUILDS = ['scalar', 'simd'] as const satisfies readonly KernelBuild[]

const opened = new Map<KernelBuild, Promise<Kernel>>()

export function openKernelBuild(build: KernelBuild): Promise<Kernel> {
  const kernel = opened.get(build) ?? loadKernel(readFileSync(new URL(`../dist/kerf.${build}.wasm`, import.meta.url)), build)
  opened.set(build, kernel)
  return kernel
}
