/** The entry for engines without WebAssembly: done when the call returns. */
import { loadKernel } from '../../runtime/kernel/load.ts'
import { runJobs } from '../../targets/embedded/engine.ts'
import { measureSize } from './measure.ts'

/** Prints a profile of the small size, or `failed` and why. */
export function measure(kernelBytes: number, print: (line: string) => void): void {
  const timer = { now: () => new Date().getTime(), turn: () => Promise.resolve() }
  loadKernel(new Uint8Array(0), 'scalar').then((kernel) => measureSize({ kernel, kernelBytes, timer, print }, 'tiny'))
    .catch((error: unknown) => print(`failed ${error instanceof Error ? error.message : String(error)}`))
  runJobs()
}
