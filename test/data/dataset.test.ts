import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { existsSync, readFileSync } from 'node:fs'
import { checksumData, parseDataset, tokenizeDataset } from '../../runtime/data/dataset.ts'
import type { DatasetOptions } from '../../runtime/data/dataset.ts'
import { parseRows } from '../../runtime/data/rows.ts'
import { TEXT_CHARS_MAX, createTokenizer } from '../../runtime/data/tokens.ts'
import { refusal } from '../refusal.ts'
import { skipTest } from '../skip.ts'
import { crc32c } from '../wire/crc32c.ts'

const DATA = new URL('../../../shared/data/', import.meta.url)

function rowsOf(name: string, text: string, options?: DatasetOptions) {
  const { texts, labelNames, labels } = parseDataset(name, text, options)
  return texts.map((row, index) => [row, labelNames[labels[index]]])
}

function refused(name: string, text: string, code: string, message: string | RegExp, options?: DatasetOptions) {
  const error = refusal(() => parseDataset(name, text, options))
  assert.is(error.code, code)
  assert.match(error.message, message)
}

test('lines split at their last semicolon', () => {
  assert.equal(rowsOf('a.txt', 'i am; well;joy\nno "quotes";sadness\n;x;joy\n'), [
    ['i am; well', 'joy'], ['no "quotes"', 'sadness'], [';x', 'joy'],
  ])
  const { labelNames, labels } = parseDataset('a', 'x;b\ny;a\nz;b')
  assert.equal(labelNames, ['a', 'b'])
  assert.equal(labels, Int32Array.of(1, 0, 1))
})

test('Windows line ends, a byte order mark and a missing final newline change nothing', () => {
  const plain = [['a b', 'x'], ['c', 'y']]
  for (const text of ['a b;x\nc;y\n', 'a b;x\r\nc;y\r\n', '\uFEFFa b;x\nc;y', 'a b; x \r\nc;y']) assert.equal(rowsOf('d.txt', text), plain)
  const commas = [
    'text,label\na b,x\nc,y\n', '\uFEFFtext,label\r\na b,x\r\nc,y\r\n', 'text,label\na b,x\r\nc,y', 'label,id,text\nx,1,a b\ny,2,c\n',
  ]
  for (const text of commas) {
    assert.equal(rowsOf('d.csv', text), plain)
  }
  const objects = ['{"text":"a b","label":"x"}', '{"label":"y","text":"c","id":7}']
  for (const text of [objects.join('\n'), `\uFEFF${objects.join('\r\n')}\r\n`]) {
    assert.equal(rowsOf('d.jsonl', text), plain)
    assert.equal(rowsOf('d.NDJSON', text), plain)
    assert.equal(rowsOf('d.txt', text, { format: 'jsonl' }), plain)
  }
})

test('CSV keeps commas, quotes and line ends inside quotes', () => {
  assert.equal(rowsOf('d.csv', 'text,label\n"a, ""b""\nc;d",x\n'), [['a, "b"\nc;d', 'x']])
})

test('labels are numbered as given, else by code point', () => {
  assert.equal(parseDataset('d', 'a;z\nb;\u{1F600}\nc;\uFF21\nd;Z').labelNames, ['Z', 'z', '\uFF21', '\u{1F600}'])
  const { labelNames, labels } = parseDataset('d', 'a;z\nb;a', { labels: ['z', 'unused', 'a'] })
  assert.equal(labelNames, ['z', 'unused', 'a'])
  assert.equal(labels, Int32Array.of(0, 2))
})

test('a label may be the number of a row, but where a name begins with a digit', () => {
  const named = ['sad', 'none', 'joy']
  const numbers = ['{"text":"a","label":2}', '{"text":"b","label":"0"}', '{"text":"c","label":"sad"}'].join('\n')
  for (const [name, text] of [['d.csv', 'text,label\na,2\nb,0\nc,sad'], ['d.jsonl', numbers], ['d.txt', 'a;2\nb;0.0\nc;sad']]) {
    assert.equal(rowsOf(name, text, { labels: named }), [['a', 'joy'], ['b', 'sad'], ['c', 'sad']], name)
  }
  const labels = ['sad', '0', 'joy']
  assert.equal(rowsOf('d.csv', 'text,label\nb,0\nc,sad', { labels }), [['b', '0'], ['c', 'sad']])
  assert.equal(rowsOf('d.jsonl', '{"text":"b","label":0}\n{"text":"b","label":"0"}', { labels }), [['b', '0'], ['b', '0']])
  for (const beside of [labels, ['1 star', '2 stars', '3 stars'], ['1', '3', '5'], ['-1', '0', '1']]) {
    refused('d.csv', 'text,label\na,2', 'dataset-label', /^d\.csv:2\.label: expected one of /, { labels: beside })
  }
  refused('d.jsonl', '{"text":"a","label":3}', 'dataset-label', 'd.jsonl:1.label: expected one of sad, 0, joy, got 3', { labels })
  for (const label of ['-1', '1.5', '1e400']) {
    refused('d.jsonl', `{"text":"a","label":${label}}`, 'dataset-label', 'd.jsonl:1.label', { labels })
  }
  refused('d.csv', 'text,label\na,02', 'dataset-label', 'd.csv:2.label', { labels })
  refused('d.txt', 'a;2', 'dataset-label', 'd.txt:1.label: expected one of sad, 0, joy, got "2"', { labels })
})

