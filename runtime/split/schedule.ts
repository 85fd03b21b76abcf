/**
 * Whom the server serves next. Every scheduler sees the clients of the current
 * interval; `arrival` counts activations as they come in, null when none waits.
 */
export const SCHEDULERS = ['longest-backward', 'longest-tail', 'fifo'] as const
export type SchedulerName = (typeof SCHEDULERS)[number]

/** The paper's: what orders a run unless another is asked for. */
export const SCHEDULER_DEFAULT: SchedulerName = 'longest-backward'

/** The one whose order no clock decides. Devices that share one set of the server's need it: there the order decides bits. */
export const SCHEDULER_STATIC: SchedulerName = 'longest-backward'

export type Candidate = {
  client: number
  /** The step the server expects next from this client. */
  step: number
  arrival: number | null
  /** Device's backward work after the server's, in multiply-adds a row: the static estimate. */
  backwardWork: number
  /** Measured time from gradient sent to next activation, ms; null until measured. */
  tailMs: number | null
}

/** The client to serve now, or null to wait for one. */
export type Scheduler = (candidates: readonly Candidate[]) => number | null

function byBackward(a: Candidate, b: Candidate): number {
  return b.backwardWork - a.backwardWork || a.client - b.client
}

/** The first by `compare`; one pass without a copy, for it is taken at every step, among hundreds. */
function firstBy(candidates: readonly Candidate[], compare: (a: Candidate, b: Candidate) => number): Candidate | null {
  return candidates.reduce((first: Candidate | null, other) => (first === null || compare(other, first) < 0 ? other : first), null)
}

/** The paper's order (section V): in each round the device with the longest remaining backward time first, arrived or not. */
const longestBackward: Scheduler = (candidates) => {
  const first = firstBy(candidates, (a, b) => a.step - b.step || byBackward(a, b))
  return first && first.arrival !== null ? first.client : null
}

/** Among activations that have arrived, the longest measured tail first; the static estimate until all are measured. */
const longestTail: Scheduler = (candidates) => {
  const arrived = candidates.filter(({ arrival }) => arrival !== null)
  const measured = arrived.every(({ tailMs }) => tailMs !== null)
  return firstBy(arrived, (a, b) => (measured ? b.tailMs! - a.tailMs! : 0) || byBackward(a, b))?.client ?? null
}

/** In the order of arrival. */
const fifo: Scheduler = (candidates) =>
  firstBy(candidates.filter(({ arrival }) => arrival !== null), (a, b) => a.arrival! - b.arrival!)?.client ?? null

export function chooseScheduler(name: SchedulerName): Scheduler {
  return { 'longest-backward': longestBackward, 'longest-tail': longestTail, fifo }[name]
}
