/** A host whose time stands still until a test moves it, so that no device is late by accident. */
import type { Clock } from '../../runtime/host/clock.ts'

export type TestClock = Clock & {
  /** Moves time on and calls what falls due. */
  advance(ms: number): void
  /** Timers that are set now. */
  readonly pending: number
}

export function createTestClock(): TestClock {
  let now = 0
  const timers = new Set<{ at: number; done: () => void }>()
  return {
    now: () => now,
    turn: () => new Promise((resolve) => { setImmediate(resolve) }),
    after(ms, done) {
      const timer = { at: now + ms, done }
      timers.add(timer)
      return () => { timers.delete(timer) }
    },
    get pending() {
      return timers.size
    },
    advance(ms) {
      now += ms
      for (const timer of [...timers].filter(({ at }) => at <= now)) {
        timers.delete(timer)
        timer.done()
      }
    },
  }
}
