/**
 * Labelled texts from a file: lines of `text;label`, JSONL or CSV.
 *
 * A file is taken whole or refused with the line that is wrong: a row dropped in
 * silence would shift every device's share of the data.
 */
import { CsvError, parse as parseRecords } from 'csv-parse/browser/esm/sync'
import { refuse } from '../error.ts'
import { compareUtf8 } from '../order.ts'
import { checkLabels } from './labels.ts'
import { TEXT_CHARS_MAX } from './tokens.ts'
import type { Tokenizer } from './tokens.ts'

export type DatasetFormat = 'lines' | 'jsonl' | 'csv'

export type Dataset = {
  /** The file's name, for messages. */
  name: string
  texts: readonly string[]
  labelNames: readonly string[]
  /** Index into `labelNames` per row. */
  labels: Int32Array
}

export type DatasetOptions = { format?: DatasetFormat; labels?: readonly string[] }

export type TokenizedDataset = { sequences: readonly Int32Array[]; labels: Int32Array }

/** UTF-16 units of one file. */
export const DATASET_CHARS_MAX = 1 << 28

const COLUMNS = ['text', 'label'] as const

/** A row before its label has an index; `at` is `file:line`. A number is an index already. */
type Row = { at: string; text: string; label: string | number }

function splitLines(name: string, text: string): { at: string; line: string }[] {
  const lines = text.split('\n').map((line) => line.replace(/\r$/, ''))
  if (lines.at(-1) === '') lines.pop()
  return lines.map((line, index) => {
    const at = `${name}:${index + 1}`
    if (line.trim() === '') refuse('dataset-line', at, 'a row', 'an empty line')
    return { at, line }
  })
}

function parseLines(name: string, text: string): Row[] {
  return splitLines(name, text).map(({ at, line }) => {
    const split = line.lastIndexOf(';')
    if (split < 0) refuse('dataset-label', at, 'text;label', line)
    return { at, text: line.slice(0, split), label: line.slice(split + 1).trim() }
  })
}

function parseJson(at: string, line: string): Readonly<Record<string, unknown>> {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    refuse('dataset-json', at, 'a JSON object', line)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    refuse('dataset-json', at, 'a JSON object', line)
  }
  return value as Readonly<Record<string, unknown>>
}

function parseJsonLines(name: string, text: string): Row[] {
  return splitLines(name, text).map(({ at, line }) => {
    const row = parseJson(at, line)
    for (const column of COLUMNS) {
      if (!Object.hasOwn(row, column)) refuse('dataset-column', at, `a "${column}"`, Object.keys(row).join(', '))
    }
    if (typeof row.text !== 'string') refuse('dataset-text', `${at}.text`, 'a string', JSON.stringify(row.text))
    if (typeof row.label !== 'string' && typeof row.label !== 'number') {
      refuse('dataset-label', `${at}.label`, 'a string or an index', JSON.stringify(row.label))
    }
    return { at, text: row.text, label: typeof row.label === 'string' ? row.label.trim() : row.label }
  })
}

type Records = { record: string[]; info: { lines: number } }[]

function readRecords(name: string, text: string): Records {
  try {
    // With `info` the parser returns each record beside its place, which its types do not say.
    return parseRecords(text, {
      info: true,
      relax_column_count: true,
      record_delimiter: ['\r\n', '\n'],
    }) as unknown as Records
  } catch (error) {
    if (!(error instanceof CsvError)) throw error
    return refuse('dataset-csv', `${name}:${error.lines ?? 1}`, 'well-formed CSV', error.message)
  }
}

/** `at` names the line on which a record ends: a quoted text may hold line ends. */
function parseCsv(name: string, text: string): Row[] {
  const [header, ...records] = readRecords(name, text)
  const columns = header?.record ?? []
  const [textAt, labelAt] = COLUMNS.map((column) => {
    const index = columns.indexOf(column)
    if (index < 0 || columns.lastIndexOf(column) !== index) {
      refuse('dataset-column', `${name}:1`, `one column "${column}"`, columns.join(', '))
    }
    return index
  })
  return records.map(({ record, info }) => {
    const at = `${name}:${info.lines}`
    if (record.length === 1 && record[0] === '') refuse('dataset-line', at, 'a row', 'an empty line')
    if (record.length !== columns.length) refuse('dataset-csv', at, `${columns.length} fields`, record.length)
    return { at, text: record[textAt], label: record[labelAt].trim() }
  })
}

