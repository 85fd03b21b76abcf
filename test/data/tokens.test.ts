import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { existsSync, readFileSync } from 'node:fs'
import { KerfError } from '../../runtime/error.ts'
import { TEXT_CHARS_MAX, createTokenizer, formatTokenizer } from '../../runtime/data/tokens.ts'
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

/** A tokenizer.json with these added tokens after the vocabulary, whose flags stand as Rust writes them. */
function withAdded(tokens: readonly Part[], normalizer: Part = {}): string {
  return jsonOf((t) => {
    const flags = { single_word: false, lstrip: false, rstrip: false, normalized: true, special: false }
    t.added_tokens!.push(...tokens.map((token, index) => ({ id: VOCAB.length + index, ...flags, ...token })))
    Object.assign(t.normalizer as Part, normalizer)
  })
}
const LOL = VOCAB.length

// Ids as Rust's tokenizers 0.23.3 give them.
test("an added token's flags count", () => {
  const encode = (token: Part, text: string, normalizer?: Part) => (
    [...createTokenizer({ tokenizerJson: withAdded([{ content: 'lol', ...token }], normalizer) }).encode(text)].slice(1, -1))
  assert.equal(encode({}, 'lol xLOLx'), [LOL, 12, LOL, 12])
  assert.equal(encode({ normalized: false }, 'lol LOL'), [LOL, 1])
  assert.equal(encode({ single_word: true }, 'lollol lol, x_lol (lol)'), [1, LOL, 9, 12, 1, 1, 1, LOL, 1])
  assert.equal(encode({ single_word: true }, 'élol lolé lol'), [1, 1, LOL])
  assert.equal(encode({ content: 'Ü', normalized: true }, 'ü u Ü'), [LOL, LOL, LOL])
  assert.equal(encode({ content: 'x ', lstrip: true, rstrip: true, normalized: false }, 'x \u3000 x '), [LOL, LOL])
  assert.equal(encode({ content: 'Ü' }, 'ü Ü U', { lowercase: false, strip_accents: false }), [1, LOL, 1])
  const two = withAdded([{ content: 'ab', single_word: true }, { content: 'abc', single_word: true }])
  assert.equal([...createTokenizer({ tokenizerJson: two }).encode('abcx ab')].slice(1, -1), [1, LOL])
  refused({ tokenizerJson: withAdded([{ content: 'Ab' }, { content: 'aB' }]) }, 'tokens-vocab',
    /vocabulary\.aB: expected a text that is not also that of Ab/)
  refused({ tokenizerJson: withAdded([{ content: '\u0301' }]) }, 'tokens-vocab', /leaves something of/)
  refused({ tokenizerJson: withAdded([{ content: 'lol', lstrip: 1 }]) }, 'tokens-config', /lstrip: expected true or false, got 1/)
  refused({ tokenizerJson: withAdded([{ content: 'un', id: 9 }]) }, 'tokens-vocab', /un/)
})

test('added_tokens.json: tokens of their own, special where another file says so, numbered as the reference numbers them', () => {
  const at = VOCAB.length
  const addedTokens = JSON.stringify({ '[/E1]': at + 1, '[E1]': at })
  const encode = (more: TokenizerFiles, text: string) => [...createTokenizer({ vocabText, addedTokens, ...more }).encode(text)].slice(1, -1)
  assert.is(createTokenizer({ vocabText, addedTokens }).vocabSize, at + 2)
  assert.equal(encode({}, '[E1]x[/E1] [e1]'), [at, 12, at + 1, at])
  const specialTokensMap = JSON.stringify({ additional_special_tokens: ['[E1]', { content: '[/E1]', lstrip: true }] })
  assert.equal(encode({ specialTokensMap }, '[E1] x  [/E1] [e1]'),
    [at, 12, at + 1, 1, 11, 1, 1].slice(0, 3).concat(encode({ specialTokensMap }, '[e1]')))
  assert.not.ok(encode({ specialTokensMap }, '[e1]').includes(at))
  refused({ vocabText, addedTokens: JSON.stringify({ '[E1]': at + 5 }) }, 'tokens-vocab',
    new RegExp(`added_tokens\\.json\\.\\[E1\\]: expected the id ${at}, the next one.*got ${at + 5}`))
  refused({ vocabText, addedTokens: JSON.stringify({ un: 3 }) }, 'tokens-vocab', /expected the id 5/)
  refused({ vocabText, addedTokens: '{"a":"b"}' }, 'tokens-vocab', /expected an id/)
})

