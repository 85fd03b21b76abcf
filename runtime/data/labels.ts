/** Names of labels: what one may be, how many there may be, their order, and when a number stands for a row of the head. */
import { refuse } from '../error.ts'
import { compareUtf8 } from '../order.ts'

export const LABELS_MAX = 1024
export const LABEL_CHARS_MAX = 256

/**
 * Refuses label names that are empty, too long, repeated or too many.
 * An empty list passes: it means that no names are known.
 */
export function checkLabels(labels: readonly unknown[], field: string): readonly string[] {
  if (labels.length > LABELS_MAX) refuse('config-labels', field, `at most ${LABELS_MAX} labels`, labels.length)
  const seen = new Set<string>()
  return labels.map((label, index) => {
    const at = `${field}.${index}`
    if (typeof label !== 'string' || label.trim() === '') refuse('config-labels', at, 'a label name', label)
    if (label.length > LABEL_CHARS_MAX) {
      refuse('config-labels', at, `at most ${LABEL_CHARS_MAX} characters`, label.length)
    }
    if (seen.has(label)) refuse('config-labels', at, 'a name of its own', label)
    seen.add(label)
    return label
  })
}

/** A label as it stands in data: JSON has numbers beside texts. */
export type Label = string | number

/** The name that a label of the data is: 3, "3" and "3.0" (a whole number in a column of floats) are one. */
export function labelName(label: Label): string {
  const text = String(label)
  const whole = /^-?(?:0|[1-9]\d*)(?=\.0+$)/.exec(text)?.[0] ?? text
  return whole === '-0' ? '0' : whole
}

const NUMBER = /^[-+]?\d+(?:\.\d+)?$/

/** Numbers first and as numbers (2 before 10), then names by code point. */
export function compareLabels(a: string, b: string): number {
  const [first, second] = [NUMBER.test(a), NUMBER.test(b)]
  if (first !== second) return first ? -1 : 1
  return (first && Number(a) - Number(b)) || compareUtf8(a, b)
}

/**
 * Finds a label's row: by its name, or by the row's number, from 0, where no name begins with a digit: beside "1 star" or "1"
 * a number could be either. Gives -1 for a label of no row.
 */
export function labelFinder(names: readonly string[]): (label: Label) => number {
  const index = new Map(names.map((name, row) => [name, row]))
  for (const [row, name] of names.entries()) if (!index.has(labelName(name))) index.set(labelName(name), row)
  const numbered = !names.some((name) => /^\s*[-+]?\d/.test(name))
  return (label) => {
    const name = labelName(label)
    const row = index.get(String(label)) ?? index.get(name)
    if (row !== undefined) return row
    return numbered && /^(?:0|[1-9]\d{0,8})$/.test(name) && Number(name) < names.length ? Number(name) : -1
  }
}

/**
 * Names for `count` rows that have none, where every label of the data is one row's number, plain or as transformers writes
 * it (LABEL_3); undefined where any is not.
 */
export function numberRows(labels: Iterable<Label>, count: number): readonly string[] | undefined {
  const found = new Set(Array.from(labels, labelName))
  return ['', 'LABEL_'].map((before) => Array.from({ length: count }, (_, row) => `${before}${row}`))
    .find((names) => [...found].every((label) => names.includes(label)))
}

const SHOWN_MAX = 20

/** Names for a message. */
export function listLabels(names: readonly string[]): string {
  const more = names.length - SHOWN_MAX
  return names.slice(0, SHOWN_MAX).join(', ') + (more > 0 ? ` and ${more} more` : '')
}
