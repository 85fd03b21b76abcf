/** What is published is what the kernel gives; the suite's own parts bite. */
import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { runCase } from '../../runtime/cases/arena.ts'
import { input, kernelCase, nameCase, output } from '../../runtime/cases/case.ts'
import { CASES } from '../../runtime/cases/table.ts'
import { digestBytes } from '../../runtime/cases/digest.ts'
import { FAST_TOLERANCE, checkFast, isFusing } from '../../runtime/conformance/fast.ts'
import { runFast, runStrict } from '../../runtime/conformance/suite.ts'
import type { SuiteOptions } from '../../runtime/conformance/suite.ts'
import { draw, mix, read } from '../../runtime/cases/source.ts'
import { createTally } from '../../runtime/cases/tally.ts'
import type { Failure, Finding } from '../../runtime/cases/tally.ts'
import { loadKernel } from '../../runtime/kernel/load.ts'
import { buildCases } from '../../scripts/conform/publish.ts'
import { CASES_FILE, readExpected, readVectors } from '../../scripts/conform/published.ts'
import { openArena } from '../kernel/arena.ts'
import { binaryOf, missingRelaxed, openKernelBuild } from '../kernels.ts'
import { skipTest } from '../skip.ts'
import { ends, openThreaded } from '../threads.ts'

const bytesOf = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer)

async function runSuite(changes: Partial<SuiteOptions> & Pick<SuiteOptions, 'kernel'>) {
  const failures: Failure[] = []
  const score = await runStrict({
    threads: 1, expected: readExpected(), vectors: readVectors(), large: false, fail: (failure) => { failures.push(failure) }, ...changes,
  })
  return { ...score, failures }
}

test('cases.ndjson is what scripts/conform/publish.ts writes', async () => {
  assert.is(readFileSync(CASES_FILE, 'utf8'), await buildCases())
})

test('SIMD with a team, which is given work, gives the published digests', async () => {
  const { cases, passed, failures } = await runSuite({ kernel: await openThreaded(), threads: 2, large: true })
  assert.equal(failures, [])
  assert.is(passed, cases)
  assert.ok(ends.length > 1)
})

test('fast keeps its tolerance, and is judged by it', async () => {
  const missing = missingRelaxed()
  if (missing !== undefined) return skipTest(missing)
  const failures: Failure[] = []
  const options: SuiteOptions = {
    kernel: await loadKernel(binaryOf('relaxed'), 'relaxed'), threads: 1, expected: {}, vectors: readVectors(), large: false,
    fail: (failure) => { failures.push(failure) },
  }
  const { cases, passed, gap, fused } = await runFast(options, await openKernelBuild('scalar'))
  assert.equal(failures, [])
  assert.is(passed, cases)
  if (fused) assert.ok(gap! > 0)
  const scalar = await openArena('scalar')
  assert.is(isFusing(scalar.kernel, scalar.buffer), false)
})

test('beyond its tolerance fast fails; integers must be equal', () => {
  const finding = (element: 'f32' | 'u8', bytes: Uint8Array): Finding => ({ name: 'x', results: { out: { element, bytes } }, damage: null })
  const judge = (a: Finding, b: Finding) => checkFast(a, b, FAST_TOLERANCE).failure
  assert.is(judge(finding('f32', bytesOf(100, 1.0005)), finding('f32', bytesOf(100, 1))), null)
  assert.is(judge(finding('f32', bytesOf(1, 1.0005)), finding('f32', bytesOf(1, 1)))?.tensor, 'out')
  assert.is(judge(finding('f32', bytesOf(NaN)), finding('f32', bytesOf(1)))?.got, 'Infinity')
  assert.is(judge(finding('u8', Uint8Array.of(3)), finding('u8', Uint8Array.of(4)))?.got, 'Infinity')
})

test('a digest tells order, signs, lengths and every bit, and no NaN from another', () => {
  const digest = (...values: number[]) => digestBytes('f32', bytesOf(...values))
  const different = [digest(), digest(0), digest(-0), digest(0, 0), digest(1, 2), digest(2, 1), digest(-1, -2), digest(1, -2), digest(NaN)]
  assert.is(new Set(different).size, different.length)
  for (let bit = 0; bit < 64; bit++) {
    const flipped = bytesOf(1, 2)
    flipped[bit >> 3] ^= 1 << (bit & 7)
    assert.is.not(digestBytes('f32', flipped), digest(1, 2))
  }
  const quiet = digestBytes('f32', new Uint8Array(Uint32Array.of(0x7fc00000).buffer))
  assert.is(digestBytes('f32', new Uint8Array(Uint32Array.of(0xffa00001).buffer)), quiet)
  assert.is.not(digestBytes('u32', new Uint8Array(Uint32Array.of(0xffa00001).buffer)), quiet)
  assert.is(digestBytes('f64', new Uint8Array(Uint32Array.of(1, 0x7ff00000).buffer)), digestBytes('f64', new Uint8Array(Float64Array.of(NaN).buffer)))
  assert.is(digest(), 'e6546b64e6546b64')
})

test('inputs are what the page says', () => {
  assert.is(mix(7, 0), 0x948ba1e6)
  const [first] = read(draw(3, 'x', 2, 0.5))
  assert.is(first, Math.fround(first))
  assert.is(new Set(CASES.map(nameCase)).size, CASES.length)
})

test('a case that is not published, a tensor too many and one too few fail', () => {
  const failures: Failure[] = []
  const results = { out: { element: 'f32', bytes: bytesOf(1) } } as const
  const digest = digestBytes('f32', bytesOf(1))
  const tally = createTally({ a: { out: digest }, b: { out: digest, other: digest }, c: {} }, (failure) => { failures.push(failure) })
  for (const name of ['a', 'b', 'c', 'd']) tally.take({ name, results, damage: null })
  tally.take({ name: 'a', results, damage: 'expected x unchanged' })
  assert.equal(failures.map(({ case: name, tensor, got }) => [name, tensor, got]), [
    ['b', 'other', 'none'], ['c', 'out', digest], ['d', '', 'd'], ['a', '', 'expected x unchanged'],
  ])
  tally.repeat({ name: 'b', results, damage: null }, 'tile 6x8')
  assert.is(failures[4].way, 'tile 6x8')
  assert.equal([tally.finish().cases, tally.finish().passed], [6, 1])
})

test('what writes beside its tensors, or into an input, is caught', async () => {
  const arena = await openArena('scalar')
  const damageOf = (count: number, from: 'out' | 'x') => runCase(arena, kernelCase({
    operation: 'fill', sizes: '', tolerance: 0, slots: { out: output(5), x: input(draw(5, 'x')) },
    call: (kernel, at) => kernel.fill(at[from], 1, count), expect: () => ({}),
  })).damage
  assert.is(damageOf(5, 'out'), null)
  assert.match(damageOf(6, 'out')!, /before x untouched/)
  assert.is(damageOf(5, 'x'), 'expected x unchanged')
})

test.run()
