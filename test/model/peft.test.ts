import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { KerfError } from '../../runtime/error.ts'
import { LINEARS } from '../../runtime/model/names.ts'
import type { LinearKey } from '../../runtime/model/names.ts'
import {
  LORA_RANK_MAX, adapterTensors, decodeAdapter, encodeAdapter, formatAdapterConfig, parseAdapterBase, parseAdapterConfig,
} from '../../runtime/model/peft.ts'
import type { AdapterConfig } from '../../runtime/model/peft.ts'
import { decodeSafetensors, encodeSafetensors } from '../../runtime/wire/safetensors.ts'
import type { TensorInput } from '../../runtime/wire/safetensors.ts'
import { refusal } from '../refusal.ts'

const MODEL = {
  vocabSize: 11, hiddenSize: 6, layers: 3, heads: 2, intermediateSize: 10, positionsMax: 9, typesMax: 2, layerNormEps: 1e-12, labels: [],
}
const ADAPTER: AdapterConfig = { rank: 5, alpha: 7.5, targets: ['query', 'value', 'down'] }
const LABELS = 7

const FIELDS = {
  peft_type: 'LORA', task_type: 'SEQ_CLS', r: 8, lora_alpha: 16, target_modules: ['value', 'query'], bias: 'none',
  modules_to_save: ['classifier', 'score'], use_rslora: false, rank_pattern: {}, lora_dropout: 0.1,
}

const textOf = (changes: Record<string, unknown> = {}) => JSON.stringify({ ...FIELDS, ...changes })

/** Values over the whole of f32: subnormals, both zeros, the largest; every pattern of a counter that is finite. */
function fillSet(): Map<string, Float32Array> {
  let bits = 0x9e3779b9
  return new Map(adapterTensors(MODEL, ADAPTER, LABELS).map(({ name, shape }) => {
    const words = new Uint32Array(shape.reduce((product, size) => product * size, 1))
    for (let i = 0; i < words.length; i++) {
      bits = Math.imul(bits, 1664525) + 1013904223
      words[i] = (bits & 0x7f800000) === 0x7f800000 ? 0x80000000 : bits
    }
    return [name, new Float32Array(words.buffer)]
  }))
}

const bitsOf = (values: Float32Array) => [...new Uint32Array(values.buffer, values.byteOffset, values.length)]

test('reads what PEFT writes', () => {
  assert.equal(parseAdapterConfig(textOf()), { rank: 8, alpha: 16, targets: ['query', 'value'] })
  assert.equal(parseAdapterConfig(textOf({ task_type: null, modules_to_save: ['classifier'] })).rank, 8)
  assert.equal(parseAdapterConfig(textOf({ modules_to_save: null })).rank, 8)
  assert.equal(parseAdapterConfig(textOf({ target_modules: 'all-linear' })).targets, LINEARS.map(({ key }) => key))
  assert.equal(parseAdapterConfig(textOf({ target_modules: ['output.dense'] })).targets, ['attention', 'down'])
  const excepted = textOf({ target_modules: ['output.dense'], exclude_modules: ['attention.output.dense'] })
  assert.equal(parseAdapterConfig(excepted).targets, ['down'])
})

test('refuses by name every option that changes the mathematics', () => {
  const changes: Record<string, unknown> = {
    peft_type: 'IA3', task_type: 'CAUSAL_LM', bias: 'all', use_rslora: true, use_dora: true, use_qalora: true, fan_in_fan_out: true,
    lora_bias: true, layers_to_transform: [0], layer_replication: [[0, 1]], rank_pattern: { query: 4 }, alpha_pattern: { query: 4 },
    init_lora_weights: 'pissa_niter_4', modules_to_save: ['classifier', 'pooler'], target_parameters: ['x'],
  }
  for (const [key, value] of Object.entries(changes)) {
    const error = refusal(() => parseAdapterConfig(textOf({ [key]: value })))
    assert.is(error.code, 'adapter-unsupported')
    assert.is(error.field, `adapter_config.json.${key}`)
  }
  const headless = textOf({ task_type: null, modules_to_save: null })
  assert.is(refusal(() => parseAdapterConfig(headless)).field, 'adapter_config.json.modules_to_save')
})

test('refuses ranks, alphas and targets out of range', () => {
  for (const r of [0, -1, 1.5, '8', null, undefined, LORA_RANK_MAX + 1]) {
    assert.is(refusal(() => parseAdapterConfig(textOf({ r }))).field, 'adapter_config.json.r')
  }
  for (const alpha of [0, -1, '16', null, undefined, 1e9]) {
    assert.is(refusal(() => parseAdapterConfig(textOf({ lora_alpha: alpha }))).field, 'adapter_config.json.lora_alpha')
  }
  assert.is(refusal(() => parseAdapterConfig(textOf().replace('16', '1e999'))).code, 'adapter-alpha')
  for (const targets of [[], ['dense'], ['c_attn'], '.*query', null, undefined, [1], {}]) {
    assert.is(refusal(() => parseAdapterConfig(textOf({ target_modules: targets }))).field, 'adapter_config.json.target_modules')
  }
  assert.is(refusal(() => parseAdapterConfig(textOf({ exclude_modules: ['query', 'value'] }))).field, 'adapter_config.json.exclude_modules')
  for (const text of ['', '{', '[]', 'null']) refusal(() => parseAdapterConfig(text))
})

