/**
 * A strict JSON reader (RFC 8259) for safetensors headers. JSON.parse keeps the
 * last of two equal keys in silence, so that two readers can see two tensors
 * behind one name; this one refuses duplicates at every level. Objects become
 * Maps, so no key (`__proto__`) can reach a prototype. Numbers stay text, so
 * 1.0, 1e2 and 9007199254740993 are seen as they were written.
 */
import { refuse } from '../error.ts'
import { HEADER_DEPTH_MAX, NUMBER_CHARS_MAX } from './limits.ts'

export type JsonObject = ReadonlyMap<string, Json>
export type Json = JsonObject | readonly Json[] | string | JsonNumber | boolean | null

/** A number as it was written. */
export class JsonNumber {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

const NUMBER = /^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$/
/** Without the flag u, which small engines lack. */
const PAIRS = /[\ud800-\udbff][\udc00-\udfff]/g
const SURROGATE = /[\ud800-\udfff]/

/**
 * Parses one JSON object that starts at the first character; spaces may follow it.
 * Refuses with `safetensors-json`, `safetensors-depth` or `safetensors-duplicate`.
 */
export function parseJsonObject(text: string, field: string): JsonObject {
  if (text[0] !== '{') refuse('safetensors-json', field, 'a JSON object, starting with {', text.slice(0, 16))
  return new Reader(text, field).readDocument()
}

/** Names a value's kind for an error message. */
export function describeJson(value: Json | undefined): string {
  if (value === undefined) return 'nothing'
  if (value instanceof Map) return `an object of ${value.size} keys`
  if (Array.isArray(value)) return `[${value.map(describeJson).join(', ')}]`
  if (value instanceof JsonNumber) return value.text
  return JSON.stringify(value)
}

/** True for text that UTF-8 can carry: no half of a surrogate pair alone. */
export function isWellFormed(text: string): boolean {
  // A blank in a pair's place: halves around it must not make another.
  return !SURROGATE.test(text.replace(PAIRS, ' '))
}

class Reader {
  private readonly text: string
  private readonly field: string
  private at = 0

  constructor(text: string, field: string) {
    this.text = text
    this.field = field
  }

  readDocument(): JsonObject {
    const object = this.readObject(1)
    this.skipSpace()
    if (this.at < this.text.length) this.fail('nothing after the object')
    return object
  }

  private readValue(depth: number): Json {
    const first = this.text[this.at]
    if (first === '{') return this.readObject(depth)
    if (first === '[') return this.readArray(depth)
    if (first === '"') return this.readString()
    if (this.take('true')) return true
    if (this.take('false')) return false
    if (this.take('null')) return null
    return this.readNumber()
  }

  private readObject(depth: number): JsonObject {
    const object = new Map<string, Json>()
    this.readItems(depth, '}', () => {
      if (this.text[this.at] !== '"') this.fail('a key in quotes')
      const key = this.readString()
      if (object.has(key)) refuse('safetensors-duplicate', this.field, 'every key once', key)
      this.skipSpace()
      if (!this.take(':')) this.fail('a colon')
      this.skipSpace()
      object.set(key, this.readValue(depth + 1))
    })
    return object
  }

  private readArray(depth: number): readonly Json[] {
    const array: Json[] = []
    this.readItems(depth, ']', () => array.push(this.readValue(depth + 1)))
    return array
  }

  private readItems(depth: number, close: string, readItem: () => void): void {
    if (depth > HEADER_DEPTH_MAX) {
      refuse('safetensors-depth', this.field, `at most ${HEADER_DEPTH_MAX} levels of JSON`, depth)
    }
    this.at++
    this.skipSpace()
    if (this.take(close)) return
    do {
      this.skipSpace()
      readItem()
      this.skipSpace()
    } while (this.take(','))
    if (!this.take(close)) this.fail(`a comma or ${close}`)
  }

  /** Finds the closing quote by hand: a regular expression would need stack for each character. */
  private readString(): string {
    const begin = this.at++
    for (;;) {
      const unit = this.text.charCodeAt(this.at)
      if (!(unit >= 0x20)) this.fail('a string without control characters, closed by a quote')
      this.at += unit === 0x5c ? 2 : 1
      if (unit === 0x22) break
    }
    let value: string
    try {
      value = JSON.parse(this.text.slice(begin, this.at)) as string
    } catch {
      this.at = begin
      this.fail('a JSON string')
    }
    if (!isWellFormed(value)) this.fail('a string without lone surrogates')
    return value
  }

  private readNumber(): JsonNumber {
    let end = this.at
    while (end - this.at <= NUMBER_CHARS_MAX && '+-.0123456789eE'.includes(this.text[end] ?? ' ')) end++
    const text = this.text.slice(this.at, end)
    if (text.length > NUMBER_CHARS_MAX || !NUMBER.test(text)) this.fail('a JSON value')
    this.at = end
    return new JsonNumber(text)
  }

  private take(token: string): boolean {
    if (!this.text.startsWith(token, this.at)) return false
    this.at += token.length
    return true
  }

  private skipSpace(): void {
    while (' \t\n\r'.includes(this.text[this.at] ?? '-')) this.at++
  }

  private fail(expected: string): never {
    return refuse('safetensors-json', this.field, `${expected} at character ${this.at}`, this.text.slice(this.at, this.at + 16))
  }
}
