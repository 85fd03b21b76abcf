/** How a stage fits a budget: the first way that fits, from what changes no bit to the smallest weights, and never more than that. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { WeightFormat } from '../../runtime/kernel/format.ts'
import { fitStage } from '../../runtime/model/budget.ts'
import type { ModelConfig } from '../../runtime/model/config.ts'
import type { StageSpec } from '../../runtime/model/plan.ts'
import { planStage } from '../../runtime/model/plan.ts'
import { openKernelBuild } from '../kernels.ts'
import { refusal } from '../refusal.ts'

const CONFIG: ModelConfig = {
  vocabSize: 2000, hiddenSize: 128, layers: 6, heads: 4, intermediateSize: 512,
  positionsMax: 128, typesMax: 2, layerNormEps: 1e-12, labels: [],
}
const DEVICE: StageSpec = {
  config: CONFIG, from: 0, to: 3, labels: 6, adapter: { rank: 4, alpha: 8, targets: ['query', 'value'] },
  training: 'adapters', setsFrom: [0],
  rows: 200, sequences: 8, longest: 64,
}
type Way = readonly [WeightFormat, boolean]
const WAYS: readonly Way[] = [['f32', false], ['f32', true], ['f16', false], ['f16', true], ['int8', false], ['int8', true]]

const { exports: kernel } = await openKernelBuild('simd')
const measure = (spec: StageSpec) => planStage(spec, kernel).memory.bytes
const withWay = (spec: StageSpec, [format, recompute]: Way): StageSpec => ({ ...spec, format, recompute })
const wayOf = ({ format, recompute }: StageSpec) => [format, recompute]

/** Budgets at and just below every way's size, and the way that is expected of each. */
function checkBudgets(spec: StageSpec, ways: readonly Way[]): void {
  const sizes = ways.map((way) => measure(withWay(spec, way)))
  for (const budget of sizes.flatMap((bytes) => [bytes, bytes - 1, bytes + 1])) {
    const first = ways.find((_, index) => sizes[index] <= budget)
    if (first) {
      const fitted = fitStage(spec, budget, kernel)
      assert.equal(wayOf(fitted), first, `${budget} bytes`)
      assert.equal({ ...fitted, format: spec.format, recompute: spec.recompute }, { format: undefined, recompute: undefined, ...spec })
      assert.ok(measure(fitted) <= budget)
      continue
    }
    const { code, message } = refusal(() => fitStage(spec, budget, kernel))
    const smallest = Math.min(...sizes)
    const expected = `memory: expected at least ${smallest} bytes for blocks ${spec.from} … ${spec.to}, got ${budget}`
    assert.equal([code, message], ['stage.memory', expected])
  }
}

test('the first way that fits, and a refusal with the smallest size', () => {
  const sizes = WAYS.map((way) => measure(withWay(DEVICE, way)))
  // Otherwise the order would not be tested: recomputation saves less than f16 does, and all six are different.
  assert.is(new Set(sizes).size, WAYS.length)
  assert.is(Math.min(...sizes), sizes[5])
  checkBudgets(DEVICE, WAYS)
})

test('one block is never recomputed', () => {
  assert.equal([...new Set(WAYS.map((way) => measure(withWay({ ...DEVICE, to: 1 }, way))))].length, 3)
  checkBudgets({ ...DEVICE, to: 1 }, WAYS.filter(([, recompute]) => !recompute))
})

test('what is asked for is the least that is done', () => {
  checkBudgets({ ...DEVICE, format: 'f16' }, WAYS.slice(2))
  checkBudgets({ ...DEVICE, format: 'int8' }, WAYS.slice(4))
  checkBudgets({ ...DEVICE, recompute: true }, WAYS.filter(([, recompute]) => recompute))
  checkBudgets({ ...DEVICE, format: 'int8', recompute: true }, WAYS.slice(5))
})

test('inference has nothing to recompute', () => {
  checkBudgets({ ...DEVICE, training: 'none' }, WAYS.filter(([, recompute]) => !recompute))
})

test('ways that 32 bits cannot address are passed over; where none is left, the plan says so', () => {
  const wide = { ...DEVICE, to: 6, rows: 240_000, sequences: 4000 }
  assert.is(refusal(() => measure(wide)).code, 'plan.bytes')
  assert.equal(wayOf(fitStage(wide, 4 * 1024 ** 3, kernel)), ['f32', true])
  const { code, message } = refusal(() => fitStage({ ...wide, rows: 3_000_000 }, 4 * 1024 ** 3, kernel))
  assert.is(code, 'plan.bytes')
  assert.match(message, /^plan(\.\S+)?: expected at most \d+ bytes, got -?\d+$/)
})

test.run()
