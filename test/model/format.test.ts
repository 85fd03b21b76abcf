/** Weights held in f16 and int8: a stage gives the bits of one in f32 whose weights were rounded in the same way. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { KernelExports } from '../../runtime/kernel/abi.ts'
import type { WeightFormat } from '../../runtime/kernel/format.ts'
import { WEIGHT_FORMATS } from '../../runtime/kernel/format.ts'
import type { Kernel } from '../../runtime/kernel/load.ts'
import { TILES, createMemory, instantiate, openKernel } from '../../runtime/kernel/load.ts'
import type { ModelConfig } from '../../runtime/model/config.ts'
import { countOf } from '../../runtime/model/layout.ts'
import type { TensorShape } from '../../runtime/model/names.ts'
import { LINEARS } from '../../runtime/model/names.ts'
import type { StageSpec } from '../../runtime/model/plan.ts'
import { planStage, weightTensors } from '../../runtime/model/plan.ts'
import { ADAMW } from '../../runtime/model/optimizer.ts'
import { Stage } from '../../runtime/model/stage.ts'
import { placeWeight } from '../../runtime/model/weights.place.ts'
import type { WeightDtype, Weights } from '../../runtime/model/weights.ts'
import { createRandom } from '../../runtime/random.ts'
import { BUILDS, openKernelBuild } from '../kernels.ts'
import { refusal, refusalOf } from '../refusal.ts'

/** The word table is larger than a small stage's scratch, through which weights are rounded some rows at a time. */
const CONFIG: ModelConfig = {
  vocabSize: 301, hiddenSize: 24, layers: 3, heads: 3, intermediateSize: 35, positionsMax: 12, typesMax: 2, layerNormEps: 1e-12, labels: [],
}
const LENGTHS = [9, 1, 12]
const WHOLE: StageSpec = {
  config: CONFIG, from: 0, to: 3, labels: 4, adapter: { rank: 3, alpha: 5, targets: LINEARS.map(({ key }) => key) },
  training: 'adapters', setsFrom: [0],
  rows: 22, sequences: 3, longest: 12,
}
const SPECS: Readonly<Record<string, StageSpec>> = {
  'a whole model': WHOLE,
  'a device': { ...WHOLE, to: 1, adapter: { ...WHOLE.adapter!, targets: ['query', 'value'] } },
  'a server, recomputing': { ...WHOLE, from: 1, setsFrom: [1], recompute: true },
  inference: { ...WHOLE, training: 'none', adapter: null, setsFrom: [] },
}

type Values = Map<string, Float32Array>

const TENSORS = weightTensors(SPECS.inference)

function drawWeights(): Values {
  return new Map(TENSORS.map(({ name, shape }, index) => {
    const random = createRandom(6, 'weights', index)
    const gain = name.endsWith('LayerNorm.weight') ? 1 : 0
    return [name, Float32Array.from({ length: countOf(shape) }, () => gain + 0.8 * (random.uniform() - 0.5))]
  }))
}

const { module } = await openKernelBuild('simd')
const memory = createMemory(4, false)
const kernel: KernelExports = await instantiate(module, memory, TILES[0])
/** Room for the largest tensor each. */
const [FROM, TO, SCALES] = [64, 64 + 65536, 64 + 2 * 65536]

const copy = (address: number, bytes: number) => new Uint8Array(memory.buffer, address, bytes).slice()

/** A tensor's bytes as a file of this type has them. */
function store(values: Float32Array, dtype: WeightDtype): Uint8Array {
  if (dtype === 'F32') return new Uint8Array(values.slice().buffer)
  if (dtype === 'BF16') return new Uint8Array(Uint16Array.from(new Uint32Array(values.slice().buffer), (bits) => bits >>> 16).buffer)
  new Float32Array(memory.buffer, FROM, values.length).set(values)
  kernel.narrowF16(TO, FROM, values.length)
  return copy(TO, 2 * values.length)
}

function load(bytes: Uint8Array, dtype: WeightDtype, count: number): Float32Array {
  if (dtype === 'F32') return new Float32Array(bytes.slice().buffer)
  new Uint8Array(memory.buffer, FROM, bytes.length).set(bytes)
  if (dtype === 'F16') kernel.widenF16(TO, FROM, count)
  else kernel.widenBF16(TO, FROM, count)
  return new Float32Array(copy(TO, 4 * count).buffer)
}

