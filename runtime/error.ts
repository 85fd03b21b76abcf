/**
 * The one error for input that Kerf refuses. Its message names the field, the
 * expectation and the value: `frame.rank: expected at most 64, got 70`.
 */
export class KerfError extends Error {
  readonly code: string
  readonly field: string

  constructor(code: string, field: string, message: string) {
    super(message)
    this.name = 'KerfError'
    this.code = code
    this.field = field
  }
}

const VALUE_CHARS_MAX = 120
/** Whole pairs, so that they are passed over, and halves alone; without the flag u, which small engines lack. */
const SURROGATES = /[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udfff]/g

/** The first `count` characters; where that leaves half of one, or the text had such a half, U+FFFD stands for it, so that it can be sent. */
export function clipText(text: string, count: number): string {
  return text.slice(0, count).replace(SURROGATES, (units) => (units.length === 2 ? units : '\ufffd'))
}

/** What JSON brings may have a `toString` that is none. */
function write(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value)
  try {
    return String(value)
  } catch {
    return typeof value
  }
}

function show(value: unknown): string {
  const text = write(value)
  return text.length > VALUE_CHARS_MAX ? `${clipText(text, VALUE_CHARS_MAX)}…` : text
}

/** Throws a KerfError `field: expected …, got …`; `code` is stable and machine-readable. */
export function refuse(code: string, field: string, expected: string, got: unknown): never {
  throw new KerfError(code, field, `${field}: expected ${expected}, got ${show(got)}`)
}
