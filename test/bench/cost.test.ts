/** Flops and bytes against sums done by hand, and the parts of a step against `countWork` and against the step itself. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Part } from '../../runtime/bench/breakdown.ts'
import { breakdownBytes, listParts, runPart } from '../../runtime/bench/breakdown.ts'
import * as count from '../../runtime/bench/cost.ts'
import { drawWeights } from '../../runtime/bench/presets.ts'
import type { StepShape } from '../../runtime/bench/step.ts'
import { openStep, rateStep, stepCalls, stepSizes } from '../../runtime/bench/step.ts'
import type { WeightFormat } from '../../runtime/kernel/format.ts'
import type { LinearKey } from '../../runtime/model/names.ts'
import { freshState } from '../../runtime/model/optimizer.ts'
import type { Stage } from '../../runtime/model/stage.ts'
import { countWork } from '../../runtime/model/work.ts'
import { BUILDS, openKernelBuild } from '../kernels.ts'
import { expectBits } from '../split/bits.ts'

test('products: two flops for each multiply-add, three tensors, four bytes a value', () => {
  assert.equal(count.productCost(2, 3, 5), { multiplyAdds: 30, flops: 60, bytes: 4 * (6 + 10 + 15) })
  assert.equal(count.productCost(2, 3, 5, true).bytes, 4 * (6 + 10 + 2 * 15))
})

test('a linear layer with its pair, forward and backward', () => {
  // N 2, O 3, I 5, R 1: x·W and two thin products, t scaled.
  assert.equal(count.linearCost(2, 3, 5, 1, 'f32'), { multiplyAdds: 30 + 10 + 6, flops: 92 + 2, bytes: 4 * (10 + 15 + 3 + 6 + 5 + 3 + 2) })
  assert.equal(count.linearCost(2, 3, 5, 0, 'f32'), { multiplyAdds: 30, flops: 60, bytes: 4 * (10 + 15 + 3 + 6) })
  // dy·W, dy·B, dt·A, dyᵀ·t, dtᵀ·x; dy, W, dx twice, three times both matrices, t, x.
  const full = { N: 2, O: 3, I: 5, R: 1, format: 'f32', wanted: true, accumulate: true } as const
  assert.equal(count.linearBackwardCost(full), {
    multiplyAdds: 30 + 6 + 10 + 6 + 10, flops: 124 + 2, bytes: 4 * (6 + 15 + 20 + 24 + 2 + 10),
  })
  // Without dx: neither W nor the product with A.
  assert.equal(count.linearBackwardCost({ ...full, wanted: false }),
    { multiplyAdds: 6 + 6 + 10, flops: 44 + 2, bytes: 4 * (6 + 24 + 2 + 10) })
  // A trained weight: dyᵀ·x and the sum of dy; dW and db twice, x once.
  assert.equal(count.linearBackwardCost({ ...full, R: 0, accumulate: false, weight: true }), {
    multiplyAdds: 60, flops: 120 + 6, bytes: 4 * (6 + 15 + 10 + 10 + 2 * 18),
  })
})

test('weights in fewer bytes: theirs and their scales, and a multiplication for each value that is widened', () => {
  const f32 = count.linearCost(2, 3, 5, 1, 'f32')
  assert.equal(count.linearCost(2, 3, 5, 1, 'f16'), { ...f32, flops: f32.flops + 15, bytes: f32.bytes - 2 * 15 })
  assert.equal(count.linearCost(2, 3, 5, 1, 'int8'), { ...f32, flops: f32.flops + 15, bytes: f32.bytes - 3 * 15 + 4 * 3 })
  const back = { N: 2, O: 3, I: 5, R: 1, wanted: true, accumulate: true }
  const wide = count.linearBackwardCost({ ...back, format: 'f32' })
  assert.equal(count.linearBackwardCost({ ...back, format: 'int8' }),
    { ...wide, flops: wide.flops + 15, bytes: wide.bytes - 3 * 15 + 4 * 3 })
  // Without dx the weight is not read.
  const apart = { ...back, wanted: false }
  assert.equal(count.linearBackwardCost({ ...apart, format: 'int8' }), count.linearBackwardCost({ ...apart, format: 'f32' }))
  assert.equal(count.embeddingCost(2, 3, 'f32'), { multiplyAdds: 0, flops: 12, bytes: 4 * (18 + 6 + 2) })
  assert.equal(count.embeddingCost(2, 3, 'int8'), { multiplyAdds: 0, flops: 12 + 18, bytes: 18 + 4 * 6 + 4 * (6 + 2) })
})

test('attention: squares of each length', () => {
  // C 4, H 2: 4 + 9 squares.
  assert.equal(count.attentionCost([2, 3], 2, 4), { multiplyAdds: 2 * 4 * 13, flops: 208 + 30 * 2 * 13, bytes: 4 * 4 * 5 * 4 })
  assert.equal(count.attentionBackwardCost([2, 3], 2, 4), { multiplyAdds: 5 * 4 * 13, flops: 520 + 35 * 2 * 13, bytes: 4 * 7 * 5 * 4 })
})

test('conversions and checksums count bytes', () => {
  assert.equal(count.checksumCost(9), { multiplyAdds: 0, flops: 0, bytes: 9 })
  assert.equal(count.halfCost(3), { multiplyAdds: 0, flops: 0, bytes: 18 })
  assert.equal(count.quantizeCost(2, 3), { multiplyAdds: 0, flops: 36, bytes: 4 * 6 + 4 * 2 + 6 })
  assert.is(count.adamwCost(3).bytes, 4 * 21)
})

const CONFIG = {
  vocabSize: 37, hiddenSize: 12, layers: 2, heads: 3, intermediateSize: 20, positionsMax: 8, typesMax: 2, layerNormEps: 1e-12, labels: [],
}
const ALL: readonly LinearKey[] = ['query', 'key', 'value', 'attention', 'up', 'down']

type Shape = { cut: number; layers: number; targets: readonly LinearKey[]; format?: WeightFormat; batch?: number }

function shapeOf({ cut, layers, targets, format, batch = 3 }: Shape): StepShape {
  return { config: { ...CONFIG, layers }, cut, labels: 3, adapter: { rank: 2, alpha: 4, targets }, batch, length: 5, stage: { format } }
}

async function open(shape: StepShape, build: (typeof BUILDS)[number] = 'simd'): Promise<Stage> {
  const stage = await openStep(await openKernelBuild(build), shape, drawWeights(), breakdownBytes(shape.batch * shape.length, 12, 20))
  // A B of zeros would leave A without a gradient.
  const state = stage.readSet(0)
  stage.writeSet(0, freshState(state.params.map((value, i) => (value === 0 ? ((i % 7) - 3) / 16 : value))))
  return stage
}

const LENGTHS = [5, 2, 4]
const total = (parts: readonly Part[], phase: Part['phase']) =>
  parts.reduce((sum, part) => sum + (part.phase === phase ? part.count * part.cost.multiplyAdds : 0), 0)

test('the parts of a step have all of its multiply-adds', async () => {
  for (const [cut, layers] of [[1, 2], [2, 3], [2, 2], [1, 1]]) {
    for (const targets of [['query', 'value'], ALL, ['down']] as LinearKey[][]) {
      const stage = await open(shapeOf({ cut, layers, targets }))
      stepCalls(stage, LENGTHS).forward()
      const parts = listParts(stage, LENGTHS)
      const { forward, backward } = countWork(stage.spec, LENGTHS)
      assert.equal([total(parts, 'forward'), total(parts, 'backward')], [forward, backward],
        `blocks 0-${cut} of ${layers}, ${targets.join()}`)
    }
  }
})

const gradientOf = (stage: Stage) => stage.view(stage.plan.setGrads, stage.plan.sets[0].layout.count).slice()

/** Calls in the step's order: of parts that follow one another in chunks, the first chunk of each before the second of any. */
function runParts(parts: readonly Part[]): void {
  for (let first = 0; first < parts.length;) {
    const chunks = parts[first].calls.length
    const end = parts.findIndex(({ calls }, index) => index > first && (chunks === 1 || calls.length !== chunks))
    const group = parts.slice(first, end < 0 ? parts.length : end)
    for (let chunk = 0; chunk < chunks; chunk++) for (const { calls } of group) calls[chunk]()
    first += group.length
  }
}