test('every choice of targets is written so that PEFT’s suffix rule reads the same', () => {
  const keys = LINEARS.map(({ key }) => key)
  for (let mask = 1; mask < 64; mask++) {
    const targets: LinearKey[] = keys.filter((_, bit) => mask & (1 << bit))
    const text = formatAdapterConfig({ rank: 3, alpha: 0.5, targets }, 'base')
    assert.equal(parseAdapterConfig(text), { rank: 3, alpha: 0.5, targets })
    const { target_modules, exclude_modules } = JSON.parse(text) as { target_modules: string[]; exclude_modules?: string[] }
    const hits = (path: string, list: readonly string[]) => list.some((name) => path === name || path.endsWith(`.${name}`))
    const chosen = LINEARS.filter(({ module }) => {
      const path = `bert.encoder.layer.10.${module}`
      return hits(path, target_modules) && !hits(path, exclude_modules ?? [])
    })
    assert.equal(chosen.map(({ key }) => key), targets)
    assert.not.ok(hits('bert.pooler.dense', target_modules))
  }
  const fields = JSON.parse(formatAdapterConfig(ADAPTER, 'models/base'))
  assert.equal(Object.keys(fields), Object.keys(fields).sort())
  assert.is(fields.base_model_name_or_path, 'models/base')
})

test('the fingerprint of the base goes along where PEFT leaves it alone', () => {
  const base = { config: 1, tokenizer: 0xffffffff, weights: [3, 4, 5] }
  const text = formatAdapterConfig(ADAPTER, 'base', base)
  assert.equal(parseAdapterBase(text), base)
  assert.equal(parseAdapterConfig(text), ADAPTER)
  const { task_type, auto_mapping } = JSON.parse(text)
  assert.equal([task_type, auto_mapping.base_model_class], ['SEQ_CLS', 'BertForSequenceClassification'])
  for (const other of [formatAdapterConfig(ADAPTER, 'base'), textOf(), textOf({ auto_mapping: { base_model_class: 'BertModel' } })]) {
    assert.is(parseAdapterBase(other), null)
  }
  for (const [kept, field] of [[3, ''], [{ ...base, config: -1 }, '.config'], [{ ...base, tokenizer: 'x' }, '.tokenizer'],
    [{ ...base, weights: [0.5] }, '.weights']]) {
    assert.is(refusal(() => parseAdapterBase(textOf({ auto_mapping: { kerf_base: kept } }))).field,
      `adapter_config.json.auto_mapping.kerf_base${field}`)
  }
})

test('the tensors stand in one order, with PEFT’s names and shapes', () => {
  const tensors = adapterTensors(MODEL, { rank: 5, alpha: 1, targets: ['down', 'query'] }, LABELS)
  const pairs: [string, number[]][] = [
    ['encoder.layer.0.attention.self.query.lora_A', [5, 6]],
    ['encoder.layer.0.attention.self.query.lora_B', [6, 5]],
    ['encoder.layer.0.output.dense.lora_A', [5, 10]],
    ['encoder.layer.0.output.dense.lora_B', [6, 5]],
  ]
  assert.equal(tensors.slice(0, 4), pairs.map(([name, shape]) => (
    { name, peftName: `base_model.model.bert.${name}.weight`, shape, block: 0 })))
  assert.equal(tensors.slice(-2), [
    { name: 'classifier.weight', peftName: 'base_model.model.classifier.weight', shape: [7, 6], block: -1 },
    { name: 'classifier.bias', peftName: 'base_model.model.classifier.bias', shape: [7], block: -1 },
  ])
  assert.equal(tensors.map(({ block }) => block), [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, -1, -1])
})

test('a set comes back with the same bits, and writes the same bytes again', () => {
  const set = fillSet()
  const bytes = encodeAdapter(set, MODEL, ADAPTER, LABELS)
  for (const offset of [0, 1, 3]) {
    const shifted = new Uint8Array(bytes.length + offset)
    shifted.set(bytes, offset)
    const back = decodeAdapter(shifted.subarray(offset), MODEL, ADAPTER, LABELS)
    assert.equal([...back.keys()], [...set.keys()])
    for (const [name, values] of set) assert.equal(bitsOf(back.get(name)!), bitsOf(values), name)
    assert.equal(encodeAdapter(new Map([...back].reverse()), MODEL, ADAPTER, LABELS), bytes)
  }
})

