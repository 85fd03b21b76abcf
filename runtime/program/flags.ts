/** A command line's words: what is a flag and what its value, and the text of `--help`. Values stay text; settings.ts reads them. */
import { refuse } from '../error.ts'

/** A flag that takes a value, shown as `value` in --help, or a switch, which has none. */
export type Flag = { value?: string; default?: string | boolean; help: string }
export type FlagTable = Readonly<Record<string, Flag>>

/** What was written, or a default where nothing was: text, or true for a switch that is on. */
export type Flags = { values: Readonly<Record<string, string | boolean | undefined>>; words: readonly string[] }

const HELP: Flag = { help: 'show this text' }

/** A negative number is a value, another flag is not. */
function takeValue(written: string, value: string | undefined, inline: boolean): string {
  const another = !inline && /^-\D/.test(value ?? '')
  return value === undefined || another ? refuse('flag-missing', written, 'a value', value ?? 'none') : value
}

/** What was written, without defaults. */
function scanFlags(table: FlagTable, args: readonly string[], wordsMax: number): Flags {
  const known: FlagTable = { ...table, help: HELP }
  const values: Record<string, string | boolean | undefined> = {}
  const words: string[] = []
  for (let index = 0; index < args.length; index++) {
    const arg = args[index]
    if (arg === '--') {
      words.push(...args.slice(index + 1))
      break
    }
    const [, written, , inline] = /^(--?[^=]+)(=([^]*))?$/.exec(arg) ?? []
    if (written === undefined) {
      words.push(arg)
      continue
    }
    const name = written === '-h' ? 'help' : written.startsWith('--') ? written.slice(2) : ''
    const flag = Object.hasOwn(known, name) ? known[name] : undefined
    if (!flag) return refuse('flag-unknown', written, 'one of the flags that --help lists', written)
    if (flag.value === undefined && inline !== undefined) refuse('flag-value', written, 'no value', inline)
    const value = flag.value === undefined ? true : takeValue(written, inline ?? args[++index], inline !== undefined)
    // The one before it would be passed over.
    if ((values[name] ?? value) !== value) return refuse('flag-twice', written, 'one value', `${values[name]} and ${value}`)
    values[name] = value
  }
  if (words.length > wordsMax) refuse('flag-extra', 'command', `at most ${wordsMax} words beside the flags`, words.join(' '))
  return { values, words }
}

/**
 * `--name value`, `--name=value`, `-h`, and words beside them; `--` ends the flags. Refuses `flag-unknown`, `flag-value`,
 * `flag-missing`, `flag-twice`, `flag-extra`.
 */
export function parseFlags(table: FlagTable, args: readonly string[], wordsMax: number): Flags {
  const { values, words } = scanFlags(table, args, wordsMax)
  return { values: { ...Object.fromEntries(Object.entries(table).map(([name, flag]) => [name, flag.default])), ...values }, words }
}

/** The flags that stand there, whatever they say. */
export function listWritten(table: FlagTable, args: readonly string[], wordsMax: number): ReadonlySet<string> {
  return new Set(Object.keys(scanFlags(table, args, wordsMax).values))
}

const COLUMN = 30

export function formatHelp(usage: string, summary: string, table: FlagTable): string {
  const rows = Object.entries({ ...table, help: HELP }).map(([name, flag]) => {
    const left = `  --${name}${flag.value === undefined ? '' : ` ${flag.value}`}`
    const fallback = flag.default === undefined || flag.default === false ? '' : ` (${flag.default})`
    return `${left.padEnd(COLUMN - 1)} ${flag.help}${fallback}`
  })
  return `${usage}\n\n${summary}\n\n${rows.join('\n')}\n`
}