/** Forward, backward, then the same by parts on memory where whatever both write is NaN. */
async function expectSame(shape: StepShape, lengths: readonly number[], build: (typeof BUILDS)[number]): Promise<readonly Part[]> {
  const stage = await open(shape, build)
  const { forward, backward } = stepCalls(stage, lengths)
  forward()
  const out = stage.activation(), logits = stage.plan.head ? stage.logits() : null
  backward()
  const gradient = gradientOf(stage)
  assert.ok(gradient.every((value) => value !== 0 && Number.isFinite(value)), 'a gradient everywhere')
  forward()
  const parts = listParts(stage, lengths)
  stage.view(stage.plan.out, out.length).fill(NaN)
  const { reserve, scratch, scratchBytes } = stage.plan
  stage.view(reserve, breakdownBytes(shape.batch * shape.length, 12, 20) / 4).fill(NaN)
  stage.view(scratch, scratchBytes / 4).fill(NaN)
  const { x, ...others } = stage.plan.saved[0].fields
  // All are at least two values wide.
  for (const address of Object.values(others)) if (address) stage.view(address, 2 * (out.length / 12)).fill(NaN)
  runParts(parts.filter(({ phase }) => phase === 'forward'))
  expectBits(stage.activation(), out, 'activation')
  if (logits) expectBits(stage.logits(), logits, 'logits')
  runParts(parts.filter(({ phase }) => phase === 'backward'))
  expectBits(gradientOf(stage), gradient, 'gradient')
  return parts
}