test('an error names the file and the line', () => {
  refused('d.txt', '', 'dataset-empty', 'd.txt: expected at least one row')
  refused('d.txt', '\n', 'dataset-line', 'd.txt:1: expected a row')
  refused('d.txt', 'a;x\n\nb;x', 'dataset-line', 'd.txt:2: expected a row, got "an empty line"')
  refused('d.txt', 'a;x\r\n  \r\nb;x', 'dataset-line', 'd.txt:2')
  refused('d.txt', 'a;x\n\n', 'dataset-line', 'd.txt:2')
  refused('d.txt', 'a;x\nno label', 'dataset-label', 'd.txt:2: expected text;label, got "no label"')
  refused('d.txt', 'a;x\nb;', 'dataset-label', 'd.txt:2: expected a label')
  refused('d.txt', 'a;x\n ;x', 'dataset-text', 'd.txt:2: expected a text')
  refused('d.txt', 'a;x\nb;y', 'dataset-label', 'd.txt:2.label: expected one of x, z, got "y"', { labels: ['x', 'z'] })
  refused('d.txt', `a;x\n${'b'.repeat(TEXT_CHARS_MAX + 1)};x`, 'dataset-text', 'd.txt:2: expected a text of at most 65536')
  refused('d.txt', 'a;x', 'config-labels', 'labels.1: expected a name of its own', { labels: ['x', 'x'] })
})

test('an error in JSONL names the file and the line', () => {
  const good = '{"text":"a","label":"x"}\n'
  for (const bad of ['{"text":"a"', 'null', '[]', '"text"', '{} {}']) {
    refused('d.jsonl', good + bad, 'dataset-json', 'd.jsonl:2: expected a JSON object')
  }
  refused('d.jsonl', `${good}{"text":"a"}`, 'dataset-column', 'd.jsonl:2: expected a "label", got "text"')
  refused('d.jsonl', `${good}{"label":"a"}`, 'dataset-column', 'd.jsonl:2: expected a "text"')
  refused('d.jsonl', `${good}{"text":5,"label":"a"}`, 'dataset-text', 'd.jsonl:2.text')
  for (const label of ['null', 'true', '["x"]', '{}']) {
    refused('d.jsonl', `${good}{"text":"a","label":${label}}`, 'dataset-label', 'd.jsonl:2.label')
  }
  for (const twice of ['"label":"a","label":"b"', '"label":"a","label":"a"', '"label":"a","\\u006cabel":"b"', '"label":"a","of":[{"label":1,"label":2}]']) {
    refused('d.jsonl', `${good}{"text":"a",${twice}}`, 'dataset-json', 'd.jsonl:2: expected each key once in an object, got "label"')
  }
  refused('d.json', '[{"text":"a","text":"b","label":"x"}]', 'dataset-json', 'd.json: expected each key once in an object, got "text"')
  const apart = '{"text":"\\"label\\": {[,","label":"x","of":[{"label":1},{"label":2}, "a"]}\n'
  assert.is(parseRows('d.jsonl', apart + good).rows.length, 2)
  refused('d.jsonl', `${good}{"text":" ","label":"x"}`, 'dataset-text', 'd.jsonl:2')
  refused('d.jsonl', `${good}\n${good}`, 'dataset-line', 'd.jsonl:2')
})

test('an error in CSV names the file and the line', () => {
  refused('d.csv', '', 'dataset-column', 'd.csv:1: expected one column "text"')
  refused('d.csv', 'text,label\n', 'dataset-empty', 'd.csv')
  refused('d.csv', 'text,tag\na,x', 'dataset-column', 'd.csv:1: expected one column "label", got "text, tag"')
  refused('d.csv', 'text,label,text\na,x,b', 'dataset-column', 'one column "text"')
  refused('d.csv', 'text,label\na,x\n\nb,x', 'dataset-line', 'd.csv:3')
  refused('d.csv', 'text,label\na,x\nb', 'dataset-csv', 'd.csv:3: expected 2 fields, got 1')
  refused('d.csv', 'text,label\na,b,x\n', 'dataset-csv', 'd.csv:2: expected 2 fields, got 3')
  refused('d.csv', 'text,label\na,x\n"b,x\n', 'dataset-csv', /^d\.csv:\d/)
  refused('d.csv', 'text,label\n"a"b,x\n', 'dataset-csv', 'd.csv:2')
  refused('d.csv', 'text,label\na,x\n,x', 'dataset-text', 'd.csv:3')
  refused('d.csv', 'text,label\na,', 'dataset-label', 'd.csv:2')
})

