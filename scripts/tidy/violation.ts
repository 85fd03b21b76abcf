/** One place where the tree breaks one of its rules. Lines count from 1. */
export type Violation = { file: string; line: number; rule: string; expected: string; got: string }

export function describeViolation({ file, line, rule, expected, got }: Violation): string {
  return `${file}:${line}: ${rule}: expected ${expected}, got ${got}`
}
