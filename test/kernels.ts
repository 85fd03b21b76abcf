/** The kernel's builds, compiled once for a test file. */
import { readFileSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { testKernel } from '../runtime/cases/selftest.ts'
import type { Kernel, KernelBuild } from '../runtime/kernel/load.ts'
import { loadKernel } from '../runtime/kernel/load.ts'

/** The builds of the strict profile, which give the same bits. */
export const BUILDS = ['scalar', 'simd'] as const satisfies readonly KernelBuild[]

export const binaryOf = (build: KernelBuild) => readFileSync(new URL(`../dist/kerf.${build}.wasm`, import.meta.url))

/** V8 before version 12 has relaxed SIMD behind a flag, which later ones don't know. */
export const RELAXED_FLAGS = Number.parseInt(process.versions.v8, 10) < 12 ? ['--experimental-wasm-relaxed-simd'] : []

/** Why this host can't run the build of the fast profile; undefined where it can. Turns the engine's flag on where it needs one. */
export function missingRelaxed(): string | undefined {
  RELAXED_FLAGS.forEach(setFlagsFromString)
  return WebAssembly.validate(binaryOf('relaxed')) ? undefined : `no relaxed SIMD in V8 ${process.versions.v8}`
}

const opened = new Map<KernelBuild, Promise<Kernel>>()

/** As a run opens it: tested. */
export function openKernelBuild(build: KernelBuild): Promise<Kernel> {
  const kernel = opened.get(build) ?? loadKernel(binaryOf(build), build).then(testKernel)
  opened.set(build, kernel)
  return kernel
}
