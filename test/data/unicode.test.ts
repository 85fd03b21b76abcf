/** Every code point is to Kerf what it is to the Rust tokenizers, whatever Unicode this host has. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createHash } from 'node:crypto'
import { cutWords, normalizeText, wellFormed } from '../../runtime/data/normalizer.ts'
import type { Normalizer } from '../../runtime/data/normalizer.ts'
import { KIND, decompose, openTables } from '../../runtime/data/unicode.ts'
import { REFERENCE, askReference, compare, makeOddTexts, makeSettings } from '../../scripts/interop/tokens.ts'
import { createTokenizer } from '../../runtime/data/tokens.ts'
import { readFileSync } from 'node:fs'
import { skipTest } from '../skip.ts'

const points = function* () {
  for (let point = 0; point < 0x110000; point++) if (point < 0xd800 || point > 0xdfff) yield String.fromCodePoint(point)
}
const OFF: Normalizer = { clean: false, ideographs: false, stripAccents: false, lowercase: false }

function hashOf(change: (text: string) => string): string {
  const hash = createHash('sha256')
  for (const character of points()) {
    const text = change(character)
    if (text !== character) hash.update(`${character}>${text};`)
  }
  return hash.digest('hex').slice(0, 16)
}

// Taken where scripts/interop/tokens.ts found no difference from tokenizers 0.23.3 in any code point.
test('every code point, normalised each way and cut, as the reference has it', () => {
  const words = (text: string) => {
    const cut: string[] = []
    cutWords(`a${text}b`, (word) => cut.push(word))
    return cut.length === 1 ? text : cut.join('|')
  }
  assert.equal({
    clean: hashOf((text) => normalizeText(text, { ...OFF, clean: true })), ideographs: hashOf((text) => normalizeText(text,
      { ...OFF, ideographs: true })),
    stripAccents: hashOf((text) => normalizeText(text, { ...OFF, stripAccents: true })), lowercase: hashOf((text) => normalizeText(text,
      { ...OFF, lowercase: true })),
    words: hashOf(words),
  }, {
    clean: '97cf4c1d8e843938', ideographs: '172b212f2381d471', stripAccents: '43d7d478840e0c52', lowercase: '94e16782625b53df', words: '39afe6d96d704c79',
  })
})

test('kinds, one by one', () => {
  const { kinds } = openTables()
  const is = (text: string, kind: number) => (kinds[text.codePointAt(0)!] & kind) !== 0
  for (const text of ['\t', '\u0085', '\u00a0', '\u1680', '\u2028', '\u3000']) assert.ok(is(text, KIND.white), text)
  for (const text of ['$', '^', '`', '|', '¡', '—', '。', '\u166d']) assert.ok(is(text, KIND.punctuation), text)
  // Punctuation only since Unicode 9 and later: no punctuation here, on any host.
  for (const text of ['\u2e43', '\u1b7d', '\u{1e95e}', '€', '©', 'a']) assert.not.ok(is(text, KIND.punctuation), text)
  for (const text of ['_', 'é', '٣', '\u0301', '\u200d', '中']) assert.ok(is(text, KIND.word), text)
  for (const text of ['-', ' ', '½', '☃']) assert.not.ok(is(text, KIND.word), text)
  for (const text of ['\u0000', '\u00ad', '\u200b', '\ufeff', '\ue000', '\u{e0041}']) assert.ok(is(text, KIND.removed), text)
  assert.not.ok(is('\n', KIND.removed))
  // A mark since Unicode 14: neither sorted nor stripped.
  assert.equal([is('\u0301', KIND.mark), is('\u0898', KIND.mark)], [true, false])
})

test('decomposition: full, Hangul by rule, marks sorted and starters left where they stand', () => {
  const nfd = (text: string) => String.fromCodePoint(...decompose(Array.from(text, (character) => character.codePointAt(0)!)))
  for (const text of ['ǖ', '각힣', 'a\u0301\u0323', 'ཱི\u0f73', '\u1e9b\u0323', 'か\u3099\u0323', '\u2126Å', '豈', '\u{1d15e}',
    'q\u0307\u0323x\u0301\u0316']) {
    assert.is(nfd(text), text.normalize('NFD'), text)
  }
  assert.is(nfd('\u{11938}'), '\u{11938}')
})

test('lower case letter by letter: no final sigma, no language', () => {
  const lower = (text: string) => normalizeText(text, { ...OFF, lowercase: true })
  assert.equal(['ΟΔΟΣ', 'İI', 'ẞ', 'ǅ', 'Ⴀ', 'Ꭰ', '\u{1e900}', '\ua7cb', '\u{16ea0}'].map(lower),
    ['οδοσ', 'i\u0307i', 'ß', 'ǆ', 'ⴀ', 'ꭰ', '\u{1e922}', '\u0264', '\u{16ebb}'])
  assert.is(wellFormed('a\ud800b\u{1f600}\udc00'), 'a\ufffdb\u{1f600}\ufffd')
})

const PYTHON = 'python3'

test('odd texts over ten settings get the ids of the Rust tokenizers', () => {
  const vocab = readFileSync(new URL('../../runtime/bundled/base/vocab.txt', import.meta.url), 'utf8').trimEnd().split('\n')
  const settings = makeSettings(vocab), texts = makeOddTexts(400, 7)
  const answer = askReference(PYTHON, settings, texts, false)
  if (answer?.version !== REFERENCE) return skipTest(`${PYTHON} has no tokenizers ${REFERENCE}`, { optional: true })
  settings.forEach(({ name, files }, index) => assert.equal(compare(createTokenizer(files), texts, answer.ids[index]), [], name))
})

test.run()
