import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { KerfError } from '../../runtime/error.ts'
import { LABELS_MAX, checkLabels } from '../../runtime/data/labels.ts'
import { CONFIG_CHARS_MAX, LAYERS_MAX, checkHead, formatConfig, parseConfig, parseHead } from '../../runtime/model/config.ts'
import { refusal } from '../refusal.ts'

const FIELDS = {
  model_type: 'bert', hidden_act: 'gelu', position_embedding_type: 'absolute', vocab_size: 97, hidden_size: 12,
  num_hidden_layers: 3, num_attention_heads: 3, intermediate_size: 20, max_position_embeddings: 17,
  type_vocab_size: 2, layer_norm_eps: 1e-12,
}

const textOf = (changes: Record<string, unknown> = {}) => JSON.stringify({ ...FIELDS, ...changes })

function refused(changes: Record<string, unknown>, code: string, message: RegExp) {
  assert.throws(() => parseConfig(textOf(changes)), (error: unknown) =>
    error instanceof KerfError && error.code === code && message.test(error.message))
}

test('reads the sizes', () => {
  assert.equal(parseConfig(textOf()), {
    vocabSize: 97, hiddenSize: 12, layers: 3, heads: 3, intermediateSize: 20, positionsMax: 17, typesMax: 2,
    layerNormEps: 1e-12, labels: [],
  })
})

test('takes transformers’ defaults for what a file may leave out', () => {
  const { hidden_act, position_embedding_type, type_vocab_size, layer_norm_eps, ...rest } = FIELDS
  const config = parseConfig('\uFEFF' + JSON.stringify(rest))
  assert.is(config.typesMax, 2)
  assert.is(config.layerNormEps, 1e-12)
})

