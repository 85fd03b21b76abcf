/** BERT's normaliser and its cut into words (Devlin et al. 2019), as the Rust tokenizers have them. */
import { KIND, decompose, openTables } from './unicode.ts'

export type Normalizer = {
  /** Drops control characters, and makes all white space a blank. */
  clean: boolean
  /** Sets ideographs apart. */
  ideographs: boolean
  stripAccents: boolean
  lowercase: boolean
}

/** The ranges of the Rust tokenizers, where 2B820 … 2B91F is left out. */
const IDEOGRAPHS = [
  [0x4e00, 0x9fff], [0x3400, 0x4dbf], [0x20000, 0x2a6df], [0x2a700, 0x2b73f], [0x2b740, 0x2b81f], [0x2b920, 0x2ceaf],
  [0xf900, 0xfaff], [0x2f800, 0x2fa1f],
] as const
const IDEOGRAPH_MIN = 0x3400
const BLANK = 0x20
/** Stands for what could not be decoded; half a pair of UTF-16 is such a thing. */
const REPLACEMENT = 0xfffd
const PLAIN = /^[ -~]*$/

const isIdeograph = (point: number) => point >= IDEOGRAPH_MIN && IDEOGRAPHS.some(([first, last]) => point >= first && point <= last)

/** Where one character may become none, a blank or three. */
function cleanPoints(points: readonly number[], { clean, ideographs }: Normalizer): number[] {
  const { kinds } = openTables()
  const out: number[] = []
  for (const point of points) {
    if (clean && (point === 0 || point === REPLACEMENT || kinds[point] & KIND.removed)) continue
    if (clean && kinds[point] & KIND.white) out.push(BLANK)
    else if (ideographs && isIdeograph(point)) out.push(BLANK, point, BLANK)
    else out.push(point)
  }
  return out
}

export function normalizeText(text: string, normalizer: Normalizer): string {
  // Nothing else changes in plain ASCII, whose lower case every host knows.
  if (PLAIN.test(text)) return normalizer.lowercase ? text.toLowerCase() : text
  const { kinds, lower } = openTables()
  let points = cleanPoints(Array.from(text, (character) => character.codePointAt(0)!), normalizer)
  if (normalizer.stripAccents) points = decompose(points).filter((point) => !(kinds[point] & KIND.mark))
  let out = ''
  for (const point of points) out += (normalizer.lowercase ? lower.get(point) : undefined) ?? String.fromCodePoint(point)
  return out
}

/** A text without halves of UTF-16 pairs, which no UTF-8 text holds. */
export function wellFormed(text: string): string {
  return text.replace(/[\uD800-\uDFFF]/gu, '\uFFFD')
}

/** Calls `take` for each word: punctuation alone, and what white space and punctuation leave between them. */
export function cutWords(text: string, take: (word: string) => void): void {
  const { kinds } = openTables()
  let begin = 0
  for (let at = 0; at < text.length;) {
    const point = text.codePointAt(at)!
    const next = at + (point > 0xffff ? 2 : 1)
    const kind = kinds[point] & (KIND.white | KIND.punctuation)
    if (kind !== 0) {
      if (begin < at) take(text.slice(begin, at))
      if (kind & KIND.punctuation) take(text.slice(at, next))
      begin = next
    }
    at = next
  }
  if (begin < text.length) take(text.slice(begin))
}
