/** Figures from the rounds: medians, and ratios taken within each round, so that a busy moment weighs on both sides. */
import type { Host, Program } from './install.ts'
import type { Setting } from './protocol.ts'

/** A contender's milliseconds for one step, a round each. */
export type Measured = {
  id: string
  program: Program
  host: Host
  setting: Setting
  label: string
  ms: readonly number[]
  note: string
  flops: number
}

/** Of an even count the mean of the middle two. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** How many times as fast as `other` is `one`: the median over the rounds of other's time by one's. */
export function compareRounds(one: Pick<Measured, 'ms'>, other: Pick<Measured, 'ms'>): number {
  return median(one.ms.map((ms, round) => other.ms[round] / ms))
}

/** The share of other's GFLOP/s that `one` reaches: the median over the rounds. */
export function shareRounds(one: Pick<Measured, 'ms' | 'flops'>, other: Pick<Measured, 'ms' | 'flops'>): number {
  return compareRounds(one, other) * (one.flops / other.flops)
}

/** GFLOP/s of the median round; NaN where the work has no count of operations. */
export function gigaflops({ ms, flops }: Pick<Measured, 'ms' | 'flops'>): number {
  return flops > 0 ? flops / median(ms) / 1e6 : NaN
}

/** The contender with the shortest median, or undefined of none. */
export function findFastest<T extends Pick<Measured, 'ms'>>(all: readonly T[]): T | undefined {
  return [...all].sort((a, b) => median(a.ms) - median(b.ms))[0]
}
