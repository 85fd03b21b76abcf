/**
 * What a device says of itself decides nothing, but people read it: what can't be is left out, so that one device's nonsense
 * doesn't stand for all. What is left is still its own word.
 */
import type { StatsReport } from '../split/stats.ts'

/** How a device holds its weights may double what the plan says for f32, threads may add to it; nothing makes it this many times as much. */
const MEMORY_TIMES_MAX = 4
/** Clocks of two machines, set over a network. */
const CLOCKS_MS = 1000
/** One round of one connection has four; a device that came back within it, as many again. */
const SPANS_MAX = 64

/** Bytes, or NaN for more than the plan of what the device computes could take. */
export function soundMemory(bytes: number, plannedBytes: number): number {
  return bytes <= MEMORY_TIMES_MAX * plannedBytes ? bytes : NaN
}

/** Times of a run by the server's clock. */
export type RunTime = { beginMs: number; endMs: number }

const NOTHING: StatsReport = { computeMs: NaN, waitMs: NaN, spans: [] }

/** As told, without spans outside the run; nothing where times are negative or more than the run's. */
export function soundStats({ computeMs, waitMs, spans }: StatsReport, { beginMs, endMs }: RunTime): StatsReport {
  const longest = endMs - beginMs + CLOCKS_MS
  if (!(computeMs >= 0 && waitMs >= 0 && computeMs + waitMs <= longest)) return NOTHING
  const within = spans.every((span) => beginMs - CLOCKS_MS <= span.beginMs && span.beginMs <= span.endMs && span.endMs <= endMs + CLOCKS_MS)
  return { computeMs, waitMs, spans: within && spans.length <= SPANS_MAX ? spans : [] }
}
