/**
 * What a kernel case is made of. A case names one operation, the tensors it works on
 * by role, the call, and what the float64 oracle expects of every tensor it writes.
 */
import type { KernelExports } from '../../runtime/kernel/abi.ts'
import { createRandom } from '../../runtime/random.ts'
import { centralDifferences, dot } from '../oracle/gradient.ts'

export const ARRAYS = {
  f64: Float64Array, f32: Float32Array, i32: Int32Array, u32: Uint32Array, u16: Uint16Array, i8: Int8Array, u8: Uint8Array,
} as const
export type Element = keyof typeof ARRAYS
export type Values = ArrayLike<number>

export type Slot =
  /** Unchanged by the call. */
  | { role: 'input'; element: Element; values: Values }
  /** Holds `values` before; the call may overwrite it with what nobody reads. */
  | { role: 'spent'; element: Element; values: Values }
  /** Overwritten whole; NaN before. */
  | { role: 'output'; element: Element; count: number }
  /** Added to, or otherwise updated from what it holds. */
  | { role: 'running'; element: Element; values: Values }
  /** Exactly as large as the build's own size function says; NaN before. */
  | { role: 'scratch'; bytes: (kernel: KernelExports) => number }
  /** A record of addresses, which `write` fills once all are known; unchanged by the call. */
  | { role: 'record'; bytes: number; write: (buffer: ArrayBuffer, address: number, at: Addresses) => void }

export type Slots = Readonly<Record<string, Slot>>
export type Addresses = Readonly<Record<string, number>>
/** All elements of a tensor, or some of them. */
export type Expected = Values | { readonly indices: Int32Array; readonly values: Float64Array }
export type Operation = keyof KernelExports

export type Case = {
  operation: Operation
  sizes: string
  slots: Slots
  call(kernel: KernelExports, at: Addresses): number | void
  /** Every output and running tensor by name, and `result` where the call returns a number. */
  expect(): Readonly<Record<string, Expected>>
  /** Largest allowed distance (test/distance.ts) of any tensor; 0: the same numbers exactly. */
  tolerance: number
  /** Magnitude below which a tensor's error counts as absolute, for gradients that are zero but for rounding. */
  floor?: number
  /** Pairs [output, input] whose addresses the operation allows to be one. */
  aliases?: readonly (readonly [string, string])[]
}

/** A case whose call names only slots that exist. */
export function kernelCase<const S extends Slots>(
  parts: Omit<Case, 'slots' | 'call'> & { slots: S; call: (kernel: KernelExports, at: Readonly<Record<keyof S, number>>) => number | void },
): Case {
  return parts as Case
}

export const input = (values: Values, element: Element = 'f32'): Slot => ({ role: 'input', element, values })
export const spent = (values: Values, element: Element = 'f32'): Slot => ({ role: 'spent', element, values })
export const output = (count: number, element: Element = 'f32'): Slot => ({ role: 'output', element, count })
export const running = (values: Values, element: Element = 'f32'): Slot => ({ role: 'running', element, values })
export const scratch = (bytes: (kernel: KernelExports) => number): Slot => ({ role: 'scratch', bytes })

/** Two vectors and a tail in the middle of primes, powers of two, 0 and 1. */
export const LENGTHS = [0, 1, 2, 3, 4, 5, 7, 8, 11, 13, 16, 17, 31, 67, 768, 1021] as const

/**
 * `count` f32 values in ±`scale`, held in float64 so that the oracle reads what the
 * kernel reads. The same seed and name give the same values.
 */
export function draw(count: number, name: string, scale = 1): Float64Array {
  const random = createRandom(7, 'weights', hash(`${name} ${count}`))
  return Float64Array.from({ length: count }, () => Math.fround((2 * random.uniform() - 1) * scale))
}

/** `count` integers below `limit`. */
export function drawIntegers(count: number, limit: number, name: string): Int32Array {
  const random = createRandom(7, 'weights', hash(`${name} ${count}`))
  return Int32Array.from({ length: count }, () => random.below(limit))
}

/** FNV-1a. */
function hash(text: string): number {
  let x = 0x811c9dc5
  for (const character of text) x = Math.imul(x ^ character.codePointAt(0)!, 0x01000193)
  return x >>> 0
}

/** Every value rounded to f32. */
export function round(values: Float64Array): Float64Array {
  return values.map(Math.fround)
}

type Tensors = Readonly<Record<string, Float64Array>>

/**
 * Gradients of forward()·dOut by central differences, in up to `count` elements of each
 * tensor. `of` gives each gradient's source, `start` what a running gradient holds before.
 */
export function expectGradients(forward: () => Float64Array, dOut: Float64Array, of: Tensors, start: Tensors = {}, count = 40): Record<string, Expected> {
  const sources = new Map(Object.entries(of).map(([name, data]) => [name, { data }]))
  const slopes = centralDifferences(() => dot(forward(), dOut), sources, { count, seed: 1 })
  return Object.fromEntries([...slopes].map(([name, { indices, values }]) =>
    [name, { indices, values: values.map((slope, i) => slope + (start[name]?.[indices[i]] ?? 0)) }]))
}
