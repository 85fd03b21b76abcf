/** What a base is told by: every weight counts in its own part, and nothing else does. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { ModelConfig } from '../../runtime/model/config.ts'
import { checksumConfig, checksumWeights, expectBase, findOther } from '../../runtime/model/fingerprint.ts'
import { countOf } from '../../runtime/model/layout.ts'
import { blockTensors, embeddingTensors, poolerTensors } from '../../runtime/model/names.ts'
import { describeUnused } from '../../runtime/model/unused.ts'
import type { Weights } from '../../runtime/model/weights.ts'
import { refusal } from '../refusal.ts'
import { crc32c } from '../wire/crc32c.ts'

const CONFIG: ModelConfig = {
  vocabSize: 5, hiddenSize: 4, layers: 2, heads: 2, intermediateSize: 6, positionsMax: 3, typesMax: 2, layerNormEps: 1e-12, labels: ['a',
    'b'],
}
const TENSORS = [...embeddingTensors(CONFIG), ...blockTensors(CONFIG, 0), ...blockTensors(CONFIG, 1), ...poolerTensors(CONFIG)]

/** Weights of nothing but a tensor's number; `changed` has another last byte. */
function makeWeights(changed?: string, dtype: 'F32' | 'BF16' = 'F32'): Weights & { reads: string[] } {
  const reads: string[] = []
  return {
    names: TENSORS.map(({ name }) => name), has: () => true, reads,
    async read(name, shape) {
      reads.push(name)
      const data = new Uint8Array(4 * countOf(shape)).fill(TENSORS.findIndex((tensor) => tensor.name === name))
      if (name === changed) data[data.length - 1] ^= 1
      return { dtype, data }
    },
  }
}

const checked = (changed?: string, dtype?: 'F32' | 'BF16') => checksumWeights(makeWeights(changed, dtype), CONFIG, crc32c)

test('each tensor counts in its part alone: embeddings, each block, pooler', async () => {
  const whole = await checked().checksumAll()
  assert.is(new Set(whole).size, 4)
  const partOf = (name: string) => (name.startsWith('embeddings') ? 0 : name.startsWith('pooler') ? 3 : 1 + Number(/layer\.(\d)/.exec(name)![1]))
  for (const { name } of TENSORS) {
    const others = await checked(name).checksumAll()
    assert.equal(others.map((checksum, part) => checksum !== whole[part]), [0, 1, 2, 3].map((part) => part === partOf(name)), name)
    const named = ['embeddings', 'layer 0', 'layer 1', 'pooler'][partOf(name)]
    assert.is(findOther(others, whole)?.part, named)
  }
  assert.is(findOther(await checked().checksumAll(), whole), null)
  assert.is(findOther(await checked(undefined, 'BF16').checksumAll(), whole)?.part, 'embeddings')
})

test('a part counts once all of it has been read; what has been read is not read again', async () => {
  const weights = checked()
  assert.equal(weights.checksums(), [null, null, null, null])
  for (const { name, shape } of [...embeddingTensors(CONFIG), ...blockTensors(CONFIG, 0)]) await weights.read(name, shape)
  const [embeddings, first, ...rest] = weights.checksums()
  assert.equal(rest, [null, null])
  assert.equal([embeddings, first], (await checked().checksumAll()).slice(0, 2))
  assert.is(findOther(weights.checksums(), await checked('encoder.layer.1.output.dense.weight').checksumAll()), null)
  assert.is(findOther(weights.checksums(), await checked('encoder.layer.0.output.dense.bias').checksumAll())?.part, 'layer 0')
  const source = makeWeights()
  await checksumWeights(source, CONFIG, crc32c).checksumAll()
  assert.equal(source.reads, TENSORS.map(({ name }) => name))
  assert.is(findOther([1, 2, 3], [1, 2, 3, 4])?.part, 'layers')
})

test('the configuration counts by what it computes, not by its labels', () => {
  const checksum = (changes: Partial<ModelConfig>) => checksumConfig({ ...CONFIG, ...changes }, crc32c)
  assert.is(checksum({ labels: [] }), checksum({}))
  for (const changes of [{ layerNormEps: 1e-5 }, { heads: 4 }, { layers: 1 }]) assert.is.not(checksum(changes), checksum({}))
})

test('another base is refused by what differs', () => {
  const kept = { config: 1, tokenizer: 2, weights: [3, 4, 5] }
  expectBase(kept, { ...kept, weights: [3, 4, 5] }, 'a')
  const refused = (own: Partial<typeof kept>) => refusal(() => expectBase(kept, { ...kept, ...own }, 'a')).message
  assert.match(refused({ config: 9 }), /^a\.config: expected 9, the checksum of this model's config\.json, got 1$/)
  assert.match(refused({ tokenizer: 9 }), /^a\.tokenizer: expected 9, the checksum of this model's tokenizer, got 2$/)
  assert.match(refused({ weights: [3, 9, 5] }), /^a\.weights: expected 9, the checksum of this model's layer 0, got "4 of the base/)
  assert.match(refused({ weights: [3, 4, 4, 5] }), /layers/)
})

test('what a file brings and nothing reads is named, buffers apart', () => {
  const names = TENSORS.map(({ name }) => name)
  assert.equal(describeUnused([...names, 'classifier.weight', 'classifier.bias', 'embeddings.position_ids'], CONFIG, 'f'), [])
  const more = ['cls.predictions.bias', 'encoder.layer.2.output.dense.weight', 'encoder.layer.3.output.dense.bias',
    'encoder.layer.0.extra', 'x', 'y']
  assert.equal(describeUnused([...names, ...more], CONFIG, 'f'), [
    'f: layers 2 to 3 left out: config.json counts 2 (num_hidden_layers)', 'f: 4 tensors not used: cls.predictions.bias, encoder.layer.0.extra, x, …',
  ])
  assert.equal(describeUnused([...names, 'encoder.layer.2.x'], CONFIG, 'f'),
    ['f: layer 2 left out: config.json counts 2 (num_hidden_layers)'])
  assert.equal(describeUnused([...names, 'x'], CONFIG, 'f'), ['f: 1 tensor not used: x'])
})

test.run()
