/**
 * WordPiece: text to token ids, [CLS] … [SEP], the same ids as the Rust tokenizers 0.23.3 give, on every host.
 *
 * text → added tokens (added.ts) → normalised (normalizer.ts) → added tokens again → words → pieces (wordpiece.ts).
 * A special token's own spelling inside a text ("[SEP]") becomes that token, as transformers' tokenizers have it.
 */
import { refuse } from '../error.ts'
import type { Fields } from '../object.ts'
import { asObject } from '../object.ts'
import type { AddedToken, Piece } from './added.ts'
import { findTokens, indexPatterns } from './added.ts'
import type { Normalizer } from './normalizer.ts'
import { cutWords, normalizeText, wellFormed } from './normalizer.ts'
import type { TokenizerFiles } from './vocabulary.ts'
import { SPECIAL_TOKENS, resolveTokenizer } from './vocabulary.ts'
import type { WordPieces } from './wordpiece.ts'
import { createCutter } from './wordpiece.ts'

export { VOCAB_CHARS_MAX, checkTokenizerClass } from './vocabulary.ts'
export type { TokenizerFiles } from './vocabulary.ts'

export type SpecialIds = { cls: number; sep: number; pad: number; unk: number; mask: number }

export type Tokenizer = {
  /** One more than the largest id: the rows that the embedding table needs. */
  vocabSize: number
  ids: SpecialIds
  /** All that decides which ids a text gets, as text: two tokenizers that share it cut alike. */
  behaviour: string
  /** Ids of `text` between [CLS] and [SEP], as many as there are; refuses a text over `TEXT_CHARS_MAX`. */
  encode(text: string): Int32Array
}

/** Rows of an embedding table. */
export const VOCAB_MAX = 1 << 20
/** UTF-16 units of one text. */
export const TEXT_CHARS_MAX = 65536

const WORD_CHARS_MAX = 100

function readFlag(fields: Fields, field: string, key: string, missing: boolean): boolean {
  const value = fields[key] ?? missing
  return typeof value === 'boolean' ? value : refuse('tokens-config', `${field}.${key}`, 'true or false', value)
}

function readNormalizer(tokenizer: Fields): Normalizer {
  const field = 'tokenizer.json.normalizer'
  const fields = asObject(tokenizer.normalizer, field)
  const lowercase = readFlag(fields, field, 'lowercase', true)
  return {
    clean: readFlag(fields, field, 'clean_text', true), ideographs: readFlag(fields, field, 'handle_chinese_chars', true),
    stripAccents: readFlag(fields, field, 'strip_accents', lowercase), lowercase,
  }
}

function checkId(piece: string, id: unknown): number {
  const isId = typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < VOCAB_MAX
  return isId ? id : refuse('tokens-vocab', `vocabulary.${piece}`, `an id from 0 to ${VOCAB_MAX - 1}`, id)
}

/** Ids by piece, those of added tokens included; refuses an id that two pieces share. */
function readIds(model: Fields): Map<string, number> {
  return new Map(Object.entries(asObject(model.vocab, 'tokenizer.json.model.vocab')).map(([piece, id]) => {
    if (/[\uD800-\uDFFF]/u.test(piece)) refuse('tokens-vocab', `vocabulary.${piece}`, 'whole characters', 'half a pair of UTF-16')
    return [piece, checkId(piece, id)]
  }))
}

function readAdded(tokenizer: Fields): AddedToken[] {
  const added = tokenizer.added_tokens
  if (!Array.isArray(added)) refuse('tokens-config', 'tokenizer.json.added_tokens', 'a list', added)
  return added.map((token, index) => {
    const field = `tokenizer.json.added_tokens[${index}]`
    const fields = asObject(token, field)
    const { content, id } = fields
    if (typeof content !== 'string' || content === '') refuse('tokens-vocab', field, 'a content', content)
    const special = readFlag(fields, field, 'special', false)
    return {
      id: checkId(content, id), content, singleWord: readFlag(fields, field, 'single_word', false),
      lstrip: readFlag(fields, field, 'lstrip', false), rstrip: readFlag(fields, field, 'rstrip', false),
      normalized: readFlag(fields, field, 'normalized', !special),
    }
  })
}

/** Refuses an id that two pieces share, and a piece with two; returns one more than the largest. */
function measureVocab(ids: ReadonlyMap<string, number>, added: readonly AddedToken[]): number {
  const pieces = new Map<number, string>()
  let size = 0
  for (const [piece, id] of [...ids, ...added.map(({ content, id }) => [content, id] as const)]) {
    const field = `vocabulary.${piece}`
    const twin = pieces.get(id)
    if (twin !== undefined && twin !== piece) refuse('tokens-vocab', field, `an id of its own, not that of ${twin}`, id)
    pieces.set(id, piece)
    size = Math.max(size, id + 1)
  }
  const seen = new Set<string>()
  for (const { content, id } of added) {
    const own = ids.get(content)
    if (own !== undefined && own !== id) refuse('tokens-vocab', `tokenizer.json.added_tokens.${content}`, `${own} as in the vocabulary`, id)
    if (seen.has(content)) refuse('tokens-vocab', `tokenizer.json.added_tokens.${content}`, 'one token of this content', 'two')
    seen.add(content)
  }
  return size
}

