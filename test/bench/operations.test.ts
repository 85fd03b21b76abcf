/** Every operation of the bench runs within the memory that it asks for, and gives finite values. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  adamwOperation, bytesOfOperation, cutRows, drawIds, listOperations, listProducts, openArena, openOperation,
} from '../../runtime/bench/operations.ts'
import type { Operation } from '../../runtime/bench/operations.ts'
import { PRESETS, drawWeights, fillDrawn, presetConfig } from '../../runtime/bench/presets.ts'
import { PAGE_BYTES } from '../../runtime/kernel/load.ts'
import { checkOracle, openArena as openKernelArena, runCase } from '../kernel/arena.ts'
import { BUILDS, openKernelBuild } from '../kernels.ts'

const CONFIG = {
  vocabSize: 41, hiddenSize: 12, layers: 2, heads: 3, intermediateSize: 20, positionsMax: 8, typesMax: 2, layerNormEps: 1e-12, labels: [],
}
const OPERATIONS = [...listProducts(CONFIG, 11, 'f32'), ...listOperations(CONFIG, 11, 4, 'f32'), adamwOperation(37)]
/** What there is besides, or otherwise, where weights are held in less. */
const HELD = (['f16', 'int8'] as const).flatMap((format) =>
  [...listProducts(CONFIG, 11, format), ...listOperations(CONFIG, 11, 4, format)].filter(({ sizes }) => sizes.endsWith(format)))
const nameOf = ({ case: { operation }, sizes }: Operation) => `${operation} ${sizes}`
/** Some of their tensors are no f32. */
const NARROW = ['crc32c', 'narrowF16', 'widenF16', 'quantizeRows', 'dequantizeRows']

for (const build of BUILDS) {
  test(`${build}: each in an arena of its own, again and again`, async () => {
    const kernel = await openKernelBuild(build)
    for (const operation of [...OPERATIONS, ...HELD]) {
      const arena = await openArena(kernel, [operation])
      assert.is(arena.buffer.byteLength % PAGE_BYTES, 0)
      const run = openOperation(arena, operation)
      for (let call = 0; call < 50; call++) run()
      const wide = !NARROW.includes(operation.case.operation) && !HELD.includes(operation)
      assert.ok(!wide || new Float32Array(arena.buffer).every(Number.isFinite), nameOf(operation))
    }
  })
}

test('each operation works on what it names: the same call again changes nothing but sums', async () => {
  const kernel = await openKernelBuild('simd')
  for (const operation of [...OPERATIONS, ...HELD].filter((one) => !['matmulBackwardWeight', 'linearBackward', 'add', 'adamw'].includes(one.case.operation))) {
    const arena = await openArena(kernel, [operation])
    const run = openOperation(arena, operation)
    const bytes = new Uint8Array(arena.buffer)
    const before = bytes.slice()
    run()
    const after = bytes.slice()
    run()
    assert.equal(bytes, after, nameOf(operation))
    assert.ok(operation.case.operation === 'crc32c' || after.some((byte, i) => byte !== before[i]), nameOf(operation))
  }
})

test('held in less: the layer both ways and the embedding, whose bytes are fewer', () => {
  assert.equal(HELD.map(nameOf), ['f16', 'int8'].flatMap((format) => [
    `linear 11 × 12 → 20, ${format}`, `linearBackward 11 × 12 → 20, ${format}`, `embedding 11 × 12 of 41, ${format}`,
  ]))
  const bytes = (name: string) => HELD.filter((one) => one.case.operation === name).map(({ cost }) => cost.bytes)
  // x, bias and y; 240 weights of two bytes, or of one with 20 scales. Ids and out; three rows of 12 for each of 11.
  assert.equal(bytes('linear'), [4 * (132 + 20 + 220) + 480, 4 * (132 + 20 + 220) + 240 + 80])
  assert.equal(bytes('embedding'), [4 * (11 + 132) + 2 * 396, 4 * (11 + 132) + 396 + 4 * 33])
})

test('what is timed is a case of the table: held against the oracle at these sizes', async () => {
  const arena = await openKernelArena('simd')
  for (const { case: it } of [...OPERATIONS, ...HELD]) checkOracle(it, runCase(arena, it))
})

test('costs: every operation moves bytes, all but moves and checksums compute', () => {
  const without = OPERATIONS.filter(({ cost }) => cost.flops === 0).map((one) => one.case.operation)
  assert.equal(without, ['crc32c', 'narrowF16', 'widenF16'])
  assert.ok(OPERATIONS.every(({ cost }) => cost.bytes > 0))
  const names = OPERATIONS.map(nameOf)
  assert.is(new Set(names).size, names.length)
})

test('an arena fits the largest of its operations', async () => {
  const kernel = await openKernelBuild('simd')
  const large = listProducts(CONFIG, 5000, 'f32')
  const arena = await openArena(kernel, [...OPERATIONS, ...large])
  assert.is(arena.buffer.byteLength, Math.max(...large.map((operation) => bytesOfOperation(operation, kernel))))
})

test('rows in sequences, ids below the vocabulary, values within their bound', () => {
  assert.equal(cutRows(11, 4), [4, 4, 3])
  assert.equal(cutRows(3, 4), [3])
  assert.ok(drawIds(500, 7).every((id) => id >= 0 && id < 7))
  const values = new Float32Array(200_000).fill(9)
  fillDrawn(values, 0.5)
  assert.ok(values.every((value) => Math.abs(value) <= 0.5))
  assert.is(values[65536], values[0])
  assert.ok(new Set(values).size > 60_000)
})

test('presets are BERT\'s sizes; drawn norms begin as they do in training', async () => {
  assert.equal(PRESETS.map((preset) => presetConfig(preset).hiddenSize), [128, 256, 768])
  const weights = drawWeights()
  const read = async (name: string) => new Float32Array((await weights.read(name, [3])).data.buffer)
  assert.equal([...await read('embeddings.LayerNorm.weight')], [1, 1, 1])
  assert.equal([...await read('embeddings.LayerNorm.bias')], [0, 0, 0])
  assert.ok((await read('encoder.layer.0.output.dense.weight')).every((value) => value !== 0 && Math.abs(value) < 0.035))
})

test.run()
