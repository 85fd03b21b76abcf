/** The command line is read in one place: raw flags become a typed record of settings, and all other code sees that record alone. */
import { lineAt } from './scan.ts'
import type { Masked } from './scan.ts'
import type { Violation } from './violation.ts'

/** The files that may name what holds the command line's raw values. */
const FLAGS_READERS = ['runtime/program/flags.ts', 'runtime/program/settings.ts', 'runtime/program/program.ts']
/** Whom the rule binds; a script reads its own command line. */
const FLAGS_RULED = /^(?:runtime|targets)\//
/** What holds raw values, and what makes it. */
const FLAGS = /(?<![\w$])(?:Flags|parseFlags)(?![\w$])/

/** The host's list of arguments, which main.ts hands in; in runtime/ `process` itself is refused. */
const ARGUMENTS = /\b(?:process|Bun)\s*\.\s*argv\b|\bDeno\s*\.\s*args\b|\bargv\b[^{}]*\}\s*(?:from\b|=\s*process\b)/g
const ARGUMENTS_RULED = /^targets\//
const ARGUMENTS_READERS = /^targets\/[^/]+\/main\.ts$/

export function checkFlags(file: string, { bare }: Masked): Violation[] {
  const named = FLAGS_RULED.test(file) && !FLAGS_READERS.includes(file) ? FLAGS.exec(bare) : null
  const read = ARGUMENTS_RULED.test(file) && !ARGUMENTS_READERS.test(file) ? [...bare.matchAll(ARGUMENTS)] : []
  const place = (match: RegExpExecArray) => ({ file, line: lineAt(bare, match.index), got: match[0] })
  const expected = `typed settings, as only ${FLAGS_READERS.join(', ')} read flags`
  return [
    ...(named === null ? [] : [{ ...place(named), rule: 'flags', expected }]),
    ...read.map((match) => ({ ...place(match), rule: 'arguments', expected: 'arguments handed in by main.ts' })),
  ]
}
