/** Text in columns: the first ones to the left, numbers to the right. */
import { printable } from './printable.ts'

const GAP = '  '

/** Lines of equal columns, the first `left` aligned to the left; a row may be shorter than the others. */
export function formatColumns(rows: readonly (readonly string[])[], left = 1): string[] {
  const columns = Math.max(...rows.map((row) => row.length))
  const widths = Array.from({ length: columns }, (_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)))
  return rows.map((row) => row.map((cell, column) => (
    column < left ? cell.padEnd(widths[column]) : cell.padStart(widths[column]))).join(GAP).trimEnd())
}

/** A name for a table: no control characters, at most `width` characters, cut with `~`. */
export function shortenName(name: string, width: number): string {
  const text = printable(name)
  return text.length <= width ? text : `${text.slice(0, width - 1)}~`
}
