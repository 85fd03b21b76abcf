/** The float64 oracle against PyTorch: forward values, and gradients by central differences. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  classify, erf, erfc, gelu, layerNorm, predictMasked, runBlocks, runEmbeddings, softmax, stepAdamW, tanh,
} from './bert.ts'
import type { Batch, Tensor } from './bert.ts'
import { centralDifferences, dot, sampleIndices, slopeAt } from './gradient.ts'
import { goldenConfig as config, goldenIntegers, goldenNumber, goldenTensor, goldenTensors } from './golden.ts'

/** PyTorch's float32 forward pass against float64. */
const F32_TOLERANCE = 1e-5
const F64_TOLERANCE = 1e-12
const GRADIENT_TOLERANCE = 1e-6
/**
 * A gradient is compared relative to its tensor's largest element, or to this
 * where that is smaller: softmax does not see the key's bias, so its true
 * gradient is zero and what is left is rounding.
 */
const GRADIENT_FLOOR = 1e-3
const SAMPLE = { count: 5, seed: 1 }

function maxAbs(values: ArrayLike<number>): number {
  return Array.from(values).reduce((max, value) => Math.max(max, Math.abs(value)), 0)
}

/** Every element within tolerance · scale, by default the largest magnitude expected. NaN fails. */
function close(
  actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number, what: string, scale = maxAbs(expected),
): void {
  assert.is(actual.length, expected.length, `${what}: length`)
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(actual[i] - expected[i])
    assert.ok(error <= tolerance * scale, `${what}[${i}]: expected ${expected[i]}, got ${actual[i]}`)
  }
}

/** Each element within tolerance of its own magnitude. */
function closeEach(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number, what: string): void {
  assert.is(actual.length, expected.length, `${what}: length`)
  for (let i = 0; i < expected.length; i++) close([actual[i]], [expected[i]], tolerance, `${what}, element ${i}`)
}

/**
 * Slopes of `loss` against the golden gradients: in each tensor a seeded sample,
 * and the element whose gradient is largest (a sample of an embedding table may
 * meet unused words only).
 */
function closeGradients(loss: () => number, tensors: ReadonlyMap<string, Tensor>, prefix: string): void {
  for (const [name, { indices, values }] of centralDifferences(loss, tensors, SAMPLE)) {
    const { data, shape } = tensors.get(name)!
    const expected = goldenTensor(`${prefix}${name}`)
    assert.equal(expected.shape, shape, `${prefix}${name}: shape`)
    const scale = Math.max(maxAbs(expected.data), GRADIENT_FLOOR)
    const sampled = Array.from(indices, (index) => expected.data[index])
    close(values, sampled, GRADIENT_TOLERANCE, `${prefix}${name} at ${indices}`, scale)

    const largest = expected.data.findIndex((value) => Math.abs(value) === maxAbs(expected.data))
    const slope = slopeAt(loss, data, largest)
    close([slope], [expected.data[largest]], GRADIENT_TOLERANCE, `${prefix}${name} at ${largest}`, scale)
  }
}

const batch: Batch = {
  ids: goldenIntegers('in.ids'),
  types: goldenIntegers('in.types'),
  offsets: goldenIntegers('in.offsets'),
}
const labels = goldenIntegers('in.labels')
const weights = goldenTensors('weight.')
const width = goldenTensor('out.hidden.0').shape[1]

const maskedBatch: Batch = { ...batch, ids: goldenIntegers('mlm.in.ids') }
const maskedRows = goldenIntegers('mlm.in.rows')
const targets = goldenIntegers('mlm.in.targets')
const isFrozenEncoder = (name: string) => /^(embeddings|encoder)\./.test(name) && !name.includes('.lora_')
const maskedWeights = new Map([...[...weights].filter(([name]) => isFrozenEncoder(name)), ...goldenTensors('mlm.weight.')])

function encode(model: ReadonlyMap<string, Tensor>, input: Batch): Float64Array[] {
  return runBlocks(model, config, 0, config.layers, runEmbeddings(model, config, input), input.offsets)
}

