/** `kerf export`: the merged model computes what base and adapter compute, and the directory is whole. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { cpSync, existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseConfig } from '../../runtime/model/config.ts'
import type { ModelConfig } from '../../runtime/model/config.ts'
import { canonicalName } from '../../runtime/model/names.ts'
import { mergeTensors } from '../../runtime/model/merge.ts'
import type { AdapterConfig } from '../../runtime/model/peft.ts'
import { createTokenizer } from '../../runtime/data/tokens.ts'
import { floatFromHalf, halfFromFloat } from '../../runtime/wire/codec.ts'
import { decodeSafetensors, encodeSafetensors } from '../../runtime/wire/safetensors.ts'
import { makeDirectory, readKerf, runKerf } from '../command.ts'
import { distance } from '../distance.ts'
import { readTensors } from '../oracle/directory.ts'
import { makeTinyAdapter, makeTinyData, makeTinyModel } from '../tiny.ts'

const LABELS = ['joy', 'anger', 'fear']
const LORA: AdapterConfig = { rank: 3, alpha: 5, targets: ['query', 'key', 'value', 'attention', 'up', 'down'] }
const at = makeDirectory()
const [model, adapter, data] = [join(at, 'model'), join(at, 'adapter'), join(at, 'data.txt')]
const config = makeTinyModel(model)
makeTinyAdapter(adapter, config, LORA, LABELS)
makeTinyData(data, 40, LABELS)
const both = ['--model', model, '--adapter', adapter]

function evaluate(...args: string[]): { logits: Float32Array; labels: string[] } {
  const file = join(at, 'logits.safetensors')
  const { labels } = readKerf<{ labels: string[] }>(['eval', '--data', data, '--logits', file, ...args])
  const { data: bytes } = decodeSafetensors(readFileSync(file)).tensors.get('logits')!
  return { logits: new Float32Array(new Uint8Array(bytes).buffer), labels }
}

test('the merged model alone gives the logits of base and adapter', () => {
  const out = join(at, 'merged')
  const { files } = readKerf<{ files: { file: string; bytes: number }[] }>(['export', ...both, '--merge', '--out', out])
  const names = ['config.json', 'vocab.txt', 'tokenizer.json', 'tokenizer_config.json', 'model.safetensors']
  assert.equal(files.map(({ file }) => file), names.map((name) => join(out, name)))
  assert.equal(readdirSync(out).sort(), names.sort())
  const expected = evaluate(...both)
  const merged = evaluate('--model', out)
  assert.equal(merged.labels, LABELS)
  assert.ok(distance(merged.logits, expected.logits) < 1e-5)
})

test('every merged value is the exact sum, rounded once', () => {
  const base = readTensors(join(model, 'model.safetensors')), merged = readTensors(join(at, 'merged', 'model.safetensors'))
  const name = 'encoder.layer.2.output.dense'
  const { tensors } = decodeSafetensors(readFileSync(join(adapter, 'adapter_model.safetensors')))
  const [A, B] = ['A', 'B'].map((part) => {
    const { data } = tensors.get(`base_model.model.bert.${name}.lora_${part}.weight`)!
    return new Float32Array(new Uint8Array(data).buffer)
  })
  const [O, I] = base.get(`${name}.weight`)!.shape
  const expected = base.get(`${name}.weight`)!.data.map((value, index) => {
    const o = Math.floor(index / I), i = index % I
    return Math.fround(value + (5 / 3) * [0, 1, 2].reduce((sum, r) => sum + B[o * 3 + r] * A[r * I + i], 0))
  })
  assert.is(expected.length, O * I)
  assert.equal(merged.get(`${name}.weight`)!.data, expected)
  assert.equal(merged.get('embeddings.word_embeddings.weight')!.data, base.get('embeddings.word_embeddings.weight')!.data)
})

test('a directory that transformers knows: names, configuration, tokenizer', () => {
  const out = join(at, 'merged')
  const { tensors, metadata } = decodeSafetensors(readFileSync(join(out, 'model.safetensors')))
  assert.is(metadata.format, 'pt')
  assert.ok([...tensors.keys()].every((name) => name.startsWith('bert.') || name.startsWith('classifier.')))
  assert.equal(tensors.get('classifier.weight')!.shape, [3, 32])
  const written = JSON.parse(readFileSync(join(out, 'config.json'), 'utf8'))
  assert.equal(written.id2label, { 0: 'joy', 1: 'anger', 2: 'fear' })
  assert.equal(written.label2id, { joy: 0, anger: 1, fear: 2 })
  assert.equal([written.architectures, written.model_type, written.torch_dtype], [['BertForSequenceClassification'], 'bert', 'float32'])
  assert.equal(readFileSync(join(out, 'vocab.txt')), readFileSync(join(model, 'vocab.txt')))
  const encode = (directory: string, file: 'vocab.txt' | 'tokenizer.json') => {
    const text = readFileSync(join(directory, file), 'utf8')
    return createTokenizer(file === 'vocab.txt' ? { vocabText: text } : { tokenizerJson: text }).encode('The RAIN falls; unknownword birds')
  }
  assert.equal(encode(out, 'tokenizer.json'), encode(model, 'vocab.txt'))
})

test("what the base's own files say is kept", () => {
  const own = join(at, 'own')
  cpSync(model, own, { recursive: true })
  const given = JSON.parse(readFileSync(join(own, 'config.json'), 'utf8'))
  const other = { hidden_dropout_prob: 0.1, dtype: 'bfloat16', id2label: { 0: 'a', 1: 'b' }, label2id: { a: 0, b: 1 } }
  writeFileSync(join(own, 'config.json'), JSON.stringify({ ...given, ...other }))
  writeFileSync(join(own, 'tokenizer_config.json'), '{"do_lower_case": false, "model_max_length": 17}')
  const out = join(at, 'own merged')
  readKerf(['export', '--model', own, '--adapter', adapter, '--merge', '--out', out])
  const written = JSON.parse(readFileSync(join(out, 'config.json'), 'utf8'))
  assert.equal([written.hidden_dropout_prob, written.dtype, written.torch_dtype], [0.1, undefined, 'float32'])
  assert.equal(parseConfig(JSON.stringify(written)).labels, LABELS)
  const options = JSON.parse(readFileSync(join(out, 'tokenizer_config.json'), 'utf8'))
  assert.equal([options.do_lower_case, options.model_max_length, options.tokenizer_class], [false, 17, 'BertTokenizer'])
  assert.is(JSON.parse(readFileSync(join(out, 'tokenizer.json'), 'utf8')).normalizer.lowercase, false)
})

test('f16: every value the nearest half, and the logits close', () => {
  const out = join(at, 'half')
  readKerf(['export', ...both, '--merge', '--dtype', 'f16', '--out', out])
  const exact = readTensors(join(at, 'merged', 'model.safetensors'))
  for (const { name, dtype, data: bytes } of decodeSafetensors(readFileSync(join(out, 'model.safetensors'))).tensors.values()) {
    assert.is(dtype, 'F16')
    const halves = new Uint16Array(new Uint8Array(bytes).buffer)
    exact.get(canonicalName(name))!.data.forEach((value, index) => {
      const bound = Math.abs(value) * 2 ** -11 * (1 + 2 ** -12) + 2 ** -25
      assert.ok(Math.abs(floatFromHalf(halves[index]) - value) <= bound, `${name}[${index}]`)
    })
  }
  assert.ok(distance(evaluate('--model', out).logits, evaluate(...both).logits) < 0.05)
})

/** One linear layer W = value, B·A = 2^-26 (rank 1, alpha 1), as f16 bits. */
async function halfOf(value: number): Promise<number> {
  const one: ModelConfig = {
    ...config, vocabSize: 1, hiddenSize: 1, layers: 1, heads: 1, intermediateSize: 1, positionsMax: 1, typesMax: 1,
  }
  const data = new Uint8Array(Float32Array.of(value).buffer)
  const weights = { names: [], has: () => true, read: async () => ({ dtype: 'F32' as const, data }) }
  const query = 'encoder.layer.0.attention.self.query'
  const set = new Map([
    [`${query}.lora_A`, Float32Array.of(2 ** -13)], [`${query}.lora_B`, Float32Array.of(2 ** -13)],
    ['classifier.weight', new Float32Array(1)], ['classifier.bias', new Float32Array(1)],
  ])
  for await (const { name, data: bytes } of mergeTensors(one, weights, 1, { rank: 1, alpha: 1, targets: ['query'] }, set, 'f16')) {
    if (name === `bert.${query}.weight`) return new Uint16Array(new Uint8Array(bytes).buffer)[0]
  }
  throw new Error('expected a query weight')
}

