/**
 * What a device brings to a run, as it tells it in its `ready` (wire/SPEC.md, section 7): `Brought`, which must be the same whenever
 * it comes back, to a server that has been started again too; how large it is, which decides nothing; and what its kernel computes.
 */
import { SELF_TEST_DIGEST } from '../cases/selftest.digests.ts'
import { isSelfTestCase } from '../cases/selftest.ts'
import { refuse } from '../error.ts'
import type { WeightFormat } from '../kernel/format.ts'
import { WEIGHT_FORMATS } from '../kernel/format.ts'
import type { Profile } from '../kernel/load.ts'
import { PROFILES } from '../kernel/load.ts'
import type { Contract } from './contract.ts'
import { U32_MAX, parseObject } from './contract.ts'

/**
 * All that decides the bits of a device's part, or that the server plans by: kept with every checkpoint and compared whole.
 * What may be undefined, a device need not tell: told and not told are two things, and differ.
 */
export type Brought = {
  /** `checksumData` of its samples, in their order. */
  dataCrc?: number
  /** How its half holds frozen weights, and what it computes by. */
  dtype?: WeightFormat
  profile?: Profile
  /** Its weight in an average. */
  samples: number
  labelCounts: readonly number[]
  /** The largest batch: N, S and T (spec.ts). */
  rows: number
  sequences: number
  longest: number
}

/**
 * `memoryBytes`: the linear memory of its half. `bits`: the digest of its kernel's self-test (cases/selftest.ts), 16 hexadecimal
 * digits; `differs`: the first case in which it finds other bits than it should. Neither is kept: another version has other cases.
 */
export type Share = Brought & { memoryBytes: number; bits?: string; differs?: string }

/** What a field may hold under a contract, in words too. */
type Check = { expected(contract: Contract): string; fits(value: unknown, contract: Contract): boolean; untold?: true }

const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 1
const COUNT: Check = { expected: () => 'a whole number of at least 1', fits: isCount }

const countTo = (most: (contract: Contract) => number): Check => (
  { expected: (contract) => `a whole number of 1 … ${most(contract)}`, fits: (value, contract) => isCount(value) && (value as number) <= most(contract) })
const oneOf = (words: readonly string[]): Check => ({ expected: () => words.join(', '), fits: (value) => words.includes(value as string) })

/** In the order in which they are compared. A field that is not listed can't be told, kept or compared: the type asks for each. */
const CHECKS = {
  dataCrc: {
    expected: () => `a whole number of 0 … ${U32_MAX}`, untold: true,
    fits: (value) => value === 0 || (isCount(value) && (value as number) <= U32_MAX),
  },
  dtype: { ...oneOf(WEIGHT_FORMATS), untold: true },
  profile: { ...oneOf(PROFILES), untold: true },
  samples: COUNT,
  labelCounts: {
    expected: ({ labels }) => `${labels.length} counts`,
    fits: (value, { labels }) => (
      Array.isArray(value) && value.length === labels.length && value.every((count: unknown) => count === 0 || isCount(count))),
  },
  rows: countTo(({ batch, maxLength }) => batch * maxLength),
  sequences: countTo(({ batch }) => batch),
  longest: countTo(({ maxLength }) => maxLength),
} satisfies Record<keyof Brought, Check>

export const BROUGHT = Object.keys(CHECKS) as (keyof Brought)[]

type Fields = Readonly<Record<string, unknown>>

/** A value as a refusal shows it. */
const show = (value: unknown): unknown => (typeof value === 'object' ? JSON.stringify(value) : value ?? 'none')

/** Of an object that may hold anything, what a device brings, each field checked by its name below `field`. Refuses `code`. */
export function readBrought(fields: Fields, contract: Contract, code: string, field: string): Brought {
  const told = BROUGHT.filter((name) => Object.hasOwn(fields, name) || !(CHECKS[name] as Check).untold)
  for (const name of told) {
    const { expected, fits } = CHECKS[name]
    if (!fits(fields[name], contract)) refuse(code, `${field}.${name}`, expected(contract), show(fields[name]))
  }
  const brought = Object.fromEntries(told.map((name) => [name, fields[name]])) as Brought
  const { samples, labelCounts, rows, sequences } = brought
  if (rows < sequences) refuse(code, `${field}.rows`, `at least ${sequences}, a row of each sequence`, rows)
  if (labelCounts.reduce((sum, count) => sum + count, 0) !== samples) {
    refuse(code, `${field}.labelCounts`, `counts that make ${samples} samples`, show(labelCounts))
  }
  return brought
}

/** A share as the server reads it from a `ready`. Refuses `share`: what the contract rules out, before anything is planned from it. */
export function parseShare(text: string, contract: Contract): Share {
  const fields: Fields = { ...parseObject(text, 'share', 'ready.share') }
  const { memoryBytes } = fields
  if (!isCount(memoryBytes)) refuse('share', 'share.memoryBytes', COUNT.expected(contract), show(memoryBytes))
  const { bits, differs } = readBits(fields)
  const brought = readBrought(fields, contract, 'share', 'share')
  return { ...brought, memoryBytes: memoryBytes as number, ...(bits !== undefined && { bits }), ...(differs !== undefined && { differs }) }
}

function readBits({ bits, differs }: Fields): Pick<Share, 'bits' | 'differs'> {
  const isDigest = typeof bits === 'string' && /^[0-9a-f]{16}$/.test(bits)
  if (bits !== undefined && !isDigest) refuse('share', 'share.bits', '16 hexadecimal digits', show(bits))
  const isName = typeof differs === 'string' && isSelfTestCase(differs)
  if (differs !== undefined && !isName) refuse('share', 'share.differs', 'a case of the self-test', show(differs))
  return { bits, differs } as Pick<Share, 'bits' | 'differs'>
}

/**
 * Refuses `device-bits`, in a strict run, for a device that claims the strict profile and computes other bits: its engine's fault, or
 * another kernel. One that does not say what it computes, or says that it computes fast, is taken: it claims nothing.
 */
export function checkBits({ profile, bits, differs }: Share, run: Profile): void {
  if (run !== 'strict' || profile === 'fast' || bits === undefined || (bits === SELF_TEST_DIGEST && differs === undefined)) return
  const which = differs === undefined ? '' : `, otherwise in ${differs}`
  refuse('device-bits', 'ready.share.bits', `${SELF_TEST_DIGEST}, as in a strict run every engine gives`, `${bits}${which}`)
}

/** The part of a share that must come back with its device. */
export function broughtOf(share: Share): Brought {
  return Object.fromEntries(BROUGHT.filter((name) => share[name] !== undefined).map((name) => [name, share[name]])) as Brought
}

/** A field that a device brought otherwise before, both values as a refusal shows them. */
export type OtherField = { name: keyof Brought; before: unknown; now: unknown }

/** The first field that differs; null where all are the same. */
export function findOtherField(before: Brought, now: Brought): OtherField | null {
  const name = BROUGHT.find((each) => show(before[each]) !== show(now[each]))
  return name === undefined ? null : { name, before: show(before[name]), now: show(now[name]) }
}
