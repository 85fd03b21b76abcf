/**
 * Rows of a data file: lines of `text;label`, JSON objects (one a line, or one list of them), or a table with a header.
 *
 * The format is found in the content; the file's ending decides only where the content leaves it open. A file is taken whole
 * or refused with the line that is wrong: a row dropped in silence would shift every device's share of the data.
 */
import { refuse } from '../error.ts'
import { findRepeatedKey } from '../text/keys.ts'
import type { Line } from '../text/lines.ts'
import { refuseNul, splitLines } from '../text/lines.ts'
import type { Label } from './labels.ts'
import { compareLabels, labelName } from './labels.ts'
import { findSeparator, parseTable } from './table.ts'

export type DatasetFormat = 'lines' | 'jsonl' | 'json' | 'csv' | 'tsv'

/** A row whose label has no index yet; `at` is its place, `file:line`. */
export type Row = { at: string; text: string; label: Label }

export type Rows = { name: string; rows: readonly Row[] }

/** UTF-16 units of one file. */
export const DATASET_CHARS_MAX = 1 << 28

const COLUMNS = ['text', 'label'] as const
const EMPTY = 'an empty line'

function filledLines(name: string, text: string): Line[] {
  return splitLines(text, name).map((line) => (line.line.trim() === '' ? refuse('dataset-line', line.at, 'a row', EMPTY) : line))
}

function parseLines(name: string, text: string): Row[] {
  return filledLines(name, text).map(({ at, line }) => {
    const split = line.lastIndexOf(';')
    if (split < 0) refuse('dataset-label', at, 'text;label', line)
    return { at, text: line.slice(0, split), label: line.slice(split + 1).trim() }
  })
}

/** Of more digits, two hosts or two programs may read different numbers. */
const isExact = (value: number) => Number.isSafeInteger(value) || (Number.isFinite(value) && Number(value.toPrecision(15)) === value)

function rowOf(at: string, value: unknown, shown: string): Row {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return refuse('dataset-json', at, 'a JSON object', shown)
  const row = value as Readonly<Record<string, unknown>>
  for (const column of COLUMNS) {
    if (!Object.hasOwn(row, column)) refuse('dataset-column', at, `a "${column}"`, Object.keys(row).join(', '))
  }
  const { text, label } = row
  if (typeof text !== 'string') return refuse('dataset-text', `${at}.text`, 'a string', JSON.stringify(text))
  if (typeof label === 'string') return { at, text, label: label.trim() }
  if (typeof label === 'number' && isExact(label)) return { at, text, label }
  return refuse('dataset-label', `${at}.label`, 'a string, or a number of at most 15 digits', JSON.stringify(label))
}

function parseJson(at: string, text: string, expected: string): unknown {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return refuse('dataset-json', at, expected, text)
  }
  const repeated = findRepeatedKey(text)
  return repeated === null ? value : refuse('dataset-json', at, 'each key once in an object', repeated)
}

function parseJsonLines(name: string, text: string): Row[] {
  return filledLines(name, text).map(({ at, line }) => rowOf(at, parseJson(at, line, 'a JSON object, whole on its line'), line))
}

function parseJsonList(name: string, text: string): Row[] {
  const list = parseJson(name, text, 'one JSON list of objects')
  if (!Array.isArray(list)) return refuse('dataset-json', name, 'one JSON list of objects', text)
  return list.map((value, index) => rowOf(`${name}[${index}]`, value, JSON.stringify(value)))
}

function parseColumns(name: string, text: string, format: 'csv' | 'tsv'): Row[] {
  const [header, ...records] = parseTable(name, text, findSeparator(firstLine(text), COLUMNS) ?? (format === 'csv' ? ',' : '\t'))
  const columns = header?.fields ?? []
  const [textAt, labelAt] = COLUMNS.map((column) => {
    const index = columns.indexOf(column)
    if (index < 0 || columns.lastIndexOf(column) !== index) {
      refuse('dataset-column', `${name}:1`, `one column "${column}"`, columns.join(', '))
    }
    return index
  })
  return records.map(({ at, fields }) => {
    if (fields.length === 1 && fields[0] === '') refuse('dataset-line', at, 'a row', EMPTY)
    if (fields.length !== columns.length) refuse('dataset-csv', at, `${columns.length} fields`, fields.length)
    return { at, text: fields[textAt], label: fields[labelAt].trim() }
  })
}

function firstLine(text: string): string {
  const end = text.indexOf('\n')
  return end < 0 ? text : text.slice(0, end)
}

const ENDINGS: Readonly<Record<string, DatasetFormat>> = {
  jsonl: 'jsonl', ndjson: 'jsonl', json: 'jsonl', csv: 'csv', tsv: 'tsv', tab: 'tsv',
}

/** How JSON objects begin, and lists of what JSON may hold: no text of a `text;label` is taken for one by a lone bracket. */
const JSON_OBJECT = /^\s*\{\s*(?:["}]|$)/, JSON_LIST = /^\s*\[\s*(?:[{["\]]|$)/

function findFormat(name: string, text: string): DatasetFormat {
  const ending = ENDINGS[/\.([a-z]+)$/.exec(name.toLowerCase())?.[1] ?? '']
  if (JSON_LIST.test(text)) return 'json'
  if (JSON_OBJECT.test(text)) return 'jsonl'
  const first = firstLine(text)
  if (findSeparator(first, COLUMNS) !== undefined) return 'csv'
  // A tab in the first line shows a table, which must not be cut at a semicolon of its texts.
  return ending ?? (first.includes('\t') ? 'tsv' : 'lines')
}

const PARSERS: Readonly<Record<DatasetFormat, (name: string, text: string) => Row[]>> = {
  lines: parseLines,
  jsonl: parseJsonLines,
  json: parseJsonList,
  csv: (name, text) => parseColumns(name, text, 'csv'),
  tsv: (name, text) => parseColumns(name, text, 'tsv'),
}

function checkRow({ at, text, label }: Row): void {
  if (text.trim() === '') refuse('dataset-text', at, 'a text', 'an empty one')
  if (label === '') refuse('dataset-label', at, 'a label', 'an empty one')
}

/** Throws a KerfError that names the file and line of the first row that is wrong. A byte order mark is accepted. */
export function parseRows(name: string, text: string, format?: DatasetFormat): Rows {
  if (text.length > DATASET_CHARS_MAX) {
    refuse('dataset-size', name, `at most ${DATASET_CHARS_MAX} characters`, text.length)
  }
  const bare = text.replace(/^\uFEFF/, '')
  const nul = bare.indexOf('\0')
  if (nul >= 0) refuseNul(`${name}:${bare.slice(0, nul).split('\n').length}`)
  const rows = PARSERS[format ?? findFormat(name, bare)](name, bare)
  if (rows.length === 0) refuse('dataset-empty', name, 'at least one row', 'none')
  rows.forEach(checkRow)
  return { name, rows }
}

/** The names that rows bear, sorted. */
export function namesOf({ rows }: Rows): string[] {
  return [...new Set(rows.map(({ label }) => labelName(label)))].sort(compareLabels)
}