function chooseFormat(name: string): DatasetFormat {
  const file = name.toLowerCase()
  if (file.endsWith('.jsonl') || file.endsWith('.ndjson')) return 'jsonl'
  return file.endsWith('.csv') ? 'csv' : 'lines'
}

const PARSERS: Readonly<Record<DatasetFormat, (name: string, text: string) => Row[]>> = {
  lines: parseLines,
  jsonl: parseJsonLines,
  csv: parseCsv,
}

function checkRow({ at, text, label }: Row): void {
  if (text.trim() === '') refuse('dataset-text', at, 'a text', 'an empty one')
  if (text.length > TEXT_CHARS_MAX) {
    refuse('dataset-text', at, `a text of at most ${TEXT_CHARS_MAX} characters`, text.length)
  }
  if (label === '') refuse('dataset-label', at, 'a label', 'an empty one')
}

/** The names that the rows themselves bear, sorted. */
function collectNames(rows: readonly Row[], name: string): readonly string[] {
  const names = new Set<string>()
  for (const { at, label } of rows) {
    if (typeof label === 'number') {
      refuse('dataset-label', `${at}.label`, 'a name, as no label names are given to number', label)
    }
    names.add(label)
  }
  return checkLabels([...names].sort(compareUtf8), `${name}.labels`)
}

/** A label's index: by its name, or for JSONL and CSV by its number. */
function findLabel({ at, label }: Row, index: ReadonlyMap<string, number>, numbers: boolean): number {
  const named = typeof label === 'string' ? index.get(label) : undefined
  if (named !== undefined) return named
  const number = numbers && /^(0|[1-9]\d{0,8})$/.test(String(label)) ? Number(label) : -1
  if (number < 0 || number >= index.size) {
    refuse('dataset-label', `${at}.label`, `one of ${[...index.keys()].join(', ')}`, label)
  }
  return number
}

/**
 * Reads a file of labelled texts. The format follows the name's ending (`.jsonl`,
 * `.ndjson`, `.csv`, else lines) unless given; a byte order mark and Windows line ends
 * are accepted. Labels are numbered in the order given, else sorted by code point;
 * with names given, a JSONL or CSV label may also be an index.
 * Throws a KerfError that names the file and line of the first row that is wrong.
 */
export function parseDataset(name: string, text: string, options: DatasetOptions = {}): Dataset {
  if (text.length > DATASET_CHARS_MAX) {
    refuse('dataset-size', name, `at most ${DATASET_CHARS_MAX} characters`, text.length)
  }
  const format = options.format ?? chooseFormat(name)
  const rows = PARSERS[format](name, text.replace(/^\uFEFF/, ''))
  if (rows.length === 0) refuse('dataset-empty', name, 'at least one row', 'none')
  rows.forEach(checkRow)
  const labelNames = options.labels ? checkLabels(options.labels, 'labels') : collectNames(rows, name)
  const index = new Map(labelNames.map((label, i) => [label, i]))
  const labels = Int32Array.from(rows, (row) => findLabel(row, index, format !== 'lines'))
  return { name, texts: rows.map((row) => row.text), labelNames, labels }
}

function truncateSequence(sequence: Int32Array, length: number): Int32Array {
  const shorter = sequence.slice(0, length)
  shorter[length - 1] = sequence[sequence.length - 1]
  return shorter
}

/**
 * Every text's token ids, [CLS] and [SEP] counted in `maxLength`.
 * A longer text is refused, or with `truncate` keeps its first `maxLength` − 2 pieces.
 */
export function tokenizeDataset(
  dataset: Dataset, tokenizer: Tokenizer, maxLength: number, truncate: boolean,
): TokenizedDataset {
  if (!Number.isInteger(maxLength) || maxLength < 3) {
    refuse('dataset-length', 'maxLength', 'an integer of at least 3', maxLength)
  }
  const sequences = dataset.texts.map((text, row) => {
    const sequence = tokenizer.encode(text)
    if (sequence.length <= maxLength) return sequence
    if (!truncate) {
      refuse('dataset-length', `${dataset.name} row ${row + 1}`, `at most ${maxLength} tokens`, sequence.length)
    }
    return truncateSequence(sequence, maxLength)
  })
  return { sequences, labels: dataset.labels }
}

/** Rows of each of `count` labels. */
export function countLabels(labels: Int32Array, count: number): number[] {
  const counts = new Array<number>(count).fill(0)
  for (const label of labels) counts[label]++
  return counts
}