test('f16 is rounded once: f32 on the way would make a tie of what is above one', async () => {
  // 1 + 2^-11 lies half way between two halves, and 2^-26 above it is lost in f32.
  const value = 1 + 2 ** -11
  assert.is(halfFromFloat(Math.fround(value + 2 ** -26)), halfFromFloat(1))
  assert.is(floatFromHalf(await halfOf(value)), 1 + 2 ** -10)
  assert.is(floatFromHalf(await halfOf(-value)), -1)
})

test('without --merge: the same adapter', () => {
  const out = join(at, 'adapter again')
  readKerf(['export', ...both, '--out', out])
  for (const name of ['adapter_model.safetensors', 'labels.json']) {
    assert.equal(readFileSync(join(out, name)), readFileSync(join(adapter, name)))
  }
  assert.equal(evaluate('--model', model, '--adapter', out).logits, evaluate(...both).logits)
})

test('without --merge: an adapter with longer names and no labels comes out in the usual ones, with those that are told', () => {
  const long = join(at, 'long'), out = join(at, 'short')
  cpSync(adapter, long, { recursive: true })
  rmSync(join(long, 'labels.json'))
  const file = join(long, 'adapter_model.safetensors')
  const tensors = [...decodeSafetensors(readFileSync(file)).tensors.values()]
  const rename = (name: string) => name.replace(/(lora_[AB])/, '$1.default').replace('classifier', 'classifier.modules_to_save.default')
  writeFileSync(file, encodeSafetensors(tensors.map((tensor) => ({ ...tensor, name: rename(tensor.name) }))))
  const call = ['export', '--model', model, '--adapter', long, '--out', out]
  assert.match(runKerf(call).stderr, /^kerf: --labels: expected 3 names in the order of the rows .*long.*, which has none, got "none"\n$/)
  assert.not(existsSync(out))
  readKerf([...call, '--labels', LABELS.join()])
  assert.equal(readFileSync(join(out, 'adapter_model.safetensors')), readFileSync(join(adapter, 'adapter_model.safetensors')))
  assert.equal(readdirSync(out).sort(), ['adapter_config.json', 'adapter_model.safetensors', 'labels.json'])
})