/** What a matrix means once it has been held in `format`; int8 by rows. */
function round(values: Float32Array, rows: number, format: WeightFormat): Float32Array {
  const count = values.length
  new Float32Array(memory.buffer, FROM, count).set(values)
  if (format === 'int8') {
    kernel.quantizeRows(TO, SCALES, FROM, rows, count / rows)
    kernel.dequantizeRows(FROM, TO, SCALES, rows, count / rows)
  } else if (format === 'f16') {
    kernel.narrowF16(TO, FROM, count)
    kernel.widenF16(FROM, TO, count)
  }
  return new Float32Array(copy(FROM, 4 * count).buffer)
}

const isHeld = ({ name, shape }: TensorShape) => shape.length === 2 && !name.startsWith('classifier')

/** As a file of one type gives them. */
function fileOf(values: Values, dtype: WeightDtype): Weights {
  return {
    names: [...values.keys()], has: (name) => values.has(name),
    read: async (name) => ({ dtype, data: store(values.get(name)!, dtype) }),
  }
}

/** The same weights as f32 values, after the file's rounding and the format's. */
function roundAll(values: Values, dtype: WeightDtype, format: WeightFormat): Values {
  return new Map(TENSORS.map((tensor) => {
    const { name, shape } = tensor
    const stored = load(store(values.get(name)!, dtype), dtype, countOf(shape))
    return [name, isHeld(tensor) ? round(stored, shape[0], format) : stored]
  }))
}

/** Everything that two training steps give, or one forward pass. */
async function run(kernel: Kernel, spec: StageSpec, weights: Weights): Promise<Float32Array[]> {
  const stage = await Stage.open(kernel, spec, weights)
  const random = createRandom(7, 'adapter')
  if (spec.adapter) stage.writeSet(0, { ...stage.readSet(0), params: stage.readSet(0).params.map(() => random.uniform() - 0.5) })
  const offsets = Int32Array.from([0, 9, 10, 22])
  const ids = Int32Array.from({ length: 22 }, () => random.below(CONFIG.vocabSize)), types = ids.map((id) => id % 2)
  const activation = Float32Array.from({ length: 22 * CONFIG.hiddenSize }, () => random.uniform() - 0.5)
  const results: Float32Array[] = []
  for (let step = 0; step < 2; step++) {
    stage.forward(spec.from === 0 ? { offsets, ids, types } : { offsets, activation })
    results.push(stage.activation())
    if (stage.plan.head) results.push(stage.logits(), Float32Array.of(stage.loss(Int32Array.from(LENGTHS, (length) => length % 4))))
    if (spec.training === 'none') return results
    stage.clearGradients()
    results.push(stage.backward(stage.plan.head ? undefined : activation) ?? new Float32Array(0))
    stage.update(ADAMW)
    results.push(stage.readSet(0).params)
  }
  return results
}

const DRAWN = drawWeights()

test('inference with its matrices in panels gives the bits of one without, with every tile', async () => {
  const { module: simd } = await openKernelBuild('simd')
  const weights = fileOf(DRAWN, 'F32')
  const exact = await run(await openKernelBuild('scalar'), SPECS.inference, weights)
  for (const tile of TILES) {
    const tiled = await openKernel(simd, 'simd', { tile })
    const spec: StageSpec = { ...SPECS.inference, packed: true }
    const packed = planStage(spec, tiled.exports).weights.tensors.filter((tensor) => tensor.packed)
    // Widths of 24 and 35: whole panels of 8 and 12 columns, none of 16.
    assert.is(packed.length, tile === '5x16' ? 0 : 3 * 5 + 1, tile)
    assert.equal(await run(tiled, spec, weights), exact, tile)
    const inference = await run(tiled, { ...SPECS.inference, format: 'int8' }, weights)
    assert.equal(await run(tiled, { ...spec, format: 'int8' }, weights), inference, `${tile}, int8`)
  }
  const scalar = await openKernelBuild('scalar')
  assert.equal(await run(scalar, { ...SPECS.inference, packed: true }, weights), exact)
})

for (const build of BUILDS) {
  for (const [name, spec] of Object.entries(SPECS)) {
    test(`${build}: ${name} in f16 and int8, from files of every type`, async () => {
      const opened = await openKernelBuild(build)
      const exact = await run(opened, spec, fileOf(DRAWN, 'F32'))
      for (const dtype of ['F32', 'F16', 'BF16'] as const) {
        for (const format of WEIGHT_FORMATS) {
          const what = `${dtype} held as ${format}`
          const actual = await run(opened, { ...spec, format }, fileOf(DRAWN, dtype))
          assert.equal(actual, await run(opened, spec, fileOf(roundAll(DRAWN, dtype, format), 'F32')), what)
          const same = actual[0].every((value, i) => value === exact[0][i])
          assert.is(same, dtype === 'F32' && format === 'f32', `${what}: rounding changes the numbers`)
        }
      }
    })
  }
}