/** The hidden state at `cut`, as the source of what follows it: blocks, then `head`. */
function closeGradientAtCut(
  cut: number, states: readonly Float64Array[], prefix: string, run: (hidden: Float64Array) => number,
): void {
  const data = states[cut].slice()
  const source = new Map([[`hidden.${cut}`, { shape: [data.length / width, width], data }]])
  closeGradients(() => run(data), source, prefix)
}

test('erf and erfc', () => {
  const points = goldenTensor('op.points').data
  closeEach(points.map(erf), goldenTensor('op.erf').data, 1e-15, 'erf')
  // Φ from PyTorch's erfc, through gelu(x) / x.
  const expected = goldenTensor('op.gelu').data.map((value, i) => (2 * value) / points[i])
  for (let i = 0; i < points.length; i++) {
    if (points[i] !== 0) close([erfc(-points[i] / Math.SQRT2)], [expected[i]], 1e-13, `erfc at ${points[i]}`)
  }
  assert.is(erf(0), 0)
  assert.is(erfc(0), 1)
})

test('gelu and tanh, values and slopes', () => {
  const points = goldenTensor('op.points').data
  closeEach(gelu(points), goldenTensor('op.gelu').data, 1e-13, 'gelu')
  closeEach(tanh(points), goldenTensor('op.tanh').data, 1e-14, 'tanh')
  const slopes = Float64Array.from(points, (_, i) => slopeAt(() => gelu(points.subarray(i, i + 1))[0], points, i))
  close(slopes, goldenTensor('op.gelu.grad').data, 1e-8, 'gelu slope')
})

test('softmax rows, values and slopes', () => {
  const { shape: [N, C], data } = goldenTensor('op.softmax.in')
  closeEach(softmax(data, N, C), goldenTensor('op.softmax').data, F64_TOLERANCE, 'softmax')
  const dOut = goldenTensor('op.softmax.dOut').data
  const slopes = centralDifferences(() => dot(softmax(data, N, C), dOut), new Map([['in', { data }]]))
  close(slopes.get('in')!.values, goldenTensor('op.softmax.grad.in').data, 1e-6, 'softmax slope')
})

test('layerNorm rows, values and slopes', () => {
  const input = goldenTensor('op.layerNorm.in')
  const [N, C] = input.shape
  const gain = goldenTensor('op.layerNorm.gain')
  const bias = goldenTensor('op.layerNorm.bias')
  const dOut = goldenTensor('op.layerNorm.dOut').data
  const run = () => layerNorm(input.data, gain.data, bias.data, config.layerNormEps, N, C)
  close(run(), goldenTensor('op.layerNorm').data, F64_TOLERANCE, 'layerNorm')
  // Row 2 has a deviation of 1e-3: there the step 1e-5 truncates at about (1e-5 / 1e-3)².
  const slopes = centralDifferences(() => dot(run(), dOut), new Map([['in', input], ['gain', gain], ['bias', bias]]))
  close(slopes.get('in')!.values, goldenTensor('op.layerNorm.grad.in').data, 1e-4, 'layerNorm slope')
  close(slopes.get('gain')!.values, goldenTensor('op.layerNorm.grad.gain').data, 1e-7, 'layerNorm gain slope')
  close(slopes.get('bias')!.values, goldenTensor('op.layerNorm.grad.bias').data, 1e-7, 'layerNorm bias slope')
})

test('AdamW, with and without weight decay', () => {
  const { shape: [steps, length], data: gradients } = goldenTensor('adamw.in.gradient')
  for (const [name, weightDecay] of [['plain', 0], ['decay', goldenNumber('adamw_weight_decay')]] as const) {
    const rows = goldenTensors(`adamw.${name}.`)
    const optimiser = {
      learningRate: goldenNumber('adamw_lr'),
      beta1: goldenNumber('adamw_beta1'),
      beta2: goldenNumber('adamw_beta2'),
      eps: goldenNumber('adamw_eps'),
      weightDecay,
    }
    const parameter = goldenTensor('adamw.in.parameter').data
    const first = new Float64Array(length)
    const second = new Float64Array(length)
    for (let t = 0; t < steps; t++) {
      const row = (values: Float64Array) => values.subarray(t * length, (t + 1) * length)
      stepAdamW(parameter, first, second, row(gradients), t + 1, optimiser)
      closeEach(parameter, row(rows.get('parameter')!.data), F64_TOLERANCE, `${name}.parameter after step ${t + 1}`)
      closeEach(first, row(rows.get('exp_avg')!.data), F64_TOLERANCE, `${name}.exp_avg after step ${t + 1}`)
      closeEach(second, row(rows.get('exp_avg_sq')!.data), F64_TOLERANCE, `${name}.exp_avg_sq after step ${t + 1}`)
    }
  }
})