test('an existing directory is written over, file by file', () => {
  const out = join(at, 'merged')
  writeFileSync(join(out, 'note.txt'), 'kept')
  const before = readFileSync(join(out, 'model.safetensors'))
  writeFileSync(join(out, 'model.safetensors'), 'broken')
  readKerf(['export', ...both, '--merge', '--out', out])
  assert.equal(readFileSync(join(out, 'model.safetensors')), before)
  assert.is(readFileSync(join(out, 'note.txt'), 'utf8'), 'kept')
})

test('refuses by name', () => {
  const refused = (args: readonly string[], message: RegExp) => {
    const { exitCode, stderr } = runKerf(['export', ...args], { cwd: at })
    assert.is(exitCode, 2)
    assert.match(stderr, message)
  }
  refused([...both, '--dtype', 'f16'], /--dtype: expected f32/)
  refused([...both, '--merge', '--dtype', 'f8'], /--dtype: expected f32, f16, got "f8"/)
  refused([...both, '--merge', '--out', model], /--out: expected another directory than the model's own/)
  refused([...both, '--merge', '--out', adapter], /--out: expected a directory without adapter_config\.json/)
  refused(['--model', model], /--adapter: expected a PEFT directory/)
  refused([...both, '--labels', 'anger,fear,joy'], /--labels: expected joy,anger,fear as in .*labels\.json, got "anger,fear,joy"/)
  const cut = join(at, 'cut')
  cpSync(adapter, cut, { recursive: true })
  writeFileSync(join(cut, 'adapter_model.safetensors'), readFileSync(join(adapter, 'adapter_model.safetensors')).subarray(0, 4000))
  refused(['--model', model, '--adapter', cut, '--merge', '--out', join(at, 'never')], /adapter_model\.safetensors.*expected/)
  assert.not(existsSync(join(at, 'never')))
})

test.run()
