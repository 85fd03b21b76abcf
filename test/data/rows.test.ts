/** The format of a data file comes from its content: read as what it is, or refused, never cut at a semicolon of its texts. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { parseRows } from '../../runtime/data/rows.ts'
import { refusal } from '../refusal.ts'

const rowsOf = (name: string, text: string) => parseRows(name, text).rows.map(({ text: row, label }) => [row, label])

function refused(name: string, text: string, message: string | RegExp): void {
  assert.match(refusal(() => parseRows(name, text)).message, message)
}

const WANTED = [['so; very bad', 'sad'], ['a, "b"', 'glad']]
const OBJECTS = WANTED.map(([text, label]) => ({ text, label }))
const quote = (text: string) => `"${text.replaceAll('"', '""')}"`
const table = (separator: string) => [['label', 'text'], ...WANTED.map(([text, label]) => [label, quote(text)])]
  .map((fields) => `${fields.join(separator)}\n`).join('')

const CONTENTS = {
  lines: WANTED.map((row) => row.join(';')).join('\n'),
  'JSON lines': OBJECTS.map((row) => JSON.stringify(row)).join('\n'),
  'JSON lines with blanks': OBJECTS.map((row) => ` ${JSON.stringify(row).replaceAll(':', ' : ')}\r\n`).join(''),
  'a JSON list': JSON.stringify(OBJECTS),
  'a JSON list over lines': `\uFEFF\n${JSON.stringify(OBJECTS, null, 2)}\n`,
  'a table with commas': table(','), 'with tabs': table('\t'), 'with semicolons': table(';'),
  'with quotes and blanks': table(' , ').replace('label , text', '"label" , "text"'),
}

test('each format is read under an ending that says nothing, its own, or another', () => {
  for (const [format, text] of Object.entries(CONTENTS)) {
    for (const name of ['/dev/fd/63', 'd.txt', 'd.data', 'd']) assert.equal(rowsOf(name, text), WANTED, `${format} in ${name}`)
    if (format === 'lines') continue
    for (const name of ['d.csv', 'd.tsv', 'd.json', 'd.jsonl', 'D.NDJSON']) assert.equal(rowsOf(name, text), WANTED, `${format} in ${name}`)
  }
})

test('lines may begin with brackets and hold tabs, commas and JSON in their texts', () => {
  for (const text of ['[CLS] or not', '{smile} well', '[name], hello', 'a {"text": "b"}', 'text,label', 'text']) {
    assert.equal(rowsOf('d.txt', `${text};x\n`), [[text, 'x']])
  }
  assert.equal(rowsOf('d.txt', 'a;x\nb\tc;y\n'), [['a', 'x'], ['b\tc', 'y']])
})

test('a table or JSON without the two names is refused, whatever semicolons it holds', () => {
  refused('d.txt', 'so; bad\tsad\nwell; good\tglad\n', 'd.txt:1: expected one column "text", got "so; bad, sad"')
  refused('/dev/stdin', 'sad\tso; bad\nglad\twell; good\n', '/dev/stdin:1: expected one column "text"')
  refused('d.tsv', 'sentence\tlabel\nso; bad\tsad\n', 'd.tsv:1: expected one column "text", got "sentence, label"')
  refused('d.csv', 'so; bad;sad\n', 'd.csv:1: expected one column "text"')
  refused('d.txt', 'text\tlabel\nso; bad\n', 'd.txt:2: expected 2 fields, got 1')
  refused('d.txt', 'text;label\nso; bad;sad\n', 'd.txt:2: expected 2 fields, got 3')
  refused('d.txt', '{"text": "so; bad", "label": "sad"\n', 'd.txt:1: expected a JSON object, whole on its line')
  refused('d.txt', '{\n  "text": "so; bad",\n  "label": "sad"\n}\n', 'd.txt:1: expected a JSON object, whole on its line, got "{"')
  refused('d.txt', '[{"text": "so; bad", "label": "sad"}', 'd.txt: expected one JSON list of objects')
  refused('d.txt', '{"data": [{"text": "so; bad", "label": "sad"}]}', 'd.txt:1: expected a "text", got "data"')
  refused('d.json', '[{"text": "so; bad", "label": "sad"}, {"text": "a"}]', 'd.json[1]: expected a "label", got "text"')
  refused('d.json', '[["so; bad", "sad"]]', 'd.json[0]: expected a JSON object')
  refused('d.json', 'so; bad;sad\n', 'd.json:1: expected a JSON object')
})

test('a number that hosts may read differently is refused in JSON', () => {
  for (const label of ['12345678901234567890', '1e400', '0.12345678901234567']) {
    refused('d.jsonl', `{"text":"a","label":${label}}`, 'd.jsonl:1.label: expected a string, or a number of at most 15 digits')
  }
})

test('blanks round the fields of a table are no part of them, unless they are quoted', () => {
  assert.equal(rowsOf('d.csv', 'text, label\n the cat , sad\n" a",glad \n'), [['the cat', 'sad'], [' a', 'glad']])
  assert.equal(rowsOf('d.csv', 'label, text\nsad, "a, b"\n'), [['a, b', 'sad']])
  refused('d.tsv', 'text\tlabel\na\t\n', 'd.tsv:2: expected a label')
})

test('old line ends and NULs are refused by line, but for those inside quotes', () => {
  const returns = /^d\.\w+:(\d): expected lines that end in \\n or \\r\\n, got "a carriage return alone"$/
  for (const [name, text, line] of [
    ['d.txt', 'a;x\rb;y\r', 1], ['d.csv', 'text,label\ra,x\rb,y\r', 1], ['d.csv', 'text,label\n"a\n\r",x\nb,y\rc,z\n', 4],
    ['d.csv', 'text,label\na,x\r', 2],
    ['d.jsonl', '{"text":"a","label":"x"}\r{"text":"b","label":"y"}\r', 1], ['d.tsv', 'text\tlabel\ra\tx', 1],
  ] as const) {
    refused(name, text, returns)
    assert.is(returns.exec(refusal(() => parseRows(name, text)).message)?.[1], String(line), text)
  }
  assert.equal(rowsOf('d.csv', 'text,label\r\n"a\rb",x\r\n'), [['a\rb', 'x']])
  refused('d.txt', 'a;x\nb\0;y\n', 'd.txt:2: expected UTF-8 text, got "a NUL, as in UTF-16 without its mark"')
})

test.run()
