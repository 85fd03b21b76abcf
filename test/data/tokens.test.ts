import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { existsSync, readFileSync } from 'node:fs'
import { KerfError } from '../../runtime/error.ts'
import { TEXT_CHARS_MAX, createTokenizer } from '../../runtime/data/tokens.ts'
import type { TokenizerFiles } from '../../runtime/data/tokens.ts'
import { skipTest } from '../skip.ts'

const DATA = new URL('../../../shared/data/', import.meta.url)
const readData = (path: string) => readFileSync(new URL(path, DATA), 'utf8')
const skipData = () => skipTest('no BERT vocabulary in ../shared/data', { optional: true })

const VOCAB = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'un', '##aff', '##able', 'aff', ',', 'É', 'e', 'x', '__proto__']
const vocabText = VOCAB.join('\n') + '\n'

function refused(files: TokenizerFiles, code: string, message: RegExp) {
  assert.throws(() => createTokenizer(files), (error: unknown) =>
    error instanceof KerfError && error.code === code && message.test(error.message))
}

test('splits into the longest pieces, from vocab.txt alone', () => {
  const { encode, ids, vocabSize } = createTokenizer({ vocabText })
  assert.equal(ids, { pad: 0, unk: 1, cls: 2, sep: 3, mask: 4 })
  assert.is(vocabSize, VOCAB.length)
  assert.instance(encode('x'), Int32Array)
  assert.equal([...encode('UNaffable, x')], [2, 5, 6, 7, 9, 12, 3])
  assert.equal([...encode('É unx zzz')], [2, 11, 1, 1, 3])
  assert.equal([...encode('')], [2, 3])
  assert.equal([...encode(' \n\t\r ')], [2, 3])
})

test('follows tokenizer_config.json in what it does with case', () => {
  const tokenizerConfig = JSON.stringify({ do_lower_case: false })
  assert.equal([...createTokenizer({ vocabText, tokenizerConfig }).encode('É x X')], [2, 10, 12, 1, 3])
  refused({ vocabText, tokenizerConfig: '{"do_lower_case":"no"}' }, 'tokens-config', /do_lower_case: expected true or false/)
})

test('Windows line ends, a byte order mark and no final newline change nothing', () => {
  const { encode } = createTokenizer({ vocabText: '\uFEFF' + VOCAB.join('\r\n') })
  assert.equal([...encode('unaffable')], [2, 5, 6, 7, 3])
})

test('refuses damaged vocabularies', () => {
  refused({}, 'tokens-missing', /tokenizer\.json or vocab\.txt/)
  refused({ vocabText: '' }, 'tokens-vocab', /\[CLS\]/)
  for (const token of ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']) {
    const name = token.replace(/[[\]]/g, '\\$&')
    refused({ vocabText: VOCAB.map((piece) => (piece === token ? 'other' : piece)).join('\n') }, 'tokens-vocab', new RegExp(name))
  }
  refused({ vocabText: `${vocabText}un\n` }, 'tokens-vocab', /^vocab\.txt:15: expected a piece of its own, got "un"$/)
  refused({ vocabText: `${vocabText}\nlate\n` }, 'tokens-vocab', /^vocab\.txt:15: expected a piece/)
})

type Part = Record<string, unknown>
type Loose = {
  added_tokens?: Part[]
  normalizer: unknown
  pre_tokenizer: unknown
  post_processor: unknown
  model: Part & { vocab: Part | null }
}

function jsonOf(change: (tokenizer: Loose) => void): string {
  const tokenizer: Loose & { decoder: unknown } = {
    added_tokens: [{ id: 2, content: '[CLS]', special: true }, { id: 3, content: '[SEP]', special: true }],
    normalizer: { type: 'BertNormalizer', clean_text: true, handle_chinese_chars: true, strip_accents: null, lowercase: true },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: { type: 'BertProcessing', cls: ['[CLS]', 2], sep: ['[SEP]', 3] },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece', unk_token: '[UNK]', continuing_subword_prefix: '##', max_input_chars_per_word: 100,
      vocab: Object.fromEntries(VOCAB.map((piece, id) => [piece, id])),
    },
  }
  change(tokenizer)
  return JSON.stringify(tokenizer)
}