test('what comes back does not share memory with the file', () => {
  const bytes = encodeAdapter(fillSet(), MODEL, ADAPTER, LABELS)
  const back = decodeAdapter(bytes, MODEL, ADAPTER, LABELS)
  const before = bitsOf(back.get('classifier.weight')!)
  bytes.fill(255)
  assert.equal(bitsOf(back.get('classifier.weight')!), before)
})

/** The file's tensors under changed names. */
function rename(bytes: Uint8Array, change: (name: string) => string): Uint8Array {
  return encodeSafetensors([...decodeSafetensors(bytes).tensors.values()].map((tensor) => ({ ...tensor, name: change(tensor.name) })))
}

test('reads the other spellings of PEFT’s keys', () => {
  const bytes = encodeAdapter(fillSet(), MODEL, ADAPTER, LABELS)
  const wanted = decodeAdapter(bytes, MODEL, ADAPTER, LABELS)
  const spellings: ((name: string) => string)[] = [
    (name) => name.replace('.bert.', '.'),
    (name) => name.replace(/lora_([AB])\./, 'lora_$1.default.'),
    (name) => name.replace('classifier.', 'classifier.modules_to_save.default.'),
    (name) => name.replace('base_model.model.', ''),
  ]
  for (const spelling of spellings) assert.equal(decodeAdapter(rename(bytes, spelling), MODEL, ADAPTER, LABELS), wanted)
})

test('refuses by name a set that is not the configuration’s', () => {
  const name = 'encoder.layer.1.output.dense.lora_B'
  const encode = (change: (set: Map<string, Float32Array>) => void) => refusal(() => {
    const set = fillSet()
    change(set)
    encodeAdapter(set, MODEL, ADAPTER, LABELS)
  })
  const cases: [KerfError, string][] = [
    [encode((set) => set.delete(name)), 'adapter-missing'],
    [encode((set) => set.set(name, new Float32Array(29))), 'adapter-shape'],
    [encode((set) => set.set('pooler.dense.weight', new Float32Array(1))), 'adapter-extra'],
    [encode((set) => { set.get(name)![4] = NaN }), 'adapter-finite'],
    [encode((set) => { set.get(name)![29] = -Infinity }), 'adapter-finite'],
  ]
  for (const [error, code] of cases) assert.is(error.code, code)
  assert.is(cases[4][0].message, `adapter.${name}[29]: expected a finite value, got -Infinity`)
})

test('refuses by name a file that is not the configuration’s', () => {
  const peftName = 'base_model.model.bert.encoder.layer.1.output.dense.lora_B.weight'
  const bytes = encodeAdapter(fillSet(), MODEL, ADAPTER, LABELS)
  const decode = (change: (tensors: Map<string, TensorInput>) => void) => refusal(() => {
    const { tensors } = decodeSafetensors(bytes)
    change(tensors)
    decodeAdapter(encodeSafetensors([...tensors.values()]), MODEL, ADAPTER, LABELS, 'dir/adapter_model.safetensors')
  })
  const put = (tensors: Map<string, TensorInput>, changes: Partial<TensorInput>) =>
    tensors.set(changes.name ?? peftName, { ...tensors.get(peftName)!, ...changes })
  const cases: [KerfError, string][] = [
    [decode((tensors) => { tensors.delete(peftName) }), 'adapter-missing'],
    [decode((tensors) => { put(tensors, { shape: [5, 6] }) }), 'adapter-shape'],
    [decode((tensors) => { put(tensors, { shape: [30] }) }), 'adapter-shape'],
    [decode((tensors) => { put(tensors, { dtype: 'F16', data: new Uint8Array(60) }) }), 'adapter-dtype'],
    [decode((tensors) => { put(tensors, { dtype: 'I32' }) }), 'adapter-dtype'],
    [decode((tensors) => { put(tensors, { data: new Uint8Array(120).fill(255) }) }), 'adapter-finite'],
    [decode((tensors) => { put(tensors, { name: peftName.replace('layer.1', 'layer.3') }) }), 'adapter-extra'],
    [decode((tensors) => { put(tensors, { name: peftName.replace('.bert', '') }) }), 'adapter-twice'],
  ]
  for (const [error, code] of cases) {
    assert.is(error.code, code)
    assert.match(error.field, 'dir/adapter_model.safetensors.')
  }
  const less = { ...ADAPTER, targets: ['query'] as const }
  assert.is(refusal(() => decodeAdapter(bytes, MODEL, less, LABELS)).code, 'adapter-extra')
  assert.is(refusal(() => decodeAdapter(bytes, MODEL, { ...ADAPTER, rank: 4 }, LABELS)).code, 'adapter-shape')
  assert.is(refusal(() => decodeAdapter(bytes, MODEL, ADAPTER, LABELS - 1)).code, 'adapter-shape')
})

test('refuses every shortened file', () => {
  const bytes = encodeAdapter(fillSet(), MODEL, ADAPTER, LABELS)
  for (let length = 0; length < bytes.length; length += 37) refusal(() => decodeAdapter(bytes.subarray(0, length), MODEL, ADAPTER, LABELS))
})

test.run()
