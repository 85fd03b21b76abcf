/** Names of labels: what one may be, and how many there may be. */
import { refuse } from '../error.ts'

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
