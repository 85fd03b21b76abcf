/** UTF-8 as Kerf takes it, from a file or a stream: every byte valid, after one byte order mark at most. */
import { refuse } from '../error.ts'

/** The marks of other encodings, the longer ones first. */
const MARKS: readonly (readonly [name: string, bytes: readonly number[]])[] = [
  ['UTF-32', [0xff, 0xfe, 0, 0]], ['UTF-32', [0, 0, 0xfe, 0xff]], ['UTF-16', [0xff, 0xfe]], ['UTF-16', [0xfe, 0xff]],
]

/** The encoding that a text's first bytes name, where it is another than UTF-8. */
function findMark(bytes: Uint8Array): string | undefined {
  return MARKS.find(([, mark]) => mark.every((byte, index) => bytes[index] === byte))?.[0]
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** `begins`: whether the bytes are a text's first ones, where a byte order mark may stand. Refuses `text-utf8` by `field`. */
export function decodeUtf8(bytes: Uint8Array, field: string, begins = true): string {
  const mark = begins ? findMark(bytes) : undefined
  if (mark !== undefined) refuse('text-utf8', field, 'UTF-8 text', `${mark}, by its byte order mark`)
  let text: string
  try {
    text = strict.decode(bytes)
  } catch {
    return refuse('text-utf8', field, 'UTF-8 text', 'other bytes')
  }
  return begins && text.startsWith('\uFEFF') ? text.slice(1) : text
}