function readPieces(model: Fields, ids: ReadonlyMap<string, number>): WordPieces {
  const field = 'tokenizer.json.model'
  const { unk_token = SPECIAL_TOKENS.unk } = model
  const { continuing_subword_prefix: prefix = '##', max_input_chars_per_word: most = WORD_CHARS_MAX } = model
  const unknown = typeof unk_token === 'string' ? ids.get(unk_token) : undefined
  if (unknown === undefined) refuse('tokens-vocab', `${field}.unk_token`, `a piece of the vocabulary, as ${SPECIAL_TOKENS.unk}`, unk_token)
  if (typeof prefix !== 'string') refuse('tokens-config', `${field}.continuing_subword_prefix`, 'a text', prefix)
  if (typeof most !== 'number' || !Number.isInteger(most) || most < 0) {
    refuse('tokens-config', `${field}.max_input_chars_per_word`, 'a whole number', most)
  }
  return { ids, unknown, prefix, wordCharsMax: most }
}

function findSpecials(ids: ReadonlyMap<string, number>, added: readonly AddedToken[]): SpecialIds {
  const find = (token: string) =>
    ids.get(token) ?? added.find(({ content }) => content === token)?.id
      ?? refuse('tokens-vocab', `vocabulary.${token}`, 'the special token', 'no such piece')
  return {
    cls: find(SPECIAL_TOKENS.cls),
    sep: find(SPECIAL_TOKENS.sep),
    pad: find(SPECIAL_TOKENS.pad),
    unk: find(SPECIAL_TOKENS.unk),
    mask: find(SPECIAL_TOKENS.mask),
  }
}

/** The ids that stand round a text, the text itself as `…`; types other than 0 are told too. */
function describeTemplate(post: Fields, field: string): string {
  if (post.type === 'BertProcessing') {
    const idOf = (key: string) => (Array.isArray(post[key]) ? String(post[key][1]) : JSON.stringify(post[key]))
    return `${idOf('cls')} … ${idOf('sep')}`
  }
  const specials = asObject(post.special_tokens ?? {}, `${field}.special_tokens`)
  if (!Array.isArray(post.single)) refuse('tokens-config', `${field}.single`, 'a list', post.single)
  return post.single.map((part) => {
    const { SpecialToken, Sequence } = asObject(part, `${field}.single`)
    const fields = asObject(SpecialToken ?? Sequence, `${field}.single`)
    const type = (fields.type_id ?? 0) === 0 ? '' : ` (type ${String(fields.type_id)})`
    if (Sequence !== undefined) return (fields.id === 'A' ? '…' : `sequence ${String(fields.id)}`) + type
    const { ids } = asObject(specials[String(fields.id)], `${field}.special_tokens.${String(fields.id)}`)
    return (Array.isArray(ids) ? ids.join(' ') : JSON.stringify(ids)) + type
  }).join(' ')
}

function expectTemplate(tokenizer: Fields, { cls, sep }: SpecialIds): void {
  const field = 'tokenizer.json.post_processor'
  const found = describeTemplate(asObject(tokenizer.post_processor, field), field)
  if (found !== `${cls} … ${sep}`) refuse('tokens-config', field, `[CLS] ${cls} and [SEP] ${sep} round a text`, found)
}

/** The `tokenizer.json` that says what all tokenizer files of a directory say; the one that lies there where it does. */
export function formatTokenizer(files: TokenizerFiles): string {
  const { tokenizer, text } = resolveTokenizer(files)
  return text ?? `${JSON.stringify(tokenizer, null, 2)}\n`
}

/**
 * The tokenizer of a model directory, from `tokenizer.json` or else from `vocab.txt`, and what the files beside it say
 * (lower case unless `tokenizer_config.json` says otherwise).
 * Throws a KerfError for another kind than BERT's WordPiece, for files that contradict each other, for a vocabulary that
 * gives one id twice or lacks a special token, and for a template that does not put [CLS] first and [SEP] last.
 */
export function createTokenizer(files: TokenizerFiles): Tokenizer {
  const { tokenizer } = resolveTokenizer(files)
  const model = asObject(tokenizer.model, 'tokenizer.json.model')
  const ids = readIds(model)
  const added = readAdded(tokenizer)
  const vocabSize = measureVocab(ids, added)
  const specials = findSpecials(ids, added)
  const pieces = readPieces(model, ids)
  expectTemplate(tokenizer, specials)
  const normalizer = readNormalizer(tokenizer)
  const cut = createCutter(pieces)
  const plain = indexPatterns(added.filter(({ normalized }) => !normalized), (content) => content)
  const normal = indexPatterns(added.filter(({ normalized }) => normalized), (content) => normalizeText(wellFormed(content), normalizer))
  const add = (piece: Piece, out: number[], rest: (text: string) => void) => {
    if (piece.id === undefined) rest(piece.text)
    else out.push(piece.id)
  }
  return {
    vocabSize, ids: specials, behaviour: describeBehaviour(pieces, normalizer, added),
    encode(text) {
      if (text.length > TEXT_CHARS_MAX) refuse('tokens-text', 'text', `at most ${TEXT_CHARS_MAX} characters`, text.length)
      const out = [specials.cls]
      for (const piece of findTokens(wellFormed(text), plain)) {
        add(piece, out, (part) => {
          for (const inner of findTokens(normalizeText(part, normalizer), normal)) {
            add(inner, out, (words) => cutWords(words, (word) => cut(word, out)))
          }
        })
      }
      out.push(specials.sep)
      return Int32Array.from(out)
    },
  }
}

/** In one form for all files that say the same: by id, and without what changes no token. */
function describeBehaviour(
  { ids, unknown, prefix, wordCharsMax }: WordPieces, normalizer: Normalizer, added: readonly AddedToken[],
): string {
  const pieces = [...ids].sort(([, a], [, b]) => a - b)
  const tokens = [...added].sort((a, b) => a.id - b.id)
    .map(({ id, content, singleWord, lstrip, rstrip, normalized }) => [id, content, singleWord, lstrip, rstrip, normalized])
  return JSON.stringify({ normalizer, unknown, prefix, wordCharsMax, pieces, tokens })
}
