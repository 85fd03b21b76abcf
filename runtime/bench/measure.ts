/**
 * How long a piece of work takes: warm-up, then samples of many calls each, and their median. The clock is the
 * target's. An engine compiles a function twice, quickly at its first call and well after many, so the warm-up goes on
 * until two batches of calls take equally long.
 */
import { refuse } from '../error.ts'
import type { Clock } from '../host/clock.ts'

/** What a target hands in: milliseconds from any start, and a turn of its event loop, so that a signal comes through. */
export type Timer = Pick<Clock, 'now' | 'turn'>

/** `before` runs ahead of each call and is not timed: for what uses up what it works on. */
export type TimedWork = { run(): void; before?(): void }

export type MeasureOptions = {
  /** The warm-up takes at least `warmMs`, and at most `warmMsMax` and one batch. */
  warmMs: number
  warmMsMax: number
  /** The shortest sample that the clock can be trusted with. */
  sampleMs: number
  /** Samples wanted, and how many are enough once they have taken `budgetMs`. */
  samples: number
  samplesMin: number
  budgetMs: number
}

export const THOROUGH: MeasureOptions = { warmMs: 120, warmMsMax: 1500, sampleMs: 20, samples: 9, samplesMin: 3, budgetMs: 1500 }
/** For a look and for tests. */
export const QUICK: MeasureOptions = { warmMs: 10, warmMsMax: 60, sampleMs: 4, samples: 3, samplesMin: 1, budgetMs: 30 }

/** Milliseconds of one call: the median and the least of `samples` means over `calls` calls. */
export type Timing = { ms: number; leastMs: number; samples: number; calls: number }

/** Batches of the warm-up are equal within this share. */
const STEADY = 0.05
const CALLS_MAX = 2 ** 26

/** The middle value, of an even number the upper one of the two. */
export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]
}

function timeCalls({ now: clock }: Timer, { run, before }: TimedWork, calls: number): number {
  if (before) return timeApart(clock, run, before, calls)
  const begin = clock()
  for (let call = 0; call < calls; call++) run()
  return clock() - begin
}

function timeApart(clock: () => number, run: () => void, before: () => void, calls: number): number {
  let ms = 0
  for (let call = 0; call < calls; call++) {
    before()
    const begin = clock()
    run()
    ms += clock() - begin
  }
  return ms
}

/** Calls that fill a sample when `calls` took `ms`; twice as many where the clock saw next to nothing. */
function fillSample(ms: number, calls: number, sampleMs: number): number {
  const wanted = ms > sampleMs / 1000 ? Math.max(1, Math.ceil((calls * sampleMs) / ms)) : 2 * calls
  return wanted > CALLS_MAX ? refuse('bench-clock', 'clock', `more than ${ms} ms for ${calls} calls`, ms) : wanted
}

/** Runs the warm-up and returns the calls of a sample. */
async function warmUp(timer: Timer, work: TimedWork, { warmMs, warmMsMax, sampleMs }: MeasureOptions): Promise<number> {
  const begin = timer.now()
  let before = Infinity
  for (let calls = 1; ;) {
    const ms = timeCalls(timer, work, calls)
    const each = ms / calls
    const spentMs = timer.now() - begin
    const filled = fillSample(ms, calls, sampleMs)
    const steady = Math.abs(each - before) <= STEADY * before
    const timed = ms > sampleMs / 2
    if (timed && (spentMs >= warmMsMax || (spentMs >= warmMs && steady))) return filled
    before = each
    calls = Math.min(filled, 2 * calls)
    await timer.turn()
  }
}

type Run = { work: TimedWork; calls: number; times: number[] }

async function takeSample(timer: Timer, run: Run, sampleMs: number): Promise<void> {
  const ms = timeCalls(timer, run.work, run.calls)
  await timer.turn()
  // What was compiled well only now fills no sample with so few calls.
  if (ms < sampleMs / 2) {
    run.calls = fillSample(ms, run.calls, sampleMs)
    run.times = []
  } else run.times.push(ms / run.calls)
}

/**
 * Measures works that are to be compared: a sample of each in turn, so that another program on the machine slows all
 * alike. `on` is told before each warm-up and round. Refuses `bench-clock` for a clock that stands still.
 */
export async function measureTogether(
  timer: Timer, works: readonly TimedWork[], options: MeasureOptions, on: (what: string) => void = () => {},
): Promise<Timing[]> {
  const { sampleMs, samples, samplesMin, budgetMs } = options
  const runs: Run[] = []
  for (const work of works) {
    on(`warm-up ${runs.length + 1} of ${works.length}`)
    runs.push({ work, calls: await warmUp(timer, work, options), times: [] })
  }
  const begin = timer.now()
  const fewest = () => Math.min(...runs.map(({ times }) => times.length))
  const enough = () => fewest() >= samples || (fewest() >= samplesMin && timer.now() - begin >= budgetMs * runs.length)
  for (let round = 1; !enough(); round++) {
    on(`round ${round}`)
    for (const run of runs) await takeSample(timer, run, sampleMs)
  }
  return runs.map(({ times, calls }) => ({ ms: median(times), leastMs: Math.min(...times), samples: times.length, calls }))
}

/** Measures one work. Refuses `bench-clock` for a clock that stands still. */
export async function measure(timer: Timer, work: () => void, options: MeasureOptions): Promise<Timing> {
  return (await measureTogether(timer, [{ run: work }], options))[0]
}