test('classification forward', () => {
  const states = encode(weights, batch)
  const { pooled, logits, loss } = classify(weights, config, states[config.layers], batch.offsets, labels)
  states.forEach((hidden, cut) => close(hidden, goldenTensor(`out.hidden.${cut}`).data, F32_TOLERANCE, `hidden.${cut}`))
  close(pooled, goldenTensor('out.pooled').data, F32_TOLERANCE, 'pooled')
  close(logits, goldenTensor('out.logits').data, F32_TOLERANCE, 'logits')
  close([loss], goldenTensor('out.loss').data, F32_TOLERANCE, 'loss')
  close(logits, goldenTensor('out.logits.f64').data, F64_TOLERANCE, 'logits.f64')
  close([loss], goldenTensor('out.loss.f64').data, F64_TOLERANCE, 'loss.f64')
})

test('classification gradients of every tensor', () => {
  const loss = () => classify(weights, config, encode(weights, batch)[config.layers], batch.offsets, labels).loss
  assert.is(weights.size, [...goldenTensors('grad.').keys()].filter((name) => !name.startsWith('hidden.')).length)
  closeGradients(loss, weights, 'grad.')
})

test('classification gradients of every cut', () => {
  const states = encode(weights, batch)
  for (let cut = 0; cut <= config.layers; cut++) {
    closeGradientAtCut(cut, states, 'grad.', (hidden) => {
      const last = runBlocks(weights, config, cut, config.layers, hidden, batch.offsets)[config.layers - cut]
      return classify(weights, config, last, batch.offsets, labels).loss
    })
  }
})

test('masked prediction forward, without adapters', () => {
  const states = encode(maskedWeights, maskedBatch)
  const { logits, loss } = predictMasked(maskedWeights, config, states[config.layers], maskedRows, targets)
  states.forEach((hidden, cut) => close(hidden, goldenTensor(`mlm.out.hidden.${cut}`).data, F32_TOLERANCE, `mlm.hidden.${cut}`))
  close(logits, goldenTensor('mlm.out.logits').data, F32_TOLERANCE, 'mlm.logits')
  close([loss], goldenTensor('mlm.out.loss').data, F32_TOLERANCE, 'mlm.loss')
  close(logits, goldenTensor('mlm.out.logits.f64').data, F64_TOLERANCE, 'mlm.logits.f64')
  close([loss], goldenTensor('mlm.out.loss.f64').data, F64_TOLERANCE, 'mlm.loss.f64')
})

test('masked prediction gradients of every tensor', () => {
  const loss = () =>
    predictMasked(maskedWeights, config, encode(maskedWeights, maskedBatch)[config.layers], maskedRows, targets).loss
  assert.is(maskedWeights.size, [...goldenTensors('mlm.grad.').keys()].filter((name) => !name.startsWith('hidden.')).length)
  closeGradients(loss, maskedWeights, 'mlm.grad.')
})

test('masked prediction gradients of every cut', () => {
  const states = encode(maskedWeights, maskedBatch)
  for (let cut = 0; cut <= config.layers; cut++) {
    closeGradientAtCut(cut, states, 'mlm.grad.', (hidden) => {
      const last = runBlocks(maskedWeights, config, cut, config.layers, hidden, batch.offsets)[config.layers - cut]
      return predictMasked(maskedWeights, config, last, maskedRows, targets).loss
    })
  }
})

test('samples are seeded, distinct and within range', () => {
  const sample = sampleIndices(100, 20, 7)
  assert.equal(sample, sampleIndices(100, 20, 7))
  assert.not.equal(sample, sampleIndices(100, 20, 8))
  assert.is(new Set(sample).size, 20)
  assert.ok(sample.every((index) => index >= 0 && index < 100))
  assert.equal(Array.from(sampleIndices(3, 20, 7)), [0, 1, 2])
})

test.run()