for (const build of BUILDS) {
  test(`${build}: each part once, in order, is the step, to the bit`, async () => {
    for (const layers of [2, 1]) {
      for (const targets of [ALL, ['query', 'value'], ['up'], ['attention', 'down']] as LinearKey[][]) {
        for (const format of ['f32', 'f16', 'int8'] as const) await expectSame(shapeOf({ cut: 1, layers, targets, format }), LENGTHS, build)
      }
    }
  })

  test(`${build}: so it is where the feed-forward part goes in chunks`, async () => {
    const shape = shapeOf({ cut: 1, layers: 2, targets: ['query', 'value'], batch: 103 })
    const parts = await expectSame(shape, new Array<number>(103).fill(5), build)
    const chunked = parts.filter(({ calls }) => calls.length === 3).map(({ phase, operation }) => `${phase} ${operation}`)
    assert.equal(chunked, [
      'forward up linear', 'forward gelu', 'forward down linear', 'backward down linear', 'backward gelu', 'backward up linear',
    ])
  })
}

test('a part run again and again keeps its values: neither out of range nor dwindled to nothing', async () => {
  const stage = await open(shapeOf({ cut: 1, layers: 1, targets: ALL }))
  stepCalls(stage, LENGTHS).forward()
  const parts = listParts(stage, LENGTHS)
  for (const part of parts) for (let call = 0; call < 200; call++) runPart(part)
  assert.ok(gradientOf(stage).every((value) => Number.isFinite(value) && Math.abs(value) > 1e-30))
})

test('sizes of a step: rows up to the batch, in texts of at most its length', () => {
  const shape = shapeOf({ cut: 1, layers: 2, targets: ALL })
  assert.equal(stepSizes(shape, [20, 4, 7]), [[4], [5, 2], [5, 5, 5]])
  assert.equal(stepSizes(shape, [15]), [[5, 5, 5]])
})

test('rates of a step count two flops for each multiply-add of its work', async () => {
  const stage = await open(shapeOf({ cut: 1, layers: 2, targets: ALL }))
  const { forward, backward } = countWork(stage.spec, LENGTHS)
  assert.equal(rateStep(stage, LENGTHS, 2, 4), {
    rows: 11, forwardMs: 2, backwardMs: 4, forwardGflops: forward / 1e6, backwardGflops: backward / 2e6,
  })
})

test.run()
