/** Lines of a text: they end at \n and at \r\n and nowhere else, in files and streams and on every host. */
import { refuse } from '../error.ts'
import { decodeUtf8 } from './utf8.ts'

/** `at` is the line's place, `name:number`. */
export type Line = { at: string; line: string }

/** Bytes of one line of a stream. */
export const LINE_BYTES_MAX = 1 << 28

/** Old Macs ended lines by a carriage return alone. */
export function refuseReturn(at: string): never {
  return refuse('text-return', at, 'lines that end in \\n or \\r\\n', 'a carriage return alone')
}

export function refuseNul(at: string): never {
  return refuse('text-utf8', at, 'UTF-8 text', 'a NUL, as in UTF-16 without its mark')
}

/** A line without its end. */
function checkLine(at: string, text: string, ended: boolean): Line {
  const line = ended && text.endsWith('\r') ? text.slice(0, -1) : text
  if (line.includes('\r')) refuseReturn(at)
  if (line.includes('\0')) refuseNul(at)
  return { at, line }
}

export function splitLines(text: string, name: string): Line[] {
  const parts = text.split('\n')
  const ended = parts.length - 1
  if (parts[ended] === '') parts.pop()
  return parts.map((part, index) => checkLine(`${name}:${index + 1}`, part, index < ended))
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

const LINE_END = 10

/** The lines of a stream of UTF-8, each as soon as it has ended. */
export async function* readLines(chunks: AsyncIterable<Uint8Array>, name: string): AsyncGenerator<Line> {
  let parts: Uint8Array[] = [], size = 0, number = 0
  const add = (part: Uint8Array) => {
    parts.push(part)
    size += part.length
    if (size > LINE_BYTES_MAX) refuse('text-size', `${name}:${number + 1}`, `a line of at most ${LINE_BYTES_MAX} bytes`, 'a longer one')
  }
  const take = (ended: boolean): Line => {
    const at = `${name}:${++number}`
    const text = decodeUtf8(join(parts), at, number === 1)
    parts = []
    size = 0
    return checkLine(at, text, ended)
  }
  for await (const chunk of chunks) {
    let begin = 0
    // No byte of a longer character is that of a line end.
    for (let end = chunk.indexOf(LINE_END); end >= 0; end = chunk.indexOf(LINE_END, begin)) {
      add(chunk.subarray(begin, end))
      yield take(true)
      begin = end + 1
    }
    // A host may use the chunk's memory again.
    if (begin < chunk.length) add(chunk.slice(begin))
  }
  if (size > 0) yield take(false)
}