test('added_tokens_decoder and special tokens of tokenizer_config.json count, and contradict no other file', () => {
  const at = VOCAB.length
  const decoder = (token: Part, id: number | string = at) => JSON.stringify({ added_tokens_decoder: { [id]: { content: 'lol',
    ...token } } })
  const encode = (tokenizerConfig: string, text: string) => [...createTokenizer({ vocabText, tokenizerConfig }).encode(text)].slice(1, -1)
  assert.equal(encode(decoder({ single_word: true }), 'lol lollol'), [at, 1])
  assert.equal(encode(JSON.stringify({ additional_special_tokens: ['lol'] }), 'xlol'), [12, at])
  assert.equal(encode(JSON.stringify({ extra_special_tokens: ['lol'], bos_token: 'x' }), 'x lol'), [12, at])
  assert.equal(encode(JSON.stringify({ mask_token: { __type: 'AddedToken', content: '[MASK]', lstrip: true } }), 'x [MASK]'), [12, 4])
  refused({ vocabText, tokenizerConfig: decoder({}, at + 1) }, 'tokens-vocab', /added_tokens_decoder\.15: expected the id 14/)
  refused({ vocabText, tokenizerConfig: '{"cls_token":"<s>"}' }, 'tokens-unsupported', /cls_token: expected \[CLS\], got "<s>"/)
  const config = (fields: Part) => JSON.stringify({ do_lower_case: true, ...fields })
  const tokenizerJson = withAdded([{ content: 'lol', single_word: true }])
  const kept = { content: 'lol', single_word: true, normalized: true }
  assert.ok(createTokenizer({ tokenizerJson, tokenizerConfig: config({ added_tokens_decoder: { [at]: kept } }) }))
  refused({ tokenizerJson, tokenizerConfig: config({ added_tokens_decoder: { [at]: { ...kept, single_word: false } } }) }, 'tokens-config',
    /added_tokens_decoder\.14\.single_word: expected true as in tokenizer\.json, got false/)
  refused({ tokenizerJson, tokenizerConfig: config({ added_tokens_decoder: { 7: kept } }) }, 'tokens-vocab',
    /expected the id 14, as in tokenizer\.json, got 7/)
  refused({ tokenizerJson, tokenizerConfig: config({ added_tokens_decoder: { 2: { content: '[CLS]', special: true } } }) },
    'tokens-config', /expected lol too, as in tokenizer\.json/)
})

