/** Every operation of the bench runs within the memory that it asks for, and gives finite values. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { adamwOperation, cutRows, drawIds, listOperations, listProducts, offsetsOf, openArena } from '../../runtime/bench/operations.ts'
import { PRESETS, drawWeights, fillDrawn, presetConfig } from '../../runtime/bench/presets.ts'
import { PAGE_BYTES } from '../../runtime/kernel/load.ts'
import { BUILDS, openKernelBuild } from '../kernels.ts'

const CONFIG = {
  vocabSize: 41, hiddenSize: 12, layers: 2, heads: 3, intermediateSize: 20, positionsMax: 8, typesMax: 2, layerNormEps: 1e-12, labels: [],
}
const OPERATIONS = [...listProducts(CONFIG, 11), ...listOperations(CONFIG, 11, 4), adamwOperation(37)]
/** Some of their tensors are no f32. */
const NARROW = ['crc32c', 'narrowF16', 'widenF16', 'quantizeRows', 'dequantizeRows']

for (const build of BUILDS) {
  test(`${build}: each in an arena of its own, again and again`, async () => {
    const kernel = await openKernelBuild(build)
    for (const operation of OPERATIONS) {
      const arena = await openArena(kernel, [operation])
      assert.is(arena.memory.f32.byteLength % PAGE_BYTES, 0)
      const run = operation.open(arena)
      for (let call = 0; call < 50; call++) run()
      assert.ok(NARROW.includes(operation.operation) || arena.memory.f32.every(Number.isFinite), operation.operation)
    }
  })
}

test('each operation works on what it names: the same call again changes nothing but sums', async () => {
  const kernel = await openKernelBuild('simd')
  for (const operation of OPERATIONS.filter((one) => !['matmulBackwardWeight', 'adamw'].includes(one.operation))) {
    const arena = await openArena(kernel, [operation])
    const run = operation.open(arena)
    const before = arena.memory.bytes.slice()
    run()
    const after = arena.memory.bytes.slice()
    run()
    assert.equal(arena.memory.bytes, after, operation.operation)
    assert.ok(operation.operation === 'crc32c' || after.some((byte, i) => byte !== before[i]), operation.operation)
  }
})

test('costs: every operation moves bytes, all but moves and checksums compute', () => {
  const without = OPERATIONS.filter(({ cost }) => cost.flops === 0).map(({ operation }) => operation)
  assert.equal(without, ['crc32c', 'narrowF16', 'widenF16'])
  assert.ok(OPERATIONS.every(({ cost }) => cost.bytes > 0))
  const names = OPERATIONS.map(({ operation, sizes }) => `${operation} ${sizes}`)
  assert.is(new Set(names).size, names.length)
})

test('an arena fits the largest of its operations', async () => {
  const kernel = await openKernelBuild('simd')
  const large = listProducts(CONFIG, 5000)
  const arena = await openArena(kernel, [...OPERATIONS, ...large])
  assert.is(arena.memory.f32.byteLength, Math.max(...large.map((operation) => operation.bytes(kernel))))
})

test('rows in sequences, ids below the vocabulary, values within their bound', () => {
  assert.equal(cutRows(11, 4), [4, 4, 3])
  assert.equal(cutRows(3, 4), [3])
  assert.equal([...offsetsOf([4, 4, 3])], [0, 4, 8, 11])
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