test('reads tokenizer.json, and refuses another kind or a damaged one', () => {
  assert.equal([...createTokenizer({ tokenizerJson: jsonOf(() => {}) }).encode('unaffable')], [2, 5, 6, 7, 3])
  assert.is(createTokenizer({ tokenizerJson: jsonOf((t) => { t.model.vocab!.far = 40 }) }).vocabSize, 41)
  assert.is(createTokenizer({ tokenizerJson: jsonOf((t) => { t.added_tokens!.push({ id: 50, content: '<new>' }) }) }).vocabSize, 51)
  const cases: [(tokenizer: Loose) => void, string, RegExp][] = [
    [(t) => { t.model.type = 'BPE' }, 'tokens-unsupported', /model\.type: expected WordPiece, got "BPE"/],
    [(t) => { t.model.merges = []; delete t.model.type }, 'tokens-unsupported', /model\.type/],
    [(t) => { t.normalizer = null }, 'config-type', /normalizer/],
    [(t) => { t.pre_tokenizer = { type: 'Whitespace' } }, 'tokens-unsupported', /pre_tokenizer/],
    [
      (t) => { t.post_processor = { type: 'TemplateProcessing', single: [{ Sequence: { id: 'A', type_id: 0 } }] } },
      'tokens-config', /post_processor/,
    ],
    [(t) => { t.model.vocab!.un = -1 }, 'tokens-vocab', /vocabulary\.un/],
    [(t) => { t.model.vocab!.un = 1.5 }, 'tokens-vocab', /vocabulary\.un/],
    [(t) => { t.model.vocab!.un = 6 }, 'tokens-vocab', /an id of its own/],
    [(t) => { t.model.vocab = null }, 'config-type', /vocab/],
    [(t) => { delete t.added_tokens }, 'tokens-config', /added_tokens/],
    [(t) => { t.added_tokens!.push({ id: 9 }) }, 'tokens-vocab', /added_tokens/],
  ]
  for (const [change, code, message] of cases) refused({ tokenizerJson: jsonOf(change) }, code, message)
  for (const tokenizerJson of ['', '{', '[]', 'null']) {
    assert.throws(() => createTokenizer({ tokenizerJson }), (error: unknown) => error instanceof KerfError)
  }
})

test('bounds the length of a text', () => {
  const { encode } = createTokenizer({ vocabText })
  assert.is(encode('x '.repeat(TEXT_CHARS_MAX / 2)).length, TEXT_CHARS_MAX / 2 + 2)
  assert.is(encode('x'.repeat(TEXT_CHARS_MAX)).length, 3)
  assert.throws(() => encode('x'.repeat(TEXT_CHARS_MAX + 1)), /^text: expected at most 65536 characters, got 65537$/)
})

// What Hugging Face's Rust tokenizers 0.23.2 give for the same tokenizer.json.
const RUST: [string, number[]][] = [
  ['', []],
  ['   \t\n', []],
  ['hello world', [7592, 2088]],
  ['Héllo, WÖRLD!!', [7592, 1010, 2088, 999, 999]],
  ['naïve café', [15743, 7668]],
  ['e\u0301clair', [14925, 19771, 2099]],
  ['中文abc日本', [1746, 1861, 5925, 1864, 1876]],
  ['한국어', [1469, 30006, 30021, 29991, 30014, 30020, 29999, 30008]],
  ["i'm feeling $5-ish (really?)", [1045, 1005, 1049, 3110, 1002, 1019, 1011, 2003, 2232, 1006, 2428, 1029, 1007]],
  ['unaffable embeddings', [14477, 20961, 3468, 7861, 8270, 4667, 2015]],
  ['😀👍 ok', [100, 7929]],
  ['a'.repeat(100), [13360, ...Array.from({ length: 48 }, () => 11057), 2050]],
  ['a'.repeat(101), [100]],
  ['ΟΔΟΣ', [1169, 29722, 29730, 29733]],
  ['\u{20000}\u{20001}x', [100, 100, 1060]],
  ['[SEP] [mask]', [102, 1031, 7308, 1033]],
  ['zero\u200Bwidth\u00A0space\uFEFF', [5717, 9148, 11927, 2232, 2686]],
  ['İstanbul straße', [9960, 2358, 27807]],
]

test('gives the ids of the Rust tokenizers for BERT’s vocabulary', () => {
  if (!existsSync(DATA)) return skipData()
  const json = createTokenizer({ tokenizerJson: readData('bert-base-uncased/tokenizer.json') })
  const vocab = createTokenizer({ vocabText: readData('bert-base-uncased/vocab.txt') })
  assert.is(json.vocabSize, 30522)
  assert.is(vocab.vocabSize, 30522)
  assert.equal(json.ids, { cls: 101, sep: 102, pad: 0, unk: 100, mask: 103 })
  assert.equal(vocab.ids, json.ids)
  for (const [text, ids] of RUST) {
    assert.equal([...json.encode(text)], [101, ...ids, 102], text)
    assert.equal([...vocab.encode(text)], [101, ...ids, 102], text)
  }
})

test('tokenizer.json and vocab.txt agree on 2,000 tweets', () => {
  if (!existsSync(DATA)) return skipData()
  const json = createTokenizer({ tokenizerJson: readData('bert-base-uncased/tokenizer.json') })
  const vocab = createTokenizer({ vocabText: readData('bert-base-uncased/vocab.txt') })
  const lines = readData('emotion/val.txt').trimEnd().split('\n')
  assert.is(lines.length, 2000)
  for (const line of lines) assert.equal(vocab.encode(line), json.encode(line), line)
})

test.run()
