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

function show(value: unknown): string {
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value)
  return text.length > VALUE_CHARS_MAX ? `${text.slice(0, VALUE_CHARS_MAX)}…` : text
}

/** Throws a KerfError `field: expected …, got …`; `code` is stable and machine-readable. */
export function refuse(code: string, field: string, expected: string, got: unknown): never {
  throw new KerfError(code, field, `${field}: expected ${expected}, got ${show(got)}`)
}
