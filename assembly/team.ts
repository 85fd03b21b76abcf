/**
 * Threads: instances of this module on one shared memory, each with an index of its own. All of them run the same
 * block function and meet at barriers. Between two barriers each does its share of the rows or outputs, or takes the
 * next unit of work as long as there is one, so that a slower core does less; no sum is ever split, so that neither
 * their number nor who did what changes a bit. The builds without shared memory have a team of one.
 */

export const JOB_STOP: i32 = 0
export const JOB_FORWARD: i32 = 1
export const JOB_BACKWARD: i32 = 2

/** The team's record, zero at first. */
@unmanaged export class Team {
  arrived: i32 //     threads at the barrier
  passed: i32 //      barriers passed
  job: i32 //         jobs given out
  what: i32 //        JOB_FORWARD, JOB_BACKWARD or JOB_STOP
  argument0: usize // of the job
  argument1: usize
  argument2: usize
  argument3: usize
  argument4: usize
  argument5: usize
  argument6: usize
  argument7: usize
  argument8: usize
  taken: i32 //       units of work taken since the last barrier
}

const PASSED: usize = offsetof<Team>('passed')
const JOB: usize = offsetof<Team>('job')
const WHAT: usize = offsetof<Team>('what')
const ARGUMENTS: usize = offsetof<Team>('argument0')
const TAKEN: usize = offsetof<Team>('taken')
/** Whole cache lines. */
const TEAM_BYTES: i32 = (i32(offsetof<Team>()) + 63) & ~63
/** Loads before a thread asks its host to sleep: some ten microseconds, longer than the host takes between two blocks. */
const SPINS: i32 = 20000
/** Work that one core does in some fifty microseconds, as long as the barriers of a block may take. */
const TOGETHER_FLOPS: f64 = 4e6

let team: usize = 0
let index: i32 = 0
let count: i32 = 1
/** Threads at the present job: all, or thread 0 alone. */
let together: i32 = 1

/** Bytes of a team's record. */
export function teamBytes(): i32 {
  return TEAM_BYTES
}

/** Makes this instance thread `threadIndex` of `threadCount`, whose record is at `address`. Only thread 0 may be given work. */
export function joinTeam(address: usize, threadIndex: i32, threadCount: i32): void {
  if (!ASC_FEATURE_THREADS) return
  team = address
  index = threadIndex
  count = together = threadCount
}

@inline export function threadIndex(): i32 {
  return ASC_FEATURE_THREADS ? index : 0
}

/** How many threads are at the present job. */
@inline export function threadCount(): i32 {
  return ASC_FEATURE_THREADS ? together : 1
}

/** Where share `part` of `parts` of n begins; all shares but the last are equally large. */
@inline export function shareBegin(n: i32, part: i32, parts: i32): i32 {
  return min(n, (n + parts - 1) / parts * part)
}

/**
 * Returns when every thread of the team has come here. It never sleeps: threads finish together, and the baseline
 * compiler of V8 11.3 (Node 20) writes eight bytes over a neighbouring local of four around memory.atomic.wait32.
 */
export function barrier(): void {
  if (!ASC_FEATURE_THREADS || together == 1) return
  const seen = atomic.load<i32>(team, PASSED)
  if (atomic.add<i32>(team, 1) == together - 1) {
    atomic.store<i32>(team, 0)
    atomic.store<i32>(team, 0, TAKEN)
    atomic.add<i32>(team, 1, PASSED)
  } else while (atomic.load<i32>(team, PASSED) == seen) {}
}

/**
 * The unit of work after `unit` (−1: the first), of which each is done once: alone the next, in a team the next that
 * nobody has taken since the barrier.
 */
@inline export function nextUnit(inTeam: bool, unit: i32): i32 {
  return ASC_FEATURE_THREADS && inTeam ? atomic.add<i32>(team, 1, TAKEN) : unit + 1
}

/** Thread 0 tells the others what all now do; work of few operations it does alone. */
export function giveJob(
  what: i32, flops: f64, a0: usize, a1: usize, a2: usize, a3: usize, a4: i32, a5: i32, a6: i32, a7: usize, a8: usize = 0
): void {
  if (!ASC_FEATURE_THREADS || count == 1 || index != 0) return
  together = flops < TOGETHER_FLOPS ? 1 : count
  if (together == 1) return
  store<i32>(team, what, WHAT)
  store<usize>(team, a0, ARGUMENTS); store<usize>(team, a1, ARGUMENTS + 4)
  store<usize>(team, a2, ARGUMENTS + 8); store<usize>(team, a3, ARGUMENTS + 12)
  store<i32>(team, a4, ARGUMENTS + 16); store<i32>(team, a5, ARGUMENTS + 20)
  store<i32>(team, a6, ARGUMENTS + 24); store<usize>(team, a7, ARGUMENTS + 28)
  store<usize>(team, a8, ARGUMENTS + 32)
  atomic.add<i32>(team, 1, JOB)
  atomic.notify(team + JOB, count)
}

/** Looks some time for a job after job number `seen`; whether there is one. */
export function findJob(seen: i32): bool {
  if (!ASC_FEATURE_THREADS) return false
  for (let spins = 0; spins < SPINS; spins++) if (atomic.load<i32>(team, JOB) != seen) return true
  return false
}

/** What the job is. */
@inline export function jobKind(): i32 {
  return load<i32>(team, WHAT)
}

/** Argument i of the job. */
@inline export function jobArgument(i: usize): usize {
  return load<usize>(team + ARGUMENTS + (i << 2))
}

/** Tells the other threads to end. */
export function dismissTeam(): void {
  giveJob(JOB_STOP, TOGETHER_FLOPS, 0, 0, 0, 0, 0, 0, 0, 0)
}
