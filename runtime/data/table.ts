/**
 * Tables of text: a header, and records whose fields a comma, a semicolon or a tab separates, with CSV's quotes (RFC 4180).
 * Read here, since csv-parse's build for all hosts assigns `__proto__`, which Deno has not.
 */
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

function refuseCsv(name: string, line: number, got: string): never {
  return refuse('dataset-csv', `${name}:${line}`, 'well-formed CSV', got)
}

/** What a field without quotes may hold, from `lastIndex` on. */
const PLAIN: Readonly<Record<Separator, RegExp>> = { ',': /[^",\n]*/y, ';': /[^";\n]*/y, '\t': /[^"\t\n]*/y }

/** Where the quote stands that ends the field whose first character is at `from`; -1 without one. Two quotes are one of the text. */
function findClose(text: string, from: number): number {
  let at = text.indexOf('"', from)
  while (at >= 0 && text[at + 1] === '"') at = text.indexOf('"', at + 2)
  return at
}

/** All records, the header among them. Blanks round a field are no part of it, unless they are quoted. */
export function parseTable(name: string, text: string, separator: Separator): TableRecord[] {
  if (text.includes('\r')) refuseReturns(name, text)
  const plain = PLAIN[separator]
  const records: TableRecord[] = []
  let fields: string[] = [], at = 0, line = 1
  const readPlain = (): string => {
    plain.lastIndex = at
    const [found] = plain.exec(text)!
    at += found.length
    return found.trim()
  }
  const readQuoted = (): string => {
    const end = findClose(text, at + 1)
    if (end < 0) refuseCsv(name, line, 'a quote that nothing closes')
    const field = text.slice(at + 1, end)
    for (let next = field.indexOf('\n'); next >= 0; next = field.indexOf('\n', next + 1)) line++
    at = end + 1
    if (readPlain() !== '' || text[at] === '"') refuseCsv(name, line, 'text after a closing quote')
    return field.replaceAll('""', '"')
  }
  for (;; at++) {
    const before = readPlain()
    const quoted = text[at] === '"'
    if (quoted && before !== '') refuseCsv(name, line, 'a quote in a field that begins without one')
    fields.push(quoted ? readQuoted() : before)
    const isLast = at === text.length
    // Nothing, or blanks, after the last line end are no record.
    if (isLast && !quoted && before === '' && fields.length === 1) return records
    if (text[at] === separator) continue
    records.push({ at: `${name}:${line}`, fields })
    if (isLast) return records
    fields = []
    line++
  }
}
