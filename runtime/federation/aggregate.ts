/**
 * How contributions become one set: a row for each way. All sums run in f64 and in the order of the clients, so that one
 * order of work gives the same bits as another.
 *
 *   mean      Σ samples·x / Σ samples (FedAvg, McMahan et al. 2017)
 *   trimmed   for each parameter, the mean of what is left without the largest and smallest fifth (Yin et al. 2018, definition 2)
 *   median    for each parameter, the middle value, or the mean of the two middle ones (the same, definition 1)
 *
 * The robust two count every device once, whatever number of samples it claims.
 */
import { refuse } from '../error.ts'
import type { Kernel } from '../kernel/load.ts'
import type { Average, Contribution } from './average.ts'
import { openAverage } from './average.ts'

/** Of `count` contributions, how many go at either end; at least one of three. */
function trimOf(count: number): number {
  return Math.max(Math.floor(count / 5), count >= 3 ? 1 : 0)
}

/** The mean of the sorted values [begin, end). */
function meanOf(sorted: Float64Array, begin: number, end: number): number {
  let sum = -0
  for (let at = begin; at < end; at++) sum += sorted[at]
  return sum / (end - begin)
}

/** For each parameter, the mean of a range of its sorted values. Equal values are the same number: their order changes nothing. */
function bySortedValues(count: number, rangeOf: (contributions: number) => readonly [begin: number, end: number]): Average {
  return (contributions: readonly Contribution[]) => {
    if (contributions.length === 0) refuse('average-empty', 'average', 'at least one participant', 'none')
    for (const { vector } of contributions) if (vector.length !== count) refuse('average-count', 'average', `${count} values`, vector.length)
    const [begin, end] = rangeOf(contributions.length)
    const values = new Float64Array(contributions.length)
    return Float32Array.from({ length: count }, (_, index) => {
      contributions.forEach(({ vector }, at) => { values[at] = vector[index] })
      return meanOf(values.sort(), begin, end)
    })
  }
}

type Row = { open(kernel: Kernel, count: number): Promise<Average> }

const TABLE = {
  mean: { open: openAverage },
  trimmed: { open: async (_, count) => bySortedValues(count, (all) => [trimOf(all), all - trimOf(all)]) },
  median: { open: async (_, count) => bySortedValues(count, (all) => [(all - 1) >> 1, (all >> 1) + 1]) },
} as const satisfies Record<string, Row>

export type AggregateName = keyof typeof TABLE
export const AGGREGATES = Object.keys(TABLE) as readonly AggregateName[]
export const AGGREGATE_DEFAULT: AggregateName = 'mean'

/** `count` values in each contribution. */
export function openAggregate(name: AggregateName, kernel: Kernel, count: number): Promise<Average> {
  return TABLE[name].open(kernel, count)
}
