/**
 * Kerf's tokens beside those of the Rust tokenizers (PyPI `tokenizers`): odd texts from a seed and every code point, over
 * ten settings; prints how many texts differ in each, and the first few.
 *
 *   node --import tsx scripts/interop/tokens.ts [--python PROGRAM] [--texts N] [--seed N] [--no-points] [--hash]
 *
 * `--hash` asks no reference: it prints a checksum of all ids, which must be the same on every host.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Tokenizer, TokenizerFiles } from '../../runtime/data/tokens.ts'
import { createTokenizer, formatTokenizer } from '../../runtime/data/tokens.ts'
import { makeTexts } from './tokens.texts.ts'

export const REFERENCE = '0.23.3'
const SPECIAL = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']
const SHOWN = 5
/** Planes with characters: each is a piece, first and later in a word, so that no difference hides behind an unknown. */
const PLANES = [0, 1, 2, 3, 14]

type Normalizer = { clean_text: boolean; handle_chinese_chars: boolean; strip_accents: boolean | null; lowercase: boolean }
const BERT: Normalizer = { clean_text: true, handle_chinese_chars: true, strip_accents: null, lowercase: true }
type Token = { content: string; single_word?: boolean; lstrip?: boolean; rstrip?: boolean; normalized?: boolean; special?: boolean }
export type Setting = { name: string; files: TokenizerFiles; python: (path: string) => object }

const ADDED: readonly string[] = ['lol', 'New York', '[E1]', '<é>', 'ﬁn', 'LOL!', '中', 'x', ' gap', 'ΣΑΣ', 'İx', '한']
/** Those that look alike, a token within a token, and one that begins with what another takes along. */
const TANGLED: readonly string[] = ['Ab', 'aB', 'ÁB', 'ab c', 'b c d', 'c', ' c', 'd ', '##ed', '[MASK]x']

function makeVocabulary(): string[] {
  const base = readFileSync(new URL('../../runtime/bundled/base/vocab.txt', import.meta.url), 'utf8').trimEnd().split('\n')
  const pieces = new Set(base)
  for (const plane of PLANES) {
    for (let point = plane << 16; point < (plane + 1) << 16; point++) {
      const character = String.fromCodePoint(point)
      if ((point >= 0xd800 && point <= 0xdfff) || /[\r\n]/.test(character)) continue
      pieces.add(character)
      pieces.add(`##${character}`)
    }
  }
  return [...pieces]
}

function fromVocab(name: string, vocab: readonly string[], options: Readonly<Record<string, unknown>>, normalizer: Normalizer): Setting {
  const vocabText = `${vocab.join('\n')}\n`
  const python = (path: string) => {
    writeFileSync(path, vocabText)
    return { vocab: path, normalizer, special: SPECIAL }
  }
  return { name: `vocab.txt, ${name}`, files: { vocabText, tokenizerConfig: JSON.stringify(options) }, python }
}

function fromJson(
  name: string, vocab: readonly string[], normalizer: Normalizer, tokens: readonly Token[], model: Readonly<Record<string, unknown>> = {},
): Setting {
  const given = JSON.parse(formatTokenizer({ vocabText: `${vocab.join('\n')}\n` })) as { added_tokens: object[]; model: object }
  const ids = new Map(vocab.map((piece, id) => [piece, id]))
  let next = vocab.length
  const added = tokens.map(({ content, special = false, ...flags }) => (
    { id: ids.get(content) ?? next++, content, single_word: false, lstrip: false, rstrip: false, normalized: !special, special, ...flags }))
  const tokenizerJson = JSON.stringify({
    ...given, added_tokens: [...given.added_tokens, ...added], normalizer: { type: 'BertNormalizer', ...normalizer },
    model: { ...given.model, ...model },
  })
  const python = (path: string) => {
    writeFileSync(path, tokenizerJson)
    return { json: path }
  }
  return { name: `tokenizer.json, ${name}`, files: { tokenizerJson }, python }
}

export function makeSettings(vocab = makeVocabulary()): Setting[] {
  const with_ = (flags: Omit<Token, 'content'>, contents = ADDED) => contents.map((content) => ({ content, ...flags }))
  return [
    fromVocab('lower case', vocab, {}, BERT),
    fromVocab('cased', vocab, { do_lower_case: false }, { ...BERT, lowercase: false }),
    fromVocab('lower case, accents kept', vocab, { strip_accents: false }, { ...BERT, strip_accents: false }),
    fromVocab('cased, accents stripped', vocab, { do_lower_case: false, strip_accents: true },
      { ...BERT, lowercase: false, strip_accents: true }),
    fromVocab('ideographs in words', vocab, { tokenize_chinese_chars: false }, { ...BERT, handle_chinese_chars: false }),
    fromJson('text not cleaned, words of 20', vocab, { ...BERT, clean_text: false }, [], { max_input_chars_per_word: 20 }),
    fromJson('added tokens', vocab, BERT, with_({})),
    fromJson('added tokens, single_word', vocab, { ...BERT, lowercase: false }, with_({ single_word: true })),
    fromJson('added tokens, lstrip and rstrip, special', vocab, BERT, [
      ...with_({ lstrip: true, special: true }, ADDED.slice(0, 4)), ...with_({ rstrip: true, special: true }, ADDED.slice(4, 8)),
      ...with_({ lstrip: true, rstrip: true }, ADDED.slice(8)),
    ]),
    fromJson('added tokens, normalized and not, tangled', vocab, BERT, [
      ...with_({ normalized: false }, TANGLED.slice(0, 5)), ...with_({ normalized: true, single_word: true }, TANGLED.slice(5, 7)),
      ...with_({ special: true, normalized: true, rstrip: true }, TANGLED.slice(7)),
    ]),
  ]
}

