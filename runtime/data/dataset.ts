/** Labelled texts with their labels' indices, and as tokens. */
import { refuse } from '../error.ts'
import type { Crc32c } from '../wire/frame.ts'
import { checkLabels, labelFinder, listLabels } from './labels.ts'
import type { DatasetFormat, Rows } from './rows.ts'
import { namesOf, parseRows } from './rows.ts'
import { TEXT_CHARS_MAX } from './tokens.ts'
import type { Tokenizer } from './tokens.ts'

export type Dataset = {
  /** The file's name, for messages. */
  name: string
  texts: readonly string[]
  labelNames: readonly string[]
  /** Index into `labelNames` per row. */
  labels: Int32Array
}

export type DatasetOptions = { format?: DatasetFormat; labels?: readonly string[]; truncate?: boolean }

export type TokenizedDataset = { sequences: readonly Int32Array[]; labels: Int32Array }

/**
 * A text that the tokenizer takes: a longer one is refused, or with `truncate` ends at the last blank that is near enough,
 * where no word is cut.
 */
export function fitText(text: string, at: string, truncate: boolean): string {
  if (text.length <= TEXT_CHARS_MAX) return text
  if (!truncate) refuse('dataset-text', at, `a text of at most ${TEXT_CHARS_MAX} characters`, text.length)
  const begin = text.trimStart()
  const part = begin.slice(0, TEXT_CHARS_MAX)
  if (part.length === begin.length) return part
  const word = /\s\S*$/.exec(part)?.index ?? 0
  // Without a blank, at least no character is cut in two.
  return word > 0 ? part.slice(0, word) : part.replace(/[\uD800-\uDBFF]$/, '')
}

/** The labels' indices: by name, or by number where `labelFinder` takes one. Refuses a label of none by its file and line. */
export function indexRows({ name, rows }: Rows, labelNames: readonly string[], truncate: boolean): Dataset {
  const find = labelFinder(labelNames)
  const labels = Int32Array.from(rows, ({ at, label }) => {
    const row = find(label)
    return row < 0 ? refuse('dataset-label', `${at}.label`, `one of ${listLabels(labelNames)}`, label) : row
  })
  return { name, texts: rows.map(({ at, text }) => fitText(text, at, truncate)), labelNames, labels }
}

/** Reads a file of labelled texts. Labels are numbered in the order given, else sorted (`compareLabels`). */
export function parseDataset(name: string, text: string, { format, labels, truncate = false }: DatasetOptions = {}): Dataset {
  const rows = parseRows(name, text, format)
  return indexRows(rows, labels ? checkLabels(labels, 'labels') : checkLabels(namesOf(rows), `${name}.labels`), truncate)
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

/** How a text may become tokens. */
export type Limits = { maxLength: number; truncate: boolean }

/** Rows as tokens, their labels by the names of a head's rows. */
export function tokenizeRows(
  rows: Rows, labelNames: readonly string[], tokenizer: Tokenizer, { maxLength, truncate }: Limits,
): TokenizedDataset {
  return tokenizeDataset(indexRows(rows, labelNames, truncate), tokenizer, maxLength, truncate)
}

/** Rows of each of `count` labels. */
export function countLabels(labels: Int32Array, count: number): number[] {
  const counts = new Array<number>(count).fill(0)
  for (const label of labels) counts[label]++
  return counts
}

/** CRC32C of every text's length and tokens, then of the labels: equal only for the same samples in the same order. */
export function checksumData(crc32c: Crc32c, { sequences, labels }: TokenizedDataset): number {
  const parts = [...sequences.flatMap((sequence) => [Int32Array.of(sequence.length), sequence]), labels]
  const words = new Int32Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    words.set(part, at)
    at += part.length
  }
  return crc32c(new Uint8Array(words.buffer)) >>> 0
}
