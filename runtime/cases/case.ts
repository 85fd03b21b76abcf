/**
 * What a kernel case is made of. A case names one operation, the tensors it works on by role, the calls, and what a float64
 * oracle expects of every tensor it writes.
 */
import { BLOCK, LINEAR, NORM, SAVED } from '../kernel/abi.ts'
import type { KernelExports } from '../kernel/abi.ts'
import type { Expected, Oracle } from './oracle.ts'
import { countOfSource } from './source.ts'
import type { Source } from './source.ts'

export const ARRAYS = {
  f64: Float64Array, f32: Float32Array, i32: Int32Array, u32: Uint32Array, u16: Uint16Array, i8: Int8Array, u8: Uint8Array,
} as const
export type Element = keyof typeof ARRAYS

/** The kernel's records, whose fields a slot gives by name: those that are left out are 0. */
export const RECORDS = { linear: LINEAR, norm: NORM, block: BLOCK, saved: SAVED } as const
export type RecordKind = keyof typeof RECORDS

export type Slot =
  /** Unchanged by the call. */
  | { role: 'input'; element: Element; source: Source }
  /** Holds its source before; the call may overwrite it with what nobody reads. */
  | { role: 'spent'; element: Element; source: Source }
  /** Overwritten whole; NaN before. */
  | { role: 'output'; element: Element; count: number }
  /** Added to, or otherwise updated from what it holds. */
  | { role: 'running'; element: Element; source: Source }
  /** What the forward call leaves for the backward call, which may use it up; NaN before. */
  | { role: 'between'; element: Element; count: number }
  /** Exactly as large as the build's own size function says; NaN before. */
  | { role: 'scratch'; bytes: (kernel: KernelExports) => number }
  /** A record of addresses and numbers, written once all addresses are known; unchanged by the call. */
  | { role: 'record'; record: RecordKind; fields: (at: Addresses) => Readonly<Record<string, number>> }

export type Slots = Readonly<Record<string, Slot>>
export type Addresses = Readonly<Record<string, number>>
export type Operation = keyof KernelExports

export type Case = {
  operation: Operation
  sizes: string
  slots: Slots
  /** What must run first: the forward operation, for what it saves. Not what is timed. */
  before?(kernel: KernelExports, at: Addresses): void
  call(kernel: KernelExports, at: Addresses): number | void
  /** Every output and running tensor by name, and `result` where the call returns a number. */
  expect(oracle: Oracle): Readonly<Record<string, Expected>>
  /** Largest allowed distance of any tensor from the oracle, relative to its largest value; 0: the same numbers exactly. */
  tolerance: number
  /** Magnitude below which a tensor's error counts as absolute, for gradients that are zero but for rounding. */
  floor?: number
  /** Pairs [output, input] whose addresses the operation allows to be one. */
  aliases?: readonly (readonly [string, string])[]
  /** Of a BERT's size: too long for engines that do not compile. */
  large?: boolean
}

/** A case whose call names only slots that exist. */
export function kernelCase<const S extends Slots>(
  parts: Omit<Case, 'slots' | 'call' | 'before'> & {
    slots: S
    before?: (kernel: KernelExports, at: Readonly<Record<keyof S, number>>) => void
    call: (kernel: KernelExports, at: Readonly<Record<keyof S, number>>) => number | void
  },
): Case {
  return parts as Case
}

/** All calls of a case. */
export function callCase({ before, call }: Case, kernel: KernelExports, at: Addresses): number | void {
  before?.(kernel, at)
  return call(kernel, at)
}

export const input = (source: Source, element: Element = 'f32'): Slot => ({ role: 'input', element, source })
export const spent = (source: Source, element: Element = 'f32'): Slot => ({ role: 'spent', element, source })
export const output = (count: number, element: Element = 'f32'): Slot => ({ role: 'output', element, count })
export const running = (source: Source, element: Element = 'f32'): Slot => ({ role: 'running', element, source })
export const between = (count: number, element: Element = 'f32'): Slot => ({ role: 'between', element, count })
export const scratch = (bytes: (kernel: KernelExports) => number): Slot => ({ role: 'scratch', bytes })

/** Elements of a slot that is a tensor. */
export function countOfSlot(slot: Exclude<Slot, { role: 'scratch' | 'record' }>): number {
  return 'source' in slot ? countOfSource(slot.source) : slot.count
}

export const nameCase = ({ operation, sizes }: Case): string => `${operation} ${sizes}`

/** Two vectors and a tail in the middle of primes, powers of two, 0 and 1. */
export const LENGTHS = [0, 1, 2, 3, 4, 5, 7, 8, 11, 13, 16, 17, 31, 67, 768, 1021] as const

/** Every value rounded to f32. */
export function round(values: Float64Array): Float64Array {
  return values.map(Math.fround)
}