export function makeOddTexts(count: number, seed: number): string[] {
  const words = readFileSync(new URL('../../runtime/bundled/base/vocab.txt', import.meta.url), 'utf8').trimEnd().split('\n').slice(5)
  return makeTexts(count, seed, words, [...ADDED, ...TANGLED, ...SPECIAL])
}

function* pointTexts(): Generator<string> {
  for (let point = 0; point < 0x110000; point++) {
    if (point >= 0xd800 && point <= 0xdfff) continue
    const character = String.fromCodePoint(point)
    yield `${character} a${character}B`
  }
}

export type Difference = { text: string; kerf: readonly number[]; reference: readonly number[] }

/** Texts whose ids differ from a reference's file of counts and ids. */
export function compare(tokenizer: Tokenizer, texts: Iterable<string>, reference: Int32Array): Difference[] {
  const differences: Difference[] = []
  let at = 0
  for (const text of texts) {
    const ids = tokenizer.encode(text)
    const count = reference[at]
    const wanted = reference.subarray(at + 1, at + 1 + count)
    at += 1 + count
    const same = count === ids.length && wanted.every((id, index) => id === ids[index])
    if (!same) differences.push({ text, kerf: [...ids], reference: [...wanted] })
  }
  if (at !== reference.length) throw new Error(`reference: expected ${at} numbers, got ${reference.length}`)
  return differences
}

export type Answer = { version: string; ids: Int32Array[] }

/** The reference's version, and its ids by setting; null where python or the package is missing. */
export function askReference(python: string, settings: readonly Setting[], texts: readonly string[], points: boolean): Answer | null {
  const directory = mkdtempSync(join(tmpdir(), 'kerf-tokens-'))
  try {
    const file = join(directory, 'texts.json')
    writeFileSync(file, JSON.stringify(texts))
    const out = settings.map((_, index) => join(directory, `ids.${index}`))
    const given = settings.map((setting, index) => setting.python(join(directory, `tokenizer.${index}`)))
    const job = { settings: given, texts: file, points, out }
    const program = fileURLToPath(new URL('tokens.py', import.meta.url))
    const { status, stdout, stderr } = spawnSync(python, [program], { input: JSON.stringify(job), encoding: 'utf8' })
    if (status === null || /No module named 'tokenizers'/.test(stderr)) return null
    if (status !== 0) throw new Error(stderr)
    return { version: stdout.trim(), ids: out.map((path) => new Int32Array(new Uint8Array(readFileSync(path)).buffer)) }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

export function hashIds(settings: readonly Setting[], texts: readonly string[], points: boolean): string {
  const hash = createHash('sha256')
  for (const { files } of settings) {
    const tokenizer = createTokenizer(files)
    for (const text of texts) hash.update(tokenizer.encode(text))
    if (points) for (const text of pointTexts()) hash.update(tokenizer.encode(text))
  }
  return hash.digest('hex')
}

function main(): void {
  const { values } = parseArgs({
    options: {
      python: { type: 'string', default: 'python3' }, texts: { type: 'string', default: '20000' }, seed: { type: 'string', default: '1' },
      'no-points': { type: 'boolean', default: false }, hash: { type: 'boolean', default: false },
    },
  })
  const texts = makeOddTexts(Number(values.texts), Number(values.seed)), settings = makeSettings(), points = !values['no-points']
  if (values.hash) return void process.stdout.write(`${hashIds(settings, texts, points)}\n`)
  let total = 0
  for (const setting of settings) {
    const answer = askReference(values.python, [setting], texts, points)
    if (!answer) throw new Error(`${values.python}: expected Python with tokenizers ${REFERENCE}, got none`)
    const differences = compare(createTokenizer(setting.files), points ? [...texts, ...pointTexts()] : texts, answer.ids[0])
    total += differences.length
    process.stdout.write(`${setting.name}: ${differences.length} differ (tokenizers ${answer.version})\n`)
    for (const { text, kerf, reference } of differences.slice(0, SHOWN)) {
      process.stdout.write(`  ${JSON.stringify(text)}\n    kerf      ${kerf.join(' ')}\n    reference ${reference.join(' ')}\n`)
    }
  }
  process.exitCode = total === 0 ? 0 : 1
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main()
