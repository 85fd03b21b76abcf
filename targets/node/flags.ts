/** The command line's flags: one table for parsing, defaults and `--help`. */
import { parseArgs } from 'node:util'
import { refuse } from '../../runtime/error.ts'

export type Flag = { type: 'string' | 'boolean'; default?: string | boolean; value?: string; help: string }
export type FlagTable = Readonly<Record<string, Flag>>
export type Values = Readonly<Record<string, string | boolean | undefined>>

export type Command = { summary: string; flags: FlagTable; run(flags: Flags): Promise<void> }

/** Flags as given, read with checks that name them. */
export class Flags {
  readonly values: Values
  readonly positionals: readonly string[]

  constructor(values: Values, positionals: readonly string[]) {
    this.values = values
    this.positionals = positionals
  }

  has(name: string): boolean {
    return this.values[name] !== undefined
  }

  on(name: string): boolean {
    return this.values[name] === true
  }

  text(name: string): string {
    const value = this.values[name]
    return typeof value === 'string' ? value : refuse('flag-missing', `--${name}`, 'a value', 'none')
  }

  optional(name: string): string | undefined {
    return this.has(name) ? this.text(name) : undefined
  }

  list(name: string): string[] {
    return this.text(name).split(',').map((part) => part.trim())
  }

  /** A whole number in min … max. */
  integer(name: string, min: number, max = 2 ** 31 - 1): number {
    const value = Number(this.text(name))
    if (this.text(name).trim() === '' || !Number.isInteger(value) || value < min || value > max) {
      refuse('flag-integer', `--${name}`, `a whole number of ${min} … ${max}`, this.text(name))
    }
    return value
  }

  /** A finite number above `min`, or from it on where `inclusive`. */
  number(name: string, min: number, inclusive = false): number {
    const value = Number(this.text(name))
    const fits = inclusive ? value >= min : value > min
    if (this.text(name).trim() === '' || !Number.isFinite(value) || !fits) {
      refuse('flag-number', `--${name}`, `a number ${inclusive ? 'of at least' : 'above'} ${min}`, this.text(name))
    }
    return value
  }

  /** One of the words allowed. */
  choice<T extends string>(name: string, words: readonly T[]): T {
    return words.find((word) => word === this.text(name)) ?? refuse('flag-choice', `--${name}`, words.join(', '), this.text(name))
  }
}

const HELP: Flag = { type: 'boolean', help: 'show this text' }

type OptionToken = { rawName: string; name: string; value?: string; inlineValue?: boolean }

/** Refuses an unknown flag, a value where none belongs, and none where one does. A negative number is a value, another flag is not. */
function checkOption(table: FlagTable, { rawName, name, value, inlineValue }: OptionToken): void {
  const flag = Object.hasOwn(table, name) ? table[name] : undefined
  if (!flag) refuse('flag-unknown', rawName, 'one of the flags that --help lists', rawName)
  if (flag.type === 'boolean' && value !== undefined) refuse('flag-value', rawName, 'no value', value)
  const another = inlineValue === false && /^-\D/.test(value ?? '')
  if (flag.type === 'string' && (value === undefined || another)) refuse('flag-missing', rawName, 'a value', value ?? 'none')
}

export function parseFlags(table: FlagTable, args: readonly string[], positionalsMax: number): Flags {
  const known: FlagTable = { ...table, help: HELP }
  const options = Object.fromEntries(Object.entries(known).map(([name, { type }]) => [name, { type, ...(name === 'help' ? { short: 'h' } : {}) }]))
  const { values, positionals, tokens } = parseArgs({ args: [...args], options, allowPositionals: true, strict: false, tokens: true })
  for (const token of tokens) if (token.kind === 'option') checkOption(known, token)
  if (positionals.length > positionalsMax) refuse('flag-extra', 'command', `at most ${positionalsMax} words beside the flags`, positionals.join(' '))
  const defaults = Object.fromEntries(Object.entries(table).map(([name, flag]) => [name, flag.default]))
  return new Flags({ ...defaults, ...values }, positionals)
}

const COLUMN = 30

export function formatHelp(usage: string, { summary, flags }: Pick<Command, 'summary' | 'flags'>): string {
  const rows = Object.entries({ ...flags, help: HELP }).map(([name, flag]) => {
    const left = `  --${name}${flag.type === 'string' ? ` ${flag.value ?? 'VALUE'}` : ''}`
    const fallback = flag.default === undefined || flag.default === false ? '' : ` (${flag.default})`
    return `${left.padEnd(COLUMN - 1)} ${flag.help}${fallback}`
  })
  return `${usage}\n\n${summary}\n\n${rows.join('\n')}\n`
}

/** Flags that several commands share. */
export const MODEL_FLAGS: FlagTable = {
  model: { type: 'string', value: 'DIR', help: 'Hugging Face directory; without it the bundled base' },
}

export const LENGTH_FLAGS: FlagTable = {
  'max-length': { type: 'string', value: 'TOKENS', default: '128', help: 'tokens of one text, [CLS] and [SEP] included' },
  truncate: { type: 'boolean', default: false, help: 'cut longer texts instead of refusing them' },
}
