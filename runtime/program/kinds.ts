/** Kinds of settings: how each is read from text, and what is refused, wherever it comes from. */
import { parsePartition } from '../data/partition.ts'
import { refuse } from '../error.ts'
import type { LinearKey } from '../model/names.ts'
import { expandTargets } from '../model/names.ts'
import { checkAlpha, checkRank } from '../model/peft.ts'
import type { SchemeName } from '../split/scheme.ts'
import { SCHEME_NAMES } from '../split/scheme.ts'

export type Kind<T> = {
  /** What a text means; nothing is refused yet. */
  parse(text: string): T
  /** Refuses a value by `field`, as `got`: what was written. */
  check(value: T, field: string, got: unknown): T
}

const INTEGER_MAX = 2 ** 31 - 1

function parseNumber(text: string): number {
  return text.trim() === '' ? NaN : Number(text)
}

const parseList = (text: string): string[] => text.split(',').map((part) => part.trim())

/** A whole number in min … max. */
export function integer(min: number, max = INTEGER_MAX): Kind<number> {
  return {
    parse: parseNumber,
    check(value, field, got) {
      return Number.isInteger(value) && value >= min && value <= max ? value : refuse('flag-integer', field, `a whole number of ${min} … ${max}`, got)
    },
  }
}

/** A finite number above a bound, or from it on, and below another where there is one. */
export function number(bound: ({ above: number } | { atLeast: number }) & { below?: number }): Kind<number> {
  const inclusive = 'atLeast' in bound
  const min = inclusive ? bound.atLeast : bound.above
  return {
    parse: parseNumber,
    check(value, field, got) {
      const fits = Number.isFinite(value) && (inclusive ? value >= min : value > min) && value < (bound.below ?? Infinity)
      const limit = bound.below === undefined ? '' : ` and below ${bound.below}`
      return fits ? value : refuse('flag-number', field, `a number ${inclusive ? 'of at least' : 'above'} ${min}${limit}`, got)
    },
  }
}

/** One of the words. */
export function choice<const Word extends string>(words: readonly Word[]): Kind<Word> {
  return {
    parse: (text) => text as Word,
    check: (value, field, got) => words.find((word) => word === value) ?? refuse('flag-choice', field, words.join(', '), got),
  }
}

export const text: Kind<string> = {
  parse: (given) => given,
  check: (value, field, got) => (typeof value === 'string' ? value : refuse('flag-text', field, 'text', got)),
}

export const switched: Kind<boolean> = {
  parse: (given) => given === 'true',
  check: (value, field, got) => (typeof value === 'boolean' ? value : refuse('flag-switch', field, 'true or false', got)),
}

/** A list of names. */
export const names: Kind<readonly string[]> = {
  parse: parseList,
  check(value, field, got) {
    const fine = Array.isArray(value) && value.length > 0 && value.every((name) => typeof name === 'string')
    return fine ? value : refuse('flag-list', field, 'a list of names', got)
  },
}

/** Blocks on each device. What is no whole number stays as it was written, to be refused beside the model's blocks. */
export const blocks: Kind<readonly (number | string)[]> = {
  parse: (given) => parseList(given).map((part) => (/^\d+$/.test(part) ? Number(part) : part)),
  check: (value, field, got) => (Array.isArray(value) && value.length > 0 ? value : refuse('flag-list', field, 'a list of blocks', got)),
}

export const rank: Kind<number> = {
  parse: parseNumber,
  check: (value, field, got) => checkRank(integer(1).check(value, field, got), field),
}

export const alpha: Kind<number> = {
  parse: parseNumber,
  check: (value, field, got) => checkAlpha(number({ above: 0 }).check(value, field, got), field),
}

/** Linear layers, by the names that `expandTargets` knows. */
export const targets: Kind<readonly LinearKey[]> = {
  parse: (given) => parseList(given) as unknown as readonly LinearKey[],
  check: (value, field) => expandTargets(value, field),
}

export const partitionText: Kind<string> = {
  parse: (given) => given,
  check(value, field) {
    parsePartition(value, field)
    return value
  },
}

/** One scheme, a list of them, or all. */
export const schemes: Kind<'all' | readonly SchemeName[]> = {
  parse: (given) => (given === 'all' ? given : parseList(given) as unknown as readonly SchemeName[]),
  check(value, field, got) {
    const known = value === 'all' || (Array.isArray(value) && value.length > 0 && value.every((name) => SCHEME_NAMES.includes(name)))
    return known ? value : refuse('flag-choice', field, SCHEME_NAMES.join(', '), got)
  },
}

const UNITS: Readonly<Record<string, number>> = { '': 1, B: 1, KB: 1e3, MB: 1e6, GB: 1e9, KIB: 2 ** 10, MIB: 2 ** 20, GIB: 2 ** 30 }

/** Bytes, from a size such as 64MB. */
export const size: Kind<number> = {
  parse(given) {
    const [, value, unit] = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(given) ?? []
    return Math.floor(Number(value) * (UNITS[(unit ?? '').toUpperCase()] ?? NaN))
  },
  check: (value, field, got) => (value > 0 ? value : refuse('flag-memory', field, 'a size such as 64MB', got)),
}

/** A client's number, or null for any free one. */
export const clientNumber: Kind<number | null> = {
  parse: (given) => (given === 'any' ? null : parseNumber(given)),
  check: (value, field, got) => (value === null ? null : integer(0).check(value, field, got)),
}

/** A machine's address or name to listen on; an IPv6 one may stand in brackets, as in a URL. */
export const listenHost: Kind<string> = {
  parse: (given) => given.replace(/^\[(.*)\]$/, '$1'),
  check(value, field, got) {
    const fine = typeof value === 'string' && value.trim() !== '' && !value.includes('%')
    return fine ? value : refuse('serve-host', field, 'an address of this machine, without a zone, which no URL can carry', got)
  },
}

/** A WebSocket's address. */
export const address: Kind<string> = {
  parse: (given) => given,
  check(value, field, got) {
    const fine = typeof value === 'string' && /^wss?:\/\/[^\s#]+$/.test(value) && URL.canParse(value)
    return fine ? value : refuse('join-address', field, 'ws://HOST:PORT', got)
  },
}
