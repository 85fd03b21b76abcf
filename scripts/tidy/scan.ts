/** Reads TypeScript just far enough to tell code from comments and text, and to find imports. */

/** The inside of a string, or of a template without substitutions, whose opening quote is at `at`. */
export type Literal = { text: string; at: number }

/**
 * The source with comments blanked (`code`), and with the insides of strings, templates and patterns blanked too
 * (`bare`). Offsets and lines stay.
 */
export type Masked = { code: string; bare: string; literals: readonly Literal[] }

export type Import = { specifier: string; line: number }

const COMMENT = /\/\/[^\n]*|\/\*[^]*?(?:\*\/|$)/y
const QUOTED = /'(?:\\[^]|[^'\\\n])*'|"(?:\\[^]|[^"\\\n])*"/y
const PATTERN = /\/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n])+\/[a-z]*/y
/** From a backtick, or the brace that ends a substitution, to the next substitution or the end. */
const TEMPLATE = /[`}](?:\\[^]|\$(?!\{)|[^`\\$])*(?:`|\$\{|$)/y
const WORD = /[\w$]+/y
/** What stands before a slash that begins a pattern; after anything else it divides. */
const BEFORE_PATTERN = /(?:^|[-+*%&|^!~<>=?:;,([{}]|\b(?:return|typeof|case|in|of|void|delete|throw|await|yield|else|do))$/

function blank(text: string): string {
  return text.replace(/[^\n]/g, ' ')
}

function blankInside(text: string, ends: number): string {
  return text.slice(0, ends) + blank(text.slice(ends, -ends)) + text.slice(-ends)
}

/** The piece at `at`, and how it looks in `code` and `bare`. `depths` holds the open braces of each open substitution. */
function readPiece(text: string, at: number, before: string, depths: number[]): { piece: string; code: string; bare: string } {
  const match = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at
    return pattern.exec(text)?.[0]
  }
  const comment = match(COMMENT)
  if (comment !== undefined) return { piece: comment, code: blank(comment), bare: blank(comment) }
  const quoted = match(QUOTED)
  if (quoted !== undefined) return { piece: quoted, code: quoted, bare: blankInside(quoted, 1) }
  const closes = text[at] === '}' && depths.at(-1) === 0
  if (text[at] === '`' || closes) {
    const part = match(TEMPLATE) ?? text[at]
    if (closes) depths.pop()
    if (part.endsWith('${')) depths.push(0)
    return { piece: part, code: part, bare: blank(part) }
  }
  const pattern = BEFORE_PATTERN.test(before) ? match(PATTERN) : undefined
  if (pattern !== undefined) return { piece: pattern, code: pattern, bare: blank(pattern) }
  if (depths.length > 0 && text[at] === '{') depths[depths.length - 1] += 1
  if (depths.length > 0 && text[at] === '}') depths[depths.length - 1] -= 1
  const piece = match(WORD) ?? text[at]
  return { piece, code: piece, bare: piece }
}

export function maskSource(text: string): Masked {
  const depths: number[] = []
  const code: string[] = []
  const bare: string[] = []
  const literals: Literal[] = []
  let before = ''
  for (let at = 0; at < text.length;) {
    const read = readPiece(text, at, before, depths)
    code.push(read.code)
    bare.push(read.bare)
    if (/^(['"`])[^]*\1$/.test(read.piece)) literals.push({ text: read.piece.slice(1, -1), at })
    if (read.code.trim() !== '') before = read.piece
    at += read.piece.length
  }
  return { code: code.join(''), bare: bare.join(''), literals }
}

export function lineAt(text: string, offset: number): number {
  return text.slice(0, offset).split('\n').length
}

/** Every specifier of an import, re-export, import(), import type or require with a plain string. */
export function findImports({ code, bare }: Masked): Import[] {
  const pattern = /\b(?:(?:import|export)\b[^'"`;]*?\bfrom\s*|import\s*\(?\s*|require\s*\(\s*)(['"])( *)\1/g
  return [...bare.matchAll(pattern)].map((match) => {
    const begin = match.index + match[0].length - 1 - match[2].length
    return { specifier: code.slice(begin, begin + match[2].length), line: lineAt(code, begin) }
  })
}
