/**
 * How long one device may hold the others up. A slow device is not a dead one and is waited for, thirty times slower or not; but
 * one that answers each step just before the deadline would set everybody's pace. So the time that a device takes for an
 * interval's steps is held against the others': at most the deadline longer than `patience` times their median.
 */

/** `ms` for `steps` steps of this interval, and milliseconds a step in the one before; null before the first. */
export type Pace = { ms: number; steps: number; before: number | null }

export const PATIENCE_DEFAULT = 50

/** Milliseconds a step, as last known. */
export function paceOf({ ms, steps, before }: Pace): number | null {
  return steps > 0 ? ms / steps : before
}

/** What a device may take for as many steps as it has done; infinite with nobody to compare it with, and for a patience of 0. */
export function paceLimitMs({ steps }: Pace, others: readonly Pace[], { patience, deadlineMs }: { patience: number; deadlineMs: number }): number {
  const known = others.map(paceOf).filter((ms) => ms !== null).sort((a, b) => a - b)
  return known.length === 0 || patience === 0 ? Infinity : deadlineMs + patience * steps * known[known.length >> 1]
}

/** Intervals that a device sits out when it has been too slow once more, from those of the time before: 0 at first, then 1, 3, 7, … */
export function restAfter(before: number | null): number {
  return before === null ? 0 : 2 * before + 1
}