test('tokenizer_config.json decides over tokenizer.json what it says, and is refused where its silence would decide', () => {
  const encode = (normalizer: Part, options: Part) => (
    [...createTokenizer({ tokenizerJson: withAdded([], normalizer), tokenizerConfig: JSON.stringify(options) }).encode('É E')].slice(1, -1))
  const cased = { lowercase: false }
  assert.equal(encode({}, { do_lower_case: false }), [10, 1])
  assert.equal(encode(cased, { do_lower_case: true }), [11, 11])
  assert.equal(encode({}, { strip_accents: false, do_lower_case: true }), [1, 11])
  assert.equal(encode(cased, { do_lower_case: false }), [10, 1])
  assert.equal(encode({ ...cased, strip_accents: true }, { do_lower_case: false, strip_accents: null }), [10, 1])
  // What both come to is the same.
  assert.equal(encode({ strip_accents: true }, {}), [11, 11])
  assert.equal(encode(cased, { tokenizer_class: 'PreTrainedTokenizerFast' }), [10, 1])
  const unsaid: [Part, Part, RegExp][] = [
    [cased, {}, /^tokenizer_config\.json\.do_lower_case: expected false as in tokenizer\.json, since transformers takes true .*, got "none"$/],
    [{ strip_accents: false }, { do_lower_case: true }, /strip_accents: expected false as in tokenizer\.json/],
    [{ handle_chinese_chars: false }, {}, /tokenize_chinese_chars: expected false/],
  ]
  for (const [normalizer, options, message] of unsaid) refused({ tokenizerJson: withAdded([], normalizer),
    tokenizerConfig: JSON.stringify(options) }, 'tokens-config', message)
  const options: [Part, RegExp][] = [
    [{ do_basic_tokenize: false }, /do_basic_tokenize: expected true, got false/], [{ never_split: ['x'] }, /never_split: expected none/],
    [{ split_special_tokens: true }, /split_special_tokens/], [{ clean_text: false }, /clean_text/], [{ wordpieces_prefix: '@@' },
      /wordpieces_prefix/],
    [{ tokenizer_class: 'BertJapaneseTokenizer' }, /tokenizer_class: expected BertTokenizer or one that cuts alike, got "BertJapaneseTokenizer"/],
    [{ tokenizer_class: 'RobertaTokenizer' }, /tokenizer_class/],
  ]
  for (const [fields, message] of options) refused({ vocabText, tokenizerConfig: JSON.stringify(fields) }, 'tokens-unsupported', message)
  assert.ok(createTokenizer({ vocabText, tokenizerConfig: JSON.stringify({ never_split: null, do_basic_tokenize: true, clean_text: true,
    strip_accents: null }) }))
})

test('files that say the same behave the same, and others do not', () => {
  const behaviour = (files: TokenizerFiles) => createTokenizer(files).behaviour
  const said = behaviour({ vocabText })
  assert.is(behaviour({ tokenizerJson: formatTokenizer({ vocabText }) }), said)
  assert.is(behaviour({ vocabText, tokenizerConfig: '{"do_lower_case":true,"strip_accents":true}' }), said)
  const others: TokenizerFiles[] = [
    { vocabText: VOCAB.map((piece) => ({ un: 'aff', aff: 'un' })[piece] ?? piece).join('\n') }, { vocabText: `${vocabText}more\n` },
    { vocabText, tokenizerConfig: '{"do_lower_case":false}' }, { vocabText, addedTokens: '{"lol":14}' },
    { vocabText, specialTokensMap: '{"mask_token":{"content":"[MASK]","lstrip":true}}' },
  ]
  for (const files of others) assert.is.not(behaviour(files), said, JSON.stringify(files))
})

test('what all files say stands in one tokenizer.json, word for word where that says it already', () => {
  const tokenizerJson = withAdded([{ content: 'lol' }])
  assert.is(formatTokenizer({ tokenizerJson }), tokenizerJson)
  const files = { tokenizerJson, tokenizerConfig: '{"do_lower_case":false}', addedTokens: '{"lol":14,"[E1]":15}' }
  const one = { tokenizerJson: formatTokenizer(files) }
  for (const text of ['É [E1] [e1] lol LOL', '[MASK]x']) assert.equal(createTokenizer(one).encode(text),
    createTokenizer(files).encode(text))
})

test('a vocabulary with half a character or a line end inside a piece is refused', () => {
  refused({ tokenizerJson: jsonOf((t) => { t.model.vocab!['\ud83d'] = 14 }) }, 'tokens-vocab', /half a pair/)
  refused({ vocabText: `${vocabText}a\rb\n` }, 'tokens-vocab', /^vocab\.txt:15: expected a piece without a line end/)
  refused({ tokenizerJson: jsonOf((t) => { t.model.unk_token = 'none' }) }, 'tokens-vocab', /unk_token/)
  refused({ tokenizerJson: jsonOf((t) => { t.post_processor = { type: 'BertProcessing', cls: ['[CLS]', 3], sep: ['[SEP]', 3] } }) },
    'tokens-config', /got "3 … 3"/)
  // Half a pair in a text is what cannot be decoded: dropped.
  assert.equal([...createTokenizer({ vocabText }).encode('x\ud83d x')], [2, 12, 12, 3])
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