test('a table larger than the room through which it is rounded', async () => {
  const adapter = { ...WHOLE.adapter!, rank: 1, targets: ['query' as const] }
  const spec: StageSpec = { ...WHOLE, to: 1, adapter, rows: 1, sequences: 1, longest: 1 }
  const scalar = await openKernelBuild('scalar')
  const { scratchBytes } = planStage(spec, scalar.exports)
  assert.ok(scratchBytes < 4 * 301 * 24 / 3 && scratchBytes % (4 * 24) !== 0, `${scratchBytes} bytes: several parts, the last one shorter`)
  for (const format of ['f16', 'int8'] as const) {
    for (const dtype of ['F32', 'F16', 'BF16'] as const) {
      const rounded = roundAll(DRAWN, dtype, format)
      const stage = await Stage.open(scalar, { ...spec, format }, fileOf(DRAWN, dtype))
      const expected = await Stage.open(scalar, spec, fileOf(rounded, 'F32'))
      for (let id = 0; id < CONFIG.vocabSize; id++) {
        for (const each of [stage, expected]) each.forward({ offsets: Int32Array.of(0, 1), ids: Int32Array.of(id) })
        assert.equal(stage.activation(), expected.activation(), `${dtype} held as ${format}: token ${id}`)
      }
    }
  }
})

/** The drawn weights with one value of a tensor replaced. */
const spoil = (name: string, index: number, value: number): Values =>
  new Map([...DRAWN].map(([key, values]) => [key, key === name ? values.map((old, i) => (i === index ? value : old)) : values]))

const LAST = 301 * 24 - 1
const WORDS = 'embeddings.word_embeddings.weight', UP = 'encoder.layer.2.intermediate.dense.weight'
const GAIN = 'encoder.layer.1.output.LayerNorm.weight'

test('NaN and infinity are refused by name, in every format', async () => {
  const simd = await openKernelBuild('simd')
  for (const [name, index] of [[WORDS, LAST], [UP, 0], [GAIN, 3]] as const) {
    for (const value of [NaN, Infinity, -Infinity]) {
      for (const format of WEIGHT_FORMATS) {
        for (const dtype of ['F32', 'F16', 'BF16'] as const) {
          const { code, message } = await refusalOf(Stage.open(simd, { ...WHOLE, format }, fileOf(spoil(name, index, value), dtype)))
          const expected = `weights.${name}: expected finite values, got "NaN or infinity"`
          assert.equal([code, message], ['weights.finite', expected], `${dtype} held as ${format}`)
        }
      }
    }
  }
})

test('what f16 cannot hold is refused by name, and held by the other formats', async () => {
  const simd = await openKernelBuild('simd')
  const open = (format: WeightFormat, values: Values, dtype: WeightDtype = 'F32') =>
    Stage.open(simd, { ...WHOLE, format }, fileOf(values, dtype))
  for (const [name, index] of [[WORDS, LAST], [UP, 0]] as const) {
    for (const [value, dtype] of [[65520, 'F32'], [-1e30, 'F32'], [99840, 'BF16']] as const) {
      const { code, message } = await refusalOf(open('f16', spoil(name, index, value), dtype))
      const expected = `weights.${name}: expected values of at most 65504, as f16 holds them, got "a larger one"`
      assert.equal([code, message], ['weights.range', expected])
      for (const format of ['f32', 'int8'] as const) await open(format, spoil(name, index, value), dtype)
    }
    await open('f16', spoil(name, index, 65519))
    await open('f16', spoil(name, index, -65504), 'F16')
  }
  // What is one row is held as f32.
  await open('f16', spoil(GAIN, 3, 1e9))
})

test('the scratch of the smallest plan holds a row of the widest matrix; a room that holds none is refused by name', async () => {
  const scalar = await openKernelBuild('scalar')
  const config = { ...CONFIG, vocabSize: 2, intermediateSize: 4000 }
  for (const spec of Object.values(SPECS)) {
    assert.ok(planStage({ ...spec, config, rows: 1, sequences: 1, longest: 1 }, scalar.exports).scratchBytes >= 4 * 4000)
  }
  const { tensors } = planStage({ ...WHOLE, format: 'int8' }, scalar.exports).weights
  const tensor = tensors.find(({ name }) => name === WORDS)!
  const data = store(DRAWN.get(WORDS)!, 'F32')
  const { code, message } = refusal(() => placeWeight(kernel, memory, tensor, { dtype: 'F32', data }, { address: 64, bytes: 95 }))
  assert.equal([code, message], ['weights.room', `weights.${WORDS}: expected room for 1 rows of 24 values, got "95 bytes"`])
})

test.run()
