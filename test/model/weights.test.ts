import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openWeights } from '../../runtime/model/weights.ts'
import type { ByteSource } from '../../runtime/host/files.ts'
import { encodeSafetensors } from '../../runtime/wire/safetensors.ts'
import type { TensorInput } from '../../runtime/wire/safetensors.ts'
import { refusalOf } from '../refusal.ts'

type Traced = ByteSource & { ranges: [number, number][] }

function sourceOf(bytes: Uint8Array): Traced {
  const ranges: [number, number][] = []
  const read = async (begin: number, end: number) => {
    ranges.push([begin, end])
    return bytes.slice(begin, end)
  }
  return { name: 'model.safetensors', bytes: bytes.length, read, close: async () => {}, ranges }
}

const count = (from: number, bytes: number) => Uint8Array.from({ length: bytes }, (_, i) => (from + i) % 251)

const TENSORS: TensorInput[] = [
  { name: 'bert.pooler.dense.weight', dtype: 'F32', shape: [3, 5], data: count(1, 60) },
  { name: 'pooler.dense.bias', dtype: 'F16', shape: [3], data: count(100, 6) },
  { name: 'bert.embeddings.LayerNorm.gamma', dtype: 'BF16', shape: [7], data: count(50, 14) },
  { name: 'bert.embeddings.position_ids', dtype: 'I64', shape: [1, 2], data: count(9, 16) },
  { name: 'scale', dtype: 'F32', shape: [], data: count(3, 4) },
]

test('reads each tensor under its canonical name and nothing more of the file', async () => {
  const source = sourceOf(encodeSafetensors(TENSORS))
  const weights = await openWeights(source)
  assert.equal([...weights.names].sort(), [
    'embeddings.LayerNorm.weight', 'embeddings.position_ids', 'pooler.dense.bias', 'pooler.dense.weight', 'scale',
  ])
  assert.ok(source.ranges.every(([, end]) => end <= source.bytes - 100), 'opening touches the header only')
  assert.ok(weights.has('pooler.dense.weight'))
  assert.not.ok(weights.has('bert.pooler.dense.weight'))
  assert.equal(await weights.read('pooler.dense.weight', [3, 5]), { dtype: 'F32', data: count(1, 60) })
  assert.equal(await weights.read('pooler.dense.bias', [3]), { dtype: 'F16', data: count(100, 6) })
  assert.equal(await weights.read('embeddings.LayerNorm.weight', [7]), { dtype: 'BF16', data: count(50, 14) })
  assert.equal(await weights.read('scale', []), { dtype: 'F32', data: count(3, 4) })
  const [begin, end] = source.ranges.at(-1) as [number, number]
  assert.is(end - begin, 4)
})

test('an empty file of tensors opens', async () => {
  assert.equal((await openWeights(sourceOf(encodeSafetensors([])))).names, [])
})

test('refuses by name what the file does not hold', async () => {
  const weights = await openWeights(sourceOf(encodeSafetensors(TENSORS)))
  const missing = await refusalOf(weights.read('classifier.weight', [6, 5]))
  assert.is(missing.code, 'weights-missing')
  assert.is(missing.message, 'model.safetensors.classifier.weight: expected a tensor of shape [6, 5], got "no such tensor"')
  for (const shape of [[5, 3], [15], [3, 5, 1], []]) {
    const error = await refusalOf(weights.read('pooler.dense.weight', shape))
    assert.is(error.code, 'weights-shape')
    assert.match(error.message, '[3, 5]')
  }
  assert.is((await refusalOf(weights.read('embeddings.position_ids', [1, 2]))).code, 'weights-dtype')
})

test('refuses two tensors of one canonical name', async () => {
  const twice = ['bert.pooler.dense.bias', 'pooler.dense.bias'].map((name) => (
    { name, dtype: 'F32', shape: [1], data: count(0, 4) } satisfies TensorInput
  ))
  const error = await refusalOf(openWeights(sourceOf(encodeSafetensors(twice))))
  assert.is(error.code, 'weights-twice')
  assert.match(error.message, 'bert.pooler.dense.bias')
})

test('refuses every shortened file, whatever is left of it', async () => {
  const whole = encodeSafetensors(TENSORS)
  for (let bytes = 0; bytes < whole.length; bytes++) {
    const error = await refusalOf(openWeights(sourceOf(whole.slice(0, bytes))))
    assert.match(error.field, 'model.safetensors')
  }
})

test('refuses a source that hands out fewer bytes than it promised', async () => {
  const whole = encodeSafetensors(TENSORS)
  const source = sourceOf(whole)
  const weights = await openWeights({ ...source, read: async (begin, end) => whole.slice(begin, begin > 100 ? end - 1 : end) })
  assert.is((await refusalOf(weights.read('pooler.dense.weight', [3, 5]))).code, 'weights-short')
})

test.run()