const VOCAB = '[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\n'

test('a text of too many tokens is refused by row, or cut before its [SEP]', () => {
  const tokenizer = createTokenizer({ vocabText: VOCAB })
  const dataset = parseDataset('d.txt', 'a b;x\na b a b a;y\n')
  assert.equal(tokenizeDataset(dataset, tokenizer, 7, false), {
    sequences: [Int32Array.of(2, 5, 6, 3), Int32Array.of(2, 5, 6, 5, 6, 5, 3)], labels: Int32Array.of(0, 1),
  })
  assert.equal(tokenizeDataset(dataset, tokenizer, 5, true).sequences, [Int32Array.of(2, 5, 6, 3), Int32Array.of(2, 5, 6, 5, 3)])
  assert.equal(tokenizeDataset(dataset, tokenizer, 3, true).sequences, [Int32Array.of(2, 5, 3), Int32Array.of(2, 5, 3)])
  assert.throws(() => tokenizeDataset(dataset, tokenizer, 6, false), /^d\.txt row 2: expected at most 6 tokens, got 7$/)
  for (const maxLength of [2, 0, -1, 3.5, NaN]) assert.throws(() => tokenizeDataset(dataset, tokenizer, maxLength, true), /^maxLength: /)
})

test('a text beyond what the tokenizer takes is refused, or cut with --truncate as any other', () => {
  const tokenizer = createTokenizer({ vocabText: `${VOCAB}\u4e2d\n` })
  const cut = (text: string) => {
    const dataset = parseDataset('d.jsonl', JSON.stringify({ text, label: 'x' }), { truncate: true })
    return [...tokenizeDataset(dataset, tokenizer, 6, true).sequences[0]]
  }
  assert.equal(cut(`a b ${'a '.repeat(TEXT_CHARS_MAX)}`), [2, 5, 6, 5, 5, 3])
  assert.equal(cut(`${' '.repeat(TEXT_CHARS_MAX + 1)}b a`), [2, 6, 5, 3])
  // Without a blank: each ideograph is a piece, and a word of more than 100 letters is unknown.
  assert.equal(cut('\u4e2d'.repeat(TEXT_CHARS_MAX + 1)), [2, 7, 7, 7, 7, 3])
  assert.equal(cut('\u{20000}'.repeat(TEXT_CHARS_MAX)), [2, 1, 1, 1, 1, 3])
  assert.equal(cut(`b ${'a'.repeat(TEXT_CHARS_MAX)}`), [2, 6, 3])
  assert.equal(cut('a'.repeat(TEXT_CHARS_MAX + 1)), [2, 1, 3])
})

test('reads 2,000 tweets in the order and with the labels of their file', () => {
  if (!existsSync(DATA)) return skipTest('no CARER tweets in ../shared/data', { optional: true })
  const labels = ['sadness', 'joy', 'love', 'anger', 'fear', 'surprise']
  const text = readFileSync(new URL('emotion/val.txt', DATA), 'utf8')
  const dataset = parseDataset('val.txt', text, { labels })
  assert.is(dataset.texts.length, 2000)
  assert.equal(dataset.texts.map((row, i) => `${row};${labels[dataset.labels[i]]}`).join('\n'), text.trimEnd())
  assert.equal(parseDataset('val.txt', text).labelNames, [...labels].sort())
  const tokenizer = createTokenizer({ vocabText: readFileSync(new URL('bert-base-uncased/vocab.txt', DATA), 'utf8') })
  const longest = Math.max(...tokenizeDataset(dataset, tokenizer, 128, false).sequences.map(({ length }) => length))
  assert.ok(longest > 60 && longest <= 87, String(longest))
})

test('the checksum of data: lengths and tokens, then labels, each 32 bits; no other data has it', () => {
  const make = (sequences: readonly (readonly number[])[], labels: readonly number[]) => checksumData(
    crc32c, { sequences: sequences.map((ids) => Int32Array.from(ids)), labels: Int32Array.from(labels) })
  const bytes = Uint8Array.from([2, 7, 258, 1, 9, 0, 1].flatMap((word) => [word & 255, word >> 8, 0, 0]))
  assert.is(make([[7, 258], [9]], [0, 1]), crc32c(bytes))
  const all = [
    make([[7, 258], [9]], [0, 1]), make([[7, 259], [9]], [0, 1]), make([[258, 7], [9]], [0, 1]), make([[7], [258, 9]], [0, 1]),
    make([[9], [7, 258]], [0, 1]), make([[7, 258], [9]], [1, 0]), make([[7, 258]], [0]), make([], []),
  ]
  assert.is(new Set(all).size, all.length)
})

test.run()
