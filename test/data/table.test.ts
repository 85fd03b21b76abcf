import { parse } from 'csv-parse/sync'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Separator, TableRecord } from '../../runtime/data/table.ts'
import { parseTable } from '../../runtime/data/table.ts'
import { createRandom } from '../../runtime/random.ts'
import { refusal } from '../refusal.ts'

const SEPARATORS: readonly Separator[] = [',', ';', '\t']
const TABLES = 4000

type Reference = readonly { record: string[]; info: { lines: number } }[]

/** What csv-parse reads; null where it refuses. */
function readReference(text: string, separator: Separator): TableRecord[] | null {
  try {
    const records = parse(text, {
      info: true, relax_column_count: true, record_delimiter: ['\r\n', '\n'], delimiter: separator, trim: true,
    }) as unknown as Reference
    return records.map(({ record, info }) => ({ at: `t:${info.lines}`, fields: record }))
  } catch {
    return null
  }
}

function readOwn(text: string, separator: Separator): TableRecord[] | null {
  try {
    return parseTable('t', text, separator)
  } catch {
    return null
  }
}

/** csv-parse counts a carriage return and its line feed inside quotes as two lines. */
const compared = (text: string, records: TableRecord[] | null) => (text.includes('\r') ? records?.map(({ fields }) => fields) ?? null : records)
/** Where csv-parse takes a second quoted part for the field since the first is empty, or no blank of two bytes after a closing quote. */
const ODD = /""\s+"|"\s*[\u00a0\u3000]/

const random = createRandom(1, 'mask')
const draw = <T>(items: readonly T[]): T => items[random.below(items.length)]
const repeat = (most: number, make: () => string) => Array.from({ length: random.below(most + 1) }, make).join('')
const BLANKS = ['', '', '', ' ', '  ', '\f'], WIDE_BLANKS = [...BLANKS, '\u00a0', '\u3000']

function makeField(separator: Separator): string {
  const plain = repeat(4, () => draw(['a', 'b c', 'é', '漢', ...SEPARATORS.filter((other) => other !== separator)]))
  const quoted = () => `"${repeat(5, () => draw(['a', ' ', '""', '\n', '\r\n', '\u2028', ...SEPARATORS]))}"`
  return draw(WIDE_BLANKS) + (random.below(2) === 0 ? plain + draw(WIDE_BLANKS) : quoted() + draw(BLANKS))
}

function makeTable(separator: Separator): string {
  const end = draw(['\n', '\r\n'])
  const records = Array.from({ length: random.below(5) }, () => (
    Array.from({ length: 1 + random.below(3) }, () => makeField(separator)).join(separator)))
  return records.join(end) + draw(['', end, `${end}${end}`, `${end} `])
}

/** A few characters put in or taken away, as in a file that was cut or edited. */
function damage(text: string, separator: Separator): string {
  let damaged = text
  for (let turn = 1 + random.below(3); turn > 0; turn--) {
    const at = random.below(damaged.length + 1)
    damaged = damaged.slice(0, at) + draw(['"', '""', 'x', '\n', ' ', separator, '']) + damaged.slice(at + random.below(2))
  }
  // A carriage return that has lost its line feed is refused before any parser sees it.
  return damaged.replace(/\r(?!\n)/g, '')
}

test('whole tables are read as csv-parse reads them', () => {
  let records = 0
  for (let turn = 0; turn < TABLES; turn++) {
    const separator = draw(SEPARATORS), text = makeTable(separator)
    const own = parseTable('t', text, separator)
    records += own.length
    assert.equal(compared(text, own), compared(text, readReference(text, separator)), JSON.stringify(text))
  }
  assert.ok(records > TABLES, `${records} records`)
})

test('damaged tables are read as csv-parse reads them, or refused where it refuses', () => {
  let refused = 0
  for (let turn = 0; turn < TABLES; turn++) {
    const separator = draw(SEPARATORS), text = damage(makeTable(separator), separator)
    if (ODD.test(text)) continue
    const own = readOwn(text, separator)
    if (own === null) refused++
    assert.equal(compared(text, own), compared(text, readReference(text, separator)), JSON.stringify(text))
  }
  assert.ok(refused > TABLES / 8 && refused < TABLES * 7 / 8, `${refused} refused`)
})

test('a record is named by the line on which it ends', () => {
  const places = parseTable('t', 'a,b\r\n"1\r\n\r\n2",3\r\n4,5', ',').map(({ at }) => at)
  assert.equal(places, ['t:1', 't:4', 't:5'])
})

test('blanks of any kind stand round a quoted field', () => {
  assert.equal(parseTable('t', '\u00a0"1"\u3000,\t"2" \u00a0\n', ',').map(({ fields }) => fields), [['1', '2']])
})

test('quotes that CSV does not know are refused by line', () => {
  for (const [text, said] of [
    ['a,b\n1,"2\n3', 't:2: expected well-formed CSV, got "a quote that nothing closes"'],
    ['a,b\n"1"2,3', 't:2: expected well-formed CSV, got "text after a closing quote"'],
    ['a,b\n"\n" "2",3', 't:3: expected well-formed CSV, got "text after a closing quote"'],
    ['a,b\n1"2",3', 't:2: expected well-formed CSV, got "a quote in a field that begins without one"'],
  ]) assert.is(refusal(() => parseTable('t', text, ',')).message, said)
})

test.run()
