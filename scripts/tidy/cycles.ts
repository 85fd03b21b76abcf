/** Circles of imports, whether of files or of rooms. */
import type { Violation } from './violation.ts'

/** `from` imports `to`, at a line of `file`. */
export type Link = { from: string; to: string; file: string; line: number }

/** Each circle once, at the import that closes it in a walk in the order of the links. */
export function findCycles(links: readonly Link[], expected: string): Violation[] {
  const leaving = new Map<string, Link[]>()
  for (const link of links) leaving.set(link.from, [...(leaving.get(link.from) ?? []), link])
  const done = new Set<string>()
  const violations: Violation[] = []
  const visit = (place: string, path: readonly string[]): void => {
    for (const { to, file, line } of leaving.get(place) ?? []) {
      if (done.has(to)) continue
      const begin = path.indexOf(to)
      if (begin >= 0) violations.push({ file, line, rule: 'cycle', expected, got: [...path.slice(begin), to].join(' → ') })
      else visit(to, [...path, to])
    }
    done.add(place)
  }
  for (const place of leaving.keys()) if (!done.has(place)) visit(place, [place])
  return violations
}
