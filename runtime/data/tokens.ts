/**
 * WordPiece: text to token ids, [CLS] … [SEP].
 *
 * The pieces are found by `@huggingface/tokenizers`; this file checks what a model
 * directory brings and builds the tokenizer from `vocab.txt` where that is all there is.
 * A special token's own spelling inside a text ("[SEP]") becomes that token, as
 * transformers' tokenizers have it.
 */
import { Tokenizer as Library } from '@huggingface/tokenizers'
import { refuse } from '../error.ts'
import { asObject, parseObject } from '../object.ts'

export type SpecialIds = { cls: number; sep: number; pad: number; unk: number; mask: number }

export type Tokenizer = {
  /** One more than the largest id: the rows that the embedding table needs. */
  vocabSize: number
  ids: SpecialIds
  /** Ids of `text` between [CLS] and [SEP], as many as there are; refuses a text over `TEXT_CHARS_MAX`. */
  encode(text: string): Int32Array
}

/** The texts of a model directory's files; `tokenizerJson` wins over `vocabText`. */
export type TokenizerFiles = { tokenizerJson?: string; vocabText?: string; tokenizerConfig?: string }

/** Rows of an embedding table. */
export const VOCAB_MAX = 1 << 20
/** UTF-16 units of one text. */
export const TEXT_CHARS_MAX = 65536
/** UTF-16 units of `tokenizer.json` or `vocab.txt`. */
export const VOCAB_CHARS_MAX = 1 << 25

const WORD_CHARS_MAX = 100
const SPECIAL_TOKENS = { cls: '[CLS]', sep: '[SEP]', pad: '[PAD]', unk: '[UNK]', mask: '[MASK]' } as const

/** CJK ideographs beyond the basic plane; the ranges of the Rust tokenizers, whose 2B920 (not 2B820) is kept. */
const IDEOGRAPHS = /[\u{20000}-\u{2A6DF}\u{2A700}-\u{2B81F}\u{2B920}-\u{2CEAF}\u{2F800}-\u{2FA1F}]/gu

type Fields = Readonly<Record<string, unknown>>

/** What Kerf uses of the library, whose own types do not resolve under TypeScript's NodeNext. */
type Pieces = {
  normalizer: (text: string) => string
  encode(text: string): { ids: number[] }
  token_to_id(token: string): number | undefined
}

/** Ids by piece: the line's number in `vocab.txt`. */
function parseVocab(text: string): Fields {
  if (text.length > VOCAB_CHARS_MAX) {
    refuse('tokens-size', 'vocab.txt', `at most ${VOCAB_CHARS_MAX} characters`, text.length)
  }
  const lines = text.replace(/^\uFEFF/, '').split('\n').map((line) => line.replace(/\r$/, ''))
  if (lines.at(-1) === '') lines.pop()
  const ids = new Map<string, number>()
  lines.forEach((piece, id) => {
    if (piece === '') refuse('tokens-vocab', `vocab.txt:${id + 1}`, 'a piece', piece)
    if (ids.has(piece)) refuse('tokens-vocab', `vocab.txt:${id + 1}`, 'a piece of its own', piece)
    ids.set(piece, id)
  })
  return Object.fromEntries(ids)
}

/** `vocab.txt` as the `tokenizer.json` that transformers would write for it. */
function buildTokenizer(vocabText: string, options: Fields): Fields {
  const vocab = parseVocab(vocabText)
  const lowercase = options.do_lower_case ?? true
  if (typeof lowercase !== 'boolean') {
    refuse('tokens-config', 'tokenizer_config.json.do_lower_case', 'true or false', lowercase)
  }
  const special = (content: string) => ({
    id: vocab[content], content, special: true, single_word: false, lstrip: false, rstrip: false, normalized: false,
  })
  const added = Object.values(SPECIAL_TOKENS).filter((token) => Object.hasOwn(vocab, token)).map(special)
  const piece = (id: string, type_id: number) => ({ SpecialToken: { id, type_id } })
  const sequence = (id: string, type_id: number) => ({ Sequence: { id, type_id } })
  const { cls, sep } = SPECIAL_TOKENS
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added.sort((a, b) => Number(a.id) - Number(b.id)),
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: options.tokenize_chinese_chars ?? true,
      strip_accents: options.strip_accents ?? null,
      lowercase,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: {
      type: 'TemplateProcessing',
      single: [piece(cls, 0), sequence('A', 0), piece(sep, 0)],
      pair: [piece(cls, 0), sequence('A', 0), piece(sep, 0), sequence('B', 1), piece(sep, 1)],
      special_tokens: Object.fromEntries([cls, sep].map((token) => [token, { id: token, ids: [vocab[token]], tokens: [token] }])),
    },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: SPECIAL_TOKENS.unk,
      continuing_subword_prefix: '##',
      max_input_chars_per_word: WORD_CHARS_MAX,
      vocab,
    },
  }
}

/** A WordPiece model of the days before models bore a type: a vocabulary without merges. */
function nameModel(tokenizer: Fields): Fields {
  const model = asObject(tokenizer.model, 'tokenizer.json.model')
  if (model.type !== undefined || model.merges !== undefined) return tokenizer
  return { ...tokenizer, model: { ...model, type: 'WordPiece' } }
}

