/**
 * Unicode as the Rust tokenizers know it, from a table of Kerf's own: a host's `\p{…}`, `normalize` and `toLowerCase` follow
 * the Unicode version that it was built with, or none, and tokens must be the same everywhere.
 */
import { CLASSES, LOWER, MARKS, PAIRS, PUNCTUATION, REMOVED, WHITE, WORD } from './unicode.table.ts'

const POINTS = 0x110000
/** What a code point is, a bit each. */
export const KIND = { removed: 1, white: 2, punctuation: 4, word: 8, mark: 16 } as const

type Tables = {
  kinds: Uint8Array
  /** Combining classes other than 0. */
  classes: ReadonlyMap<number, number>
  /** Full decompositions, but for Hangul. */
  decompositions: ReadonlyMap<number, readonly number[]>
  lower: ReadonlyMap<number, string>
}

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

function unpack(text: string): number[] {
  const numbers: number[] = []
  let value = 0, shift = 0
  for (const character of text) {
    const digit = DIGITS.indexOf(character)
    value |= (digit & 31) << shift
    shift += 5
    if (digit >= 32) continue
    numbers.push(value)
    value = shift = 0
  }
  return numbers
}

function markKind(kinds: Uint8Array, text: string, kind: number): void {
  const numbers = unpack(text)
  for (let i = 0, at = 0; i < numbers.length; i += 2) {
    const first = at + numbers[i]
    at = first + numbers[i + 1] + 1
    for (let point = first; point < at; point++) kinds[point] |= kind
  }
}

function readClasses(): Map<number, number> {
  const classes = new Map<number, number>(), numbers = unpack(CLASSES)
  for (let i = 0, at = 0; i < numbers.length; i += 3) {
    const first = at + numbers[i]
    at = first + numbers[i + 1] + 1
    for (let point = first; point < at; point++) classes.set(point, numbers[i + 2])
  }
  return classes
}

function readDecompositions(): Map<number, readonly number[]> {
  const pairs = new Map<number, readonly number[]>(), numbers = unpack(PAIRS)
  for (let i = 0, at = 0; i < numbers.length; i += 3) {
    const point = at + numbers[i]
    at = point + 1
    pairs.set(point, numbers.slice(i + 1, numbers[i + 2] === 0 ? i + 2 : i + 3))
  }
  const expand = (point: number): readonly number[] => pairs.get(point)?.flatMap(expand) ?? [point]
  return new Map([...pairs.keys()].map((point) => [point, expand(point)]))
}

function readLower(): Map<number, string> {
  const lower = new Map([[0x130, 'i\u0307']]), numbers = unpack(LOWER)
  for (let i = 0, at = 0; i < numbers.length; i += 4) {
    const first = at + numbers[i], more = numbers[i + 1], step = numbers[i + 2] + 1, packed = numbers[i + 3]
    const difference = packed & 1 ? -(packed + 1) / 2 : packed / 2
    for (let k = 0; k <= more; k++) lower.set(first + k * step, String.fromCodePoint(first + k * step + difference))
    at = first + 1
  }
  return lower
}

let tables: Tables | undefined

/** Made when the first text wants them: many programs that load this never see one. */
export function openTables(): Tables {
  if (tables) return tables
  const kinds = new Uint8Array(POINTS)
  markKind(kinds, REMOVED, KIND.removed)
  markKind(kinds, WHITE, KIND.white)
  markKind(kinds, PUNCTUATION, KIND.punctuation)
  markKind(kinds, WORD, KIND.word)
  markKind(kinds, MARKS, KIND.mark)
  tables = { kinds, classes: readClasses(), decompositions: readDecompositions(), lower: readLower() }
  return tables
}

/** Hangul syllables decompose by rule (Unicode, section 3.12). */
const HANGUL = { first: 0xac00, last: 0xd7a3, leading: 0x1100, vowel: 0x1161, trailing: 0x11a7, vowels: 21, trailings: 28 } as const

function decomposeHangul(point: number): number[] {
  const index = point - HANGUL.first
  const leading = HANGUL.leading + Math.floor(index / (HANGUL.vowels * HANGUL.trailings))
  const vowel = HANGUL.vowel + (Math.floor(index / HANGUL.trailings) % HANGUL.vowels)
  const trailing = index % HANGUL.trailings
  return trailing === 0 ? [leading, vowel] : [leading, vowel, HANGUL.trailing + trailing]
}

/** Canonical decomposition (NFD): every character taken apart, then runs of marks sorted by their class, stably. */
export function decompose(points: readonly number[]): number[] {
  const { decompositions, classes } = openTables()
  const out: number[] = []
  for (const point of points) {
    if (point >= HANGUL.first && point <= HANGUL.last) out.push(...decomposeHangul(point))
    else out.push(...decompositions.get(point) ?? [point])
  }
  for (let begin = 0; begin < out.length; begin++) {
    if (!classes.has(out[begin])) continue
    let end = begin + 1
    while (end < out.length && classes.has(out[end])) end++
    if (end > begin + 1) {
      const sorted = out.slice(begin, end).sort((a, b) => classes.get(a)! - classes.get(b)!)
      sorted.forEach((point, index) => { out[begin + index] = point })
    }
    begin = end
  }
  return out
}
