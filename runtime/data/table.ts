/** Tables of text: a header, and records whose fields a comma, a semicolon or a tab separates, with CSV's quotes. */
import { CsvError, parse as parseRecords } from 'csv-parse/browser/esm/sync'
import { refuse } from '../error.ts'
import { refuseReturn } from '../text/lines.ts'

export type Separator = ',' | ';' | '\t'

const SEPARATORS: readonly Separator[] = [',', '\t', ';']

/** `at` names the line on which a record ends: a quoted field may hold line ends. */
export type TableRecord = { at: string; fields: readonly string[] }

/** The separator at which a header falls into columns with all of `names`. */
export function findSeparator(header: string, names: readonly string[]): Separator | undefined {
  return SEPARATORS.find((separator) => {
    const columns = header.split(separator).map((column) => column.trim().replace(/^"(.*)"$/, '$1').trim())
    return names.every((name) => columns.includes(name))
  })
}

/** Outside quotes, a carriage return alone would make one record of two. */
function refuseReturns(name: string, text: string): void {
  let line = 1, quoted = false
  for (const [mark] of text.matchAll(/"|\r?\n|\r/g)) {
    if (mark === '"') quoted = !quoted
    else if (mark !== '\r') line++
    else if (!quoted) refuseReturn(`${name}:${line}`)
  }
}

type Parsed = { record: string[]; info: { lines: number } }[]

/** All records, the header among them. Blanks round a field are no part of it, unless they are quoted. */
export function parseTable(name: string, text: string, separator: Separator): TableRecord[] {
  if (text.includes('\r')) refuseReturns(name, text)
  try {
    // With `info` the parser returns each record beside its place, which its types do not say.
    const parsed = parseRecords(text, {
      info: true, relax_column_count: true, record_delimiter: ['\r\n', '\n'], delimiter: separator, trim: true,
    }) as unknown as Parsed
    return parsed.map(({ record, info }) => ({ at: `${name}:${info.lines}`, fields: record }))
  } catch (error) {
    if (!(error instanceof CsvError)) throw error
    return refuse('dataset-csv', `${name}:${error.lines ?? 1}`, 'well-formed CSV', error.message)
  }
}