/** Refuses a tokenizer of another kind than BERT's. */
function expectBert(tokenizer: Fields): void {
  const kinds = {
    model: ['WordPiece'],
    normalizer: ['BertNormalizer'],
    pre_tokenizer: ['BertPreTokenizer'],
    post_processor: ['TemplateProcessing', 'BertProcessing'],
  }
  for (const [part, known] of Object.entries(kinds)) {
    const type = asObject(tokenizer[part], `tokenizer.json.${part}`).type
    if (typeof type !== 'string' || !known.includes(type)) {
      refuse('tokens-unsupported', `tokenizer.json.${part}.type`, known.join(' or '), type)
    }
  }
}

/** One more than the largest id, added tokens included; refuses an id that two pieces share. */
function measureVocab(tokenizer: Fields): number {
  const vocab = asObject(asObject(tokenizer.model, 'tokenizer.json.model').vocab, 'tokenizer.json.model.vocab')
  const added = tokenizer.added_tokens
  if (!Array.isArray(added)) refuse('tokens-config', 'tokenizer.json.added_tokens', 'a list', added)
  const entries: [string, unknown][] = Object.entries(vocab)
  for (const token of added) {
    const { content, id } = asObject(token, 'tokenizer.json.added_tokens')
    if (typeof content !== 'string' || content === '') {
      refuse('tokens-vocab', 'tokenizer.json.added_tokens', 'a content', content)
    }
    entries.push([content, id])
  }
  const pieces = new Map<number, string>()
  let size = 0
  for (const [piece, id] of entries) {
    const field = `vocabulary.${piece}`
    if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id >= VOCAB_MAX) {
      refuse('tokens-vocab', field, `an id from 0 to ${VOCAB_MAX - 1}`, id)
    }
    const twin = pieces.get(id)
    if (twin !== undefined && twin !== piece) refuse('tokens-vocab', field, `an id of its own, not that of ${twin}`, id)
    pieces.set(id, piece)
    size = Math.max(size, id + 1)
  }
  return size
}

function findSpecials(pieces: Pieces): SpecialIds {
  const find = (token: string) =>
    pieces.token_to_id(token) ?? refuse('tokens-vocab', `vocabulary.${token}`, 'the special token', 'no such piece')
  return {
    cls: find(SPECIAL_TOKENS.cls),
    sep: find(SPECIAL_TOKENS.sep),
    pad: find(SPECIAL_TOKENS.pad),
    unk: find(SPECIAL_TOKENS.unk),
    mask: find(SPECIAL_TOKENS.mask),
  }
}

function readTokenizer(files: TokenizerFiles, options: Fields): Fields {
  if (files.tokenizerJson !== undefined) {
    return nameModel(parseObject(files.tokenizerJson, 'tokenizer.json', VOCAB_CHARS_MAX))
  }
  if (files.vocabText !== undefined) return buildTokenizer(files.vocabText, options)
  return refuse('tokens-missing', 'tokenizer', 'tokenizer.json or vocab.txt', 'neither')
}

/**
 * The library's tokenizer, brought to what the Rust tokenizers do in two places:
 * it looks for ideographs per UTF-16 unit and so misses those beyond the basic plane,
 * and it lowers a word's last capital sigma to ς where Rust has σ.
 */
function buildPieces(tokenizer: Fields): Pieces {
  const pieces: Pieces = new Library(tokenizer, {})
  const normalize = pieces.normalizer
  const { handle_chinese_chars: ideographs, lowercase } = asObject(tokenizer.normalizer, 'tokenizer.json.normalizer')
  pieces.normalizer = (text) => {
    const spaced = ideographs ? text.replace(IDEOGRAPHS, ' $& ') : text
    return normalize(lowercase ? spaced.replaceAll('Σ', 'σ') : spaced)
  }
  return pieces
}

function encodeWith(pieces: Pieces, text: string): Int32Array {
  if (text.length > TEXT_CHARS_MAX) refuse('tokens-text', 'text', `at most ${TEXT_CHARS_MAX} characters`, text.length)
  return Int32Array.from(pieces.encode(text).ids)
}

/** The `tokenizer.json` of a model directory, as it lies there or as transformers would write it for its `vocab.txt`. */
export function formatTokenizer(files: TokenizerFiles): string {
  if (files.tokenizerJson !== undefined) return files.tokenizerJson
  const options = files.tokenizerConfig === undefined ? {} : parseObject(files.tokenizerConfig, 'tokenizer_config.json')
  return `${JSON.stringify(readTokenizer(files, options), null, 2)}\n`
}

/**
 * The tokenizer of a model directory, from `tokenizer.json` or else from `vocab.txt`
 * (lower case unless `tokenizer_config.json` says otherwise).
 * Throws a KerfError for another kind than BERT's WordPiece, for a vocabulary that
 * gives one id twice or lacks a special token, and for a template that does not put
 * [CLS] first and [SEP] last.
 */
export function createTokenizer(files: TokenizerFiles): Tokenizer {
  const options = files.tokenizerConfig === undefined ? {} : parseObject(files.tokenizerConfig, 'tokenizer_config.json')
  const tokenizer = readTokenizer(files, options)
  expectBert(tokenizer)
  const vocabSize = measureVocab(tokenizer)
  const pieces = buildPieces(tokenizer)
  const ids = findSpecials(pieces)
  const frame = encodeWith(pieces, '')
  if (frame.length !== 2 || frame[0] !== ids.cls || frame[1] !== ids.sep) {
    refuse('tokens-config', 'tokenizer.json.post_processor', `[CLS] ${ids.cls} and [SEP] ${ids.sep} round a text`, frame.join(' '))
  }
  return { vocabSize, ids, encode: (text) => encodeWith(pieces, text) }
}
