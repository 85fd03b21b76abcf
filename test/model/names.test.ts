import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { KerfError } from '../../runtime/error.ts'
import {
  LINEARS, blockTensors, canonicalName, classifierTensors, embeddingTensors, expandTargets, mlmTensors, poolerTensors,
} from '../../runtime/model/names.ts'

const CONFIG = {
  vocabSize: 30522, hiddenSize: 768, layers: 12, heads: 12, intermediateSize: 3072, positionsMax: 512, typesMax: 2,
  layerNormEps: 1e-12, labels: [],
}

const countAll = (tensors: readonly { shape: readonly number[] }[]) =>
  tensors.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0)

test('the tensors of BERT-base make its 109,482,240 parameters', () => {
  const blocks = Array.from({ length: CONFIG.layers }, (_, block) => blockTensors(CONFIG, block)).flat()
  const all = [...embeddingTensors(CONFIG), ...blocks, ...poolerTensors(CONFIG)]
  assert.is(countAll(all), 109_482_240)
  assert.is(new Set(all.map(({ name }) => name)).size, all.length)
})

test('a block is named and shaped as Hugging Face does', () => {
  const config = { ...CONFIG, hiddenSize: 6, intermediateSize: 10 }
  const prefix = 'encoder.layer.11.'
  assert.equal(blockTensors(config, 11).map(({ name, shape }) => [name.slice(prefix.length), ...shape]), [
    ['attention.self.query.weight', 6, 6], ['attention.self.query.bias', 6],
    ['attention.self.key.weight', 6, 6], ['attention.self.key.bias', 6],
    ['attention.self.value.weight', 6, 6], ['attention.self.value.bias', 6],
    ['attention.output.dense.weight', 6, 6], ['attention.output.dense.bias', 6],
    ['attention.output.LayerNorm.weight', 6], ['attention.output.LayerNorm.bias', 6],
    ['intermediate.dense.weight', 10, 6], ['intermediate.dense.bias', 10],
    ['output.dense.weight', 6, 10], ['output.dense.bias', 6],
    ['output.LayerNorm.weight', 6], ['output.LayerNorm.bias', 6],
  ])
  assert.equal(classifierTensors(config, 5), [{ name: 'classifier.weight', shape: [5, 6] }, { name: 'classifier.bias', shape: [5] }])
  assert.equal(mlmTensors(config).map(({ name }) => name), [
    'cls.predictions.transform.dense.weight', 'cls.predictions.transform.dense.bias',
    'cls.predictions.transform.LayerNorm.weight', 'cls.predictions.transform.LayerNorm.bias', 'cls.predictions.bias',
  ])
})

test('file names become canonical', () => {
  assert.is(canonicalName('bert.pooler.dense.weight'), 'pooler.dense.weight')
  assert.is(canonicalName('pooler.dense.weight'), 'pooler.dense.weight')
  assert.is(canonicalName('bert.embeddings.LayerNorm.gamma'), 'embeddings.LayerNorm.weight')
  assert.is(canonicalName('embeddings.LayerNorm.beta'), 'embeddings.LayerNorm.bias')
  assert.is(canonicalName('bert.bert.x'), 'bert.x')
  assert.is(canonicalName('xbert.gammaray'), 'xbert.gammaray')
})

test('target names expand under PEFT’s suffix rule', () => {
  assert.equal(expandTargets(['value', 'query', 'value']), ['query', 'value'])
  assert.equal(expandTargets(['output.dense']), ['attention', 'down'])
  assert.equal(expandTargets(['attention.output.dense']), ['attention'])
  assert.equal(expandTargets(['intermediate.dense', 'self.key']), ['key', 'up'])
  assert.equal(expandTargets(['down', 'up', 'attention']), ['attention', 'up', 'down'])
  for (const name of ['all', 'all-linear']) assert.equal(expandTargets([name]), LINEARS.map(({ key }) => key))
})

test('refuses targets that are none, unknown or wider than a block', () => {
  const cases: [string[], string][] = [
    [[], 'targets-empty'], [['dense'], 'targets-ambiguous'], [['pooler.dense'], 'targets-unknown'], [[''], 'targets-unknown'],
    [['query', 'Query'], 'targets-unknown'], [['classifier'], 'targets-unknown'], [['uery'], 'targets-unknown'],
    [['encoder.layer.0.output.dense'], 'targets-unknown'],
  ]
  for (const [list, code] of cases) {
    assert.throws(() => expandTargets(list, '--targets'), (error: unknown) =>
      error instanceof KerfError && error.code === code && error.message.startsWith('--targets: expected '))
  }
})

test.run()
