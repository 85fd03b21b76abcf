/**
 * Tokens that are found in a text before it is cut into words, as the Rust tokenizers find them: first those of the text as
 * it stands, then, in what is left, those of the normalised text. Leftmost first, then the longest.
 */
import { refuse } from '../error.ts'
import { KIND, openTables } from './unicode.ts'

export type AddedToken = {
  id: number
  content: string
  /** Counts only where no word goes on before or after it. */
  singleWord: boolean
  /** Takes the white space before it, or after it, along. */
  lstrip: boolean
  rstrip: boolean
  /** Is looked for in the normalised text, normalised itself. */
  normalized: boolean
}

type Pattern = { text: string; token: AddedToken }
/** Patterns by their first UTF-16 unit, the longest first. */
export type Patterns = ReadonlyMap<string, readonly Pattern[]>

/** A token, or text between tokens. */
export type Piece = { text: string; id?: undefined } | { id: number }

/** Refuses `tokens-vocab` for a token of which `textOf` leaves nothing, and for two of which it leaves the same. */
export function indexPatterns(tokens: readonly AddedToken[], textOf: (content: string) => string): Patterns {
  const patterns = new Map<string, Pattern[]>()
  for (const token of tokens) {
    const field = `vocabulary.${token.content}`
    const text = textOf(token.content)
    if (text === '') refuse('tokens-vocab', field, 'a text that its normaliser leaves something of', token.content)
    const list = patterns.get(text[0]) ?? []
    // Which of them the reference finds changes from one start of it to the next.
    const twin = list.find((pattern) => pattern.text === text)
    if (twin) refuse('tokens-vocab', field, `a text that is not also that of ${twin.token.content} once both are normalised`, text)
    patterns.set(text[0], [...list, { text, token }])
  }
  for (const list of patterns.values()) list.sort((a, b) => b.text.length - a.text.length)
  return patterns
}

function isWordBefore(text: string, at: number): boolean {
  if (at === 0) return false
  const unit = text.charCodeAt(at - 1)
  const low = unit >= 0xdc00 && unit <= 0xdfff
  return (openTables().kinds[text.codePointAt(low ? at - 2 : at - 1)!] & KIND.word) !== 0
}

function isWordAfter(text: string, at: number): boolean {
  return at < text.length && (openTables().kinds[text.codePointAt(at)!] & KIND.word) !== 0
}

/** White space has one UTF-16 unit. */
const isWhite = (text: string, at: number) => (openTables().kinds[text.charCodeAt(at)] & KIND.white) !== 0

export function findTokens(text: string, patterns: Patterns): Piece[] {
  if (patterns.size === 0) return text === '' ? [] : [{ text }]
  const pieces: Piece[] = []
  let done = 0
  for (let at = 0; at < text.length;) {
    const found = patterns.get(text[at])?.find((pattern) => text.startsWith(pattern.text, at))
    if (!found) {
      at++
      continue
    }
    let begin = at, end = at + found.text.length
    // What is found and does not count is passed over whole: no shorter token inside it is looked for.
    at = end
    const { id, singleWord, lstrip, rstrip } = found.token
    if (singleWord && (isWordBefore(text, begin) || isWordAfter(text, end))) continue
    if (lstrip) while (begin > done && isWhite(text, begin - 1)) begin--
    if (rstrip) while (end < text.length && isWhite(text, end)) end++
    if (done < begin) pieces.push({ text: text.slice(done, begin) })
    pieces.push({ id })
    done = end
  }
  if (done < text.length) pieces.push({ text: text.slice(done) })
  return pieces
}
