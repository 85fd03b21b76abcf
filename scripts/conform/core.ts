/**
 * The kernel cases for engines without WebAssembly, promises or modules: one script in ES2015 that leaves a global,
 * `kerfConformCore.run(exports, buffer, print, now, large)`, and waits for nothing.
 */
import { bytesOfCase } from '../../runtime/cases/arena.ts'
import { CASES } from '../../runtime/cases/table.ts'
import { runKernelCases } from '../../runtime/cases/run.ts'
import { createTally } from '../../runtime/cases/tally.ts'
import type { ExpectedDigests } from '../../runtime/cases/tally.ts'
import type { KernelExports } from '../../runtime/kernel/abi.ts'
import { formatMessage } from './protocol.ts'

/** Put in by bundle.ts. */
declare const EXPECTED: ExpectedDigests

function choose(large: boolean) {
  return CASES.filter((it) => large || !it.large)
}

/** Bytes of the memory that `run` needs. */
export function memoryBytes(kernel: KernelExports, large: boolean): number {
  return choose(large).reduce((most, it) => Math.max(most, bytesOfCase(kernel, it)), 0)
}

/** @param buffer the kernel's memory, which must not be replaced; `now` in milliseconds */
export function run(kernel: KernelExports, buffer: ArrayBuffer, print: (line: string) => void, now: () => number, large: boolean): void {
  const start = now()
  const tally = createTally(EXPECTED, (failure) => print(formatMessage({ kind: 'failure', ...failure })))
  runKernelCases({ kernel, buffer }, choose(large), tally.take)
  const part = large ? 'kernel' : 'kernel, not large'
  print(formatMessage({ kind: 'score', part, ms: now() - start, ...tally.finish() }))
}
