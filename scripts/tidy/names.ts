/** Schemes and schedulers are named in their own tables alone: all other code of runtime/ and targets/ asks a trait or a default. */
import { SCHEDULERS } from '../../runtime/split/schedule.ts'
import { SCHEME_NAMES } from '../../runtime/split/scheme.ts'
import { lineAt } from './scan.ts'
import type { Masked } from './scan.ts'
import type { Violation } from './violation.ts'

/** Names that stand in one file, `home`; `expected` is what to write elsewhere. */
type Table = { rule: string; names: readonly string[]; home: string; expected: string }

const TABLES: readonly Table[] = [
  { rule: 'scheme', names: SCHEME_NAMES, home: 'runtime/split/scheme.ts', expected: 'a trait of the scheme' },
  { rule: 'scheduler', names: SCHEDULERS, home: 'runtime/split/schedule.ts', expected: 'a constant of runtime/split/schedule.ts' },
]
const RULED = /^(?:runtime|targets)\//
/** Also the program's name: alone as a key or a property, it tells a version. */
const PROGRAM = 'kerf'
const OPEN = '([{', CLOSE = ')]}'

const ENTRY = /^\s*(?:(['"]?)([\w$-]+)\1\s*\??\s*(?=[:,;}\n])|(?=\}))/
/** Members of a type may stand on lines of their own, without a comma. */
const MEMBER = /^\s*['"]?[\w$-]+['"]?\s*\??:/

/** The keys of what stands between the brace at `begin` and its partner; none where an entry is no key. */
function readKeys({ code, bare }: Masked, begin: number): string[] {
  const starts = [begin + 1]
  let depth = 0
  for (let at = begin; at < bare.length; at++) {
    if (OPEN.includes(bare[at])) depth += 1
    else if (CLOSE.includes(bare[at])) depth -= 1
    else if (depth === 1 && (bare[at] === ',' || bare[at] === ';')) starts.push(at + 1)
    else if (depth === 1 && bare[at] === '\n' && MEMBER.test(code.slice(at))) starts.push(at + 1)
    if (depth === 0) break
  }
  const entries = starts.map((start) => ENTRY.exec(code.slice(start)))
  return entries.includes(null) ? [] : [...new Set(entries.flatMap((entry) => entry?.[2] ?? []))]
}

type Found = { at: number; got: string }

function findNames(masked: Masked, names: readonly string[]): Found[] {
  const { bare, literals } = masked
  const quoted = literals.filter(({ text }) => names.includes(text)).map(({ text, at }) => ({ at, got: `'${text}'` }))
  const words = names.filter((name) => name !== PROGRAM && /^\w+$/.test(name)).join('|')
  const properties = [...bare.matchAll(new RegExp(`(?<!\\.)\\.\\s*(?:${words})(?![\\w$])`, 'g'))]
  const braces = [...bare.matchAll(/(?<!\b(?:import|export)\s+(?:type\s+)?)\{/g)].flatMap(({ index }) => {
    const keys = readKeys(masked, index)
    const named = keys.some((key) => key !== PROGRAM) && keys.every((key) => names.includes(key))
    return named ? [{ at: index, got: `{ ${keys.join(', ')} }` }] : []
  })
  return [...quoted, ...properties.map((match) => ({ at: match.index, got: match[0] })), ...braces]
}

export function checkNames(file: string, masked: Masked): Violation[] {
  if (!RULED.test(file)) return []
  return TABLES.filter(({ home }) => home !== file).flatMap(({ rule, names, expected }) =>
    findNames(masked, names).map(({ at, got }) => ({ file, line: lineAt(masked.code, at), rule, expected, got })))
}
