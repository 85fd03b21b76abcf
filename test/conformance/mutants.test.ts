/**
 * A kernel that is wrong in one place is caught by the suite and named: case, tensor, first element that differs, both values. The
 * self-test at load catches it too.
 */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { runKernelCases } from '../../runtime/cases/run.ts'
import { CASES } from '../../runtime/cases/table.ts'
import { createTally } from '../../runtime/cases/tally.ts'
import type { Failure } from '../../runtime/cases/tally.ts'
import { testKernel } from '../../runtime/cases/selftest.ts'
import { instantiate, loadKernel, TILES } from '../../runtime/kernel/load.ts'
import { describeFailure } from '../../scripts/conform/difference.ts'
import { RUNTIME } from '../../scripts/runtime.ts'
import { readExpected } from '../../scripts/conform/published.ts'
import { binaryOf, missingRelaxed } from '../kernels.ts'
import { skipTest } from '../skip.ts'
import { MUTANTS, compileMutant } from './mutant.ts'

const PAGES = 256
const SMALL = CASES.filter(({ large }) => !large)

async function findFailures(binary: BufferSource): Promise<Failure[]> {
  const memory = new WebAssembly.Memory({ initial: PAGES })
  const kernel = await instantiate(await WebAssembly.compile(binary), memory, TILES[0])
  const failures: Failure[] = []
  runKernelCases({ kernel, buffer: memory.buffer }, SMALL, createTally(readExpected(), (failure) => { failures.push(failure) }).take)
  return failures
}

test('the kernel itself fails nowhere', async () => {
  assert.equal(await findFailures(binaryOf('scalar')), [])
})

for (const mutant of MUTANTS) {
  test(mutant.title, async () => {
    const binary = compileMutant(mutant)
    const failures = await findFailures(binary)
    assert.ok(failures.length > 0, 'expected a failure')
    const told = await describeFailure(failures[0])
    assert.match(told, mutant.caught)
    assert.match(told, /\[\d+\]: expected \S+ \(bits [0-9a-f]+\), got \S+ \(bits [0-9a-f]+\)$/)
    const { selfTest } = await testKernel(await loadKernel(binary, mutant.build))
    assert.match(selfTest?.differs ?? 'none', mutant.noticed)
  })
}

test('the fast build is no strict one, where this host fuses', async () => {
  const missing = missingRelaxed()
  if (missing !== undefined) return skipTest(missing)
  const failures = await findFailures(binaryOf('relaxed'))
  // JavaScriptCore rounds between.
  if (RUNTIME === 'bun') return assert.equal(failures, [])
  assert.match(await describeFailure(failures[0]), /^matmul .*: out\[\d+\]: expected .*, got /)
})

test.run()