test('reads label names in index order, and none from stand-in names', () => {
  const id2label = { 1: 'joy', 0: 'sadness', 10: 'k', 2: 'c', 3: 'd', 4: 'e', 5: 'f', 6: 'g', 7: 'h', 8: 'i', 9: 'j' }
  assert.equal(parseConfig(textOf({ id2label })).labels,
    ['sadness', 'joy', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k'])
  assert.equal(parseConfig(textOf({ id2label: { 0: 'LABEL_0', 1: 'LABEL_1' } })).labels, [])
  assert.equal(parseConfig(textOf({ id2label: { 0: 'LABEL_1', 1: 'LABEL_0' } })).labels, ['LABEL_1', 'LABEL_0'])
  assert.equal(parseConfig(textOf({ id2label: null })).labels, [])
})

test('refuses what Kerf does not compute', () => {
  refused({ model_type: 'roberta' }, 'config-unsupported', /^config\.model_type: expected "bert", got "roberta"$/)
  refused({ model_type: undefined }, 'config-unsupported', /model_type/)
  for (const act of ['gelu_new', 'relu', 'gelu_pytorch_tanh']) refused({ hidden_act: act }, 'config-unsupported', /hidden_act.*"gelu"/)
  refused({ position_embedding_type: 'relative_key' }, 'config-unsupported', /position_embedding_type/)
  refused({ is_decoder: true }, 'config-unsupported', /is_decoder/)
  refused({ problem_type: 'regression' }, 'config-unsupported', /problem_type/)
  refused({ is_encoder_decoder: true }, 'config-unsupported', /is_encoder_decoder/)
  refused({ pruned_heads: { 0: [1] } }, 'config-unsupported', /^config\.pruned_heads: expected none, got "\{\\"0\\":\[1\]\}"$/)
  refused({ quantization_config: { load_in_8bit: true } }, 'config-unsupported', /quantization_config/)
  refused({ tokenizer_class: 'BertJapaneseTokenizer' }, 'tokens-unsupported', /^config\.tokenizer_class: expected BertTokenizer/)
  for (const none of [{}, null, []]) assert.ok(parseConfig(textOf({ pruned_heads: none, quantization_config: null,
    tokenizer_class: null })))
})

test('a head is one of texts, with the rows that the configuration counts', () => {
  const head = (changes: Record<string, unknown>, rows: number) => () => checkHead(parseHead(textOf(changes)), rows)
  const three = { id2label: { 0: 'a', 1: 'b', 2: 'c' } }
  for (const changes of [{}, { architectures: null }, { architectures: ['BertForSequenceClassification'], num_labels: 3 },
    three]) head(changes, 3)()
  for (const name of ['BertForTokenClassification', 'BertForMultipleChoice', 'BertForMaskedLM', 'BertModel']) {
    assert.match(refusal(head({ architectures: [name] }, 3)).message,
      new RegExp(`^config\\.architectures: expected BertForSequenceClassification.*"${name}"`))
  }
  assert.match(refusal(head({ architectures: ['BertForSequenceClassification'] }, 1)).message,
    /^classifier\.weight: expected .*regression.*, got 1$/)
  assert.match(refusal(head({ num_labels: 2 }, 3)).message, /^config\.num_labels: expected 3 labels.*, got 2$/)
  assert.match(refusal(head({ id2label: { 0: 'LABEL_0', 1: 'LABEL_1' } }, 3)).message, /^config\.id2label: expected 3 labels.*, got 2$/)
  assert.is(refusal(() => parseHead(textOf({ architectures: 'BertModel' }))).field, 'config.architectures')
  assert.is(refusal(() => parseHead(textOf({ num_labels: 0 }))).field, 'config.num_labels')
})

test('refuses sizes out of range by name', () => {
  const keys = [
    'vocab_size', 'hidden_size', 'num_hidden_layers', 'num_attention_heads', 'intermediate_size', 'max_position_embeddings',
  ]
  for (const key of keys) {
    const message = new RegExp(`^config\\.${key}: expected an integer from 1`)
    for (const value of [undefined, null, 0, -1, 1.5, '12', 2 ** 40, {}]) refused({ [key]: value }, 'config-value', message)
  }
  refused({ num_hidden_layers: LAYERS_MAX + 1 }, 'config-value', /num_hidden_layers/)
  refused({ hidden_size: 13 }, 'config-value', /^config\.hidden_size: expected a multiple of the 3 heads, got 13$/)
  for (const eps of [0, -1e-12, 1, '1e-12']) refused({ layer_norm_eps: eps }, 'config-value', /layer_norm_eps/)
})

test('refuses damaged label tables', () => {
  refused({ id2label: { 0: 'a', 2: 'b' } }, 'config-labels', /id2label: expected keys "0" to "1"/)
  refused({ id2label: { 0: 'a', '01': 'b' } }, 'config-labels', /id2label/)
  refused({ id2label: { 0: 'a', 1: 'a' } }, 'config-labels', /id2label\.1: expected a name of its own/)
  refused({ id2label: { 0: 'a', 1: ' ' } }, 'config-labels', /id2label\.1/)
  refused({ id2label: { 0: 'a', 1: 7 } }, 'config-labels', /id2label\.1/)
  refused({ id2label: ['a'] }, 'config-type', /id2label/)
  assert.throws(() => checkLabels(Array.from({ length: LABELS_MAX + 1 }, (_, i) => `l${i}`), 'labels'), /at most 1024 labels, got 1025/)
})

test('refuses what is not a JSON object', () => {
  for (const text of ['', '{', 'null', '[]', '3', '"bert"', textOf().slice(0, -1)]) {
    assert.throws(() => parseConfig(text, 'model/config.json'), (error: unknown) => (
      error instanceof KerfError && error.field === 'model/config.json'))
  }
  assert.throws(() => parseConfig(' '.repeat(CONFIG_CHARS_MAX + 1)), /at most 1048576 characters/)
})

test('what it writes it reads back, and names the classes both ways', () => {
  for (const labels of [[], ['sadness', 'joy', '__proto__', 'ö;"']]) {
    const config = { ...parseConfig(textOf()), labels }
    const text = formatConfig(config)
    assert.equal(parseConfig(text), config)
    const fields = JSON.parse(text)
    assert.equal(fields.architectures, ['BertForSequenceClassification'])
    assert.is(fields.problem_type, 'single_label_classification')
    labels.forEach((label, index) => assert.is(Object.getOwnPropertyDescriptor(fields.label2id, label)?.value, index))
  }
})

test.run()
