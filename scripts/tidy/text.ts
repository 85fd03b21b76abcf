/** Rules that one pattern or one line can check. */
import { checkPlatform } from './platform.ts'
import { lineAt } from './scan.ts'
import type { Masked } from './scan.ts'
import type { Violation } from './violation.ts'

const LINE_CHARACTERS_MAX = 160
/** Exact on every host by IEEE 754 or by definition; every other function of Math may differ in its last bit. */
const EXACT_MATH = 'abs|ceil|clz32|floor|fround|imul|max|min|round|sign|sqrt|trunc'
const MATH_CONSTANTS = 'E|LN10|LN2|LOG10E|LOG2E|PI|SQRT1_2|SQRT2'

/** Where `view` of a file matches `pattern`, the rule is broken. */
type Rule = { rule: string; files: RegExp; view: 'text' | 'bare'; pattern: RegExp; expected: string }

const ANY_TEXT = /(\.(ts|mts|js|mjs|py|sh|md|json|html|css|yml)|^\.ci\/run|^\.gitignore)$/
const SOURCE = /(\.(ts|mts|js|mjs|py|sh)|^\.ci\/run)$/
const WRITTEN = /(\.(ts|mts|js|mjs|py|sh|md)|^\.ci\/run)$/
const RUNTIME = /^runtime\/.*\.ts$/

const RULES: readonly Rule[] = [
  {
    rule: 'clock', files: RUNTIME, view: 'bare', expected: 'a clock handed in by the host',
    pattern: /\bDate\s*\.\s*now\b|\bnew Date\(\s*\)|\bperformance\s*\.\s*now\b/g,
  },
  {
    rule: 'math', files: RUNTIME, view: 'bare', expected: 'an exact function of Math, the kernel\'s own or runtime/random.ts',
    pattern: new RegExp(`\\bMath\\b(?!\\s*\\.\\s*(?:${EXACT_MATH}|${MATH_CONSTANTS})\\b)(?:\\s*\\.\\s*\\w+)?`, 'g'),
  },
  {
    // Math.pow in other clothes; of two whole numbers it is exact.
    rule: 'math', files: RUNTIME, view: 'bare', expected: 'a product, or two literal integers',
    pattern: /(?<!\b\d+\s*)\*\*|\*\*(?!\s*\d+\b)/g,
  },
  { rule: 'any', files: RUNTIME, view: 'bare', expected: 'a type, or unknown', pattern: /:\s*any\b|<any\b|\bas any\b|\bany\[\]/g },
  {
    rule: 'erasable', files: /^(?!assembly\/).*\.ts$/, view: 'bare', expected: 'a union of strings, or a module',
    pattern: /^[ \t]*(?:export\s+)?(?:declare\s+)?(?:const\s+)?(?:enum|namespace)\s+\w+/gm,
  },
  { rule: 'head', files: RUNTIME, view: 'text', expected: 'a first comment that begins with /**', pattern: /^(?!\/\*\*)[^\n]*/g },
  { rule: 'unfinished', files: WRITTEN, view: 'text', expected: 'finished work', pattern: /\b(?:TO[D]O|FIX[M]E|X[X]X)\b/g },
  {
    rule: 'word', files: ANY_TEXT, view: 'text', expected: 'words about the project',
    pattern: /(?<!user-)\b(?:sub)?[a]gents?\b|\b[C]laude\b|\b[L]LM-written\b/gi,
  },
  {
    rule: 'path', files: ANY_TEXT, view: 'text', expected: 'a path inside the project',
    pattern: /(?<![\w.-])\/(?:work|root|home)\/[\w.-]*/g,
  },
  { rule: 'tab', files: WRITTEN, view: 'text', expected: 'spaces', pattern: /\t/g },
  { rule: 'space', files: WRITTEN, view: 'text', expected: 'nothing at the end of a line', pattern: /[ \r]+$/gm },
  { rule: 'resolved', files: /^package-lock\.json$/, view: 'text', expected: 'no address', pattern: /"resolved":\s*"[^"]*"/g },
]

function show(found: string): string {
  return found.trim() === '' ? JSON.stringify(found) : found.trim()
}

function checkLength(file: string, text: string): Violation[] {
  return text.split('\n').flatMap((line, index) => {
    const length = [...line].length
    if (length <= LINE_CHARACTERS_MAX) return []
    return [{ file, line: index + 1, rule: 'length', expected: `at most ${LINE_CHARACTERS_MAX} characters`, got: String(length) }]
  })
}

export function checkText(file: string, text: string, masked: Masked | undefined): Violation[] {
  const found = RULES.filter(({ files }) => files.test(file)).flatMap(({ rule, view, pattern, expected }) => {
    const subject = view === 'bare' ? masked?.bare ?? '' : text
    return [...subject.matchAll(pattern)].map((match) => (
      { file, line: lineAt(subject, match.index), rule, expected, got: show(match[0]) }))
  })
  const platform = RUNTIME.test(file) && masked !== undefined ? checkPlatform(file, masked) : []
  const length = SOURCE.test(file) ? checkLength(file, text) : []
  return [...found, ...platform, ...length]
}
