/** JSON objects out of files that others wrote. */
import { refuse } from './error.ts'

export type Fields = Readonly<Record<string, unknown>>

/** UTF-16 units, where a caller allows no more. */
const OBJECT_CHARS_MAX = 1 << 20

/**
 * Reads a JSON object; refuses text over `charsMax`, bad JSON and anything
 * that is not an object.
 */
export function parseObject(text: string, field: string, charsMax = OBJECT_CHARS_MAX): Fields {
  if (text.length > charsMax) refuse('config-size', field, `at most ${charsMax} characters`, text.length)
  let value: unknown
  try {
    value = JSON.parse(text.startsWith('\uFEFF') ? text.slice(1) : text)
  } catch (error) {
    refuse('config-json', field, 'valid JSON', error instanceof Error ? error.message : text)
  }
  return asObject(value, field)
}

/** `value` as a JSON object, or a refusal that names `field`. */
export function asObject(value: unknown, field: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    refuse('config-type', field, 'a JSON object', JSON.stringify(value))
  }
  return value as Fields
}
