/** Node's clock: one for all threads and processes of a machine. */
import { performance } from 'node:perf_hooks'
import type { Clock } from '../../runtime/host/clock.ts'

export const clock: Clock = {
  now: () => performance.timeOrigin + performance.now(),
  // Twice: the first may come before anything is read of what has arrived while this thread computed.
  turn: () => new Promise((resolve) => { setImmediate(() => setImmediate(resolve)) }),
  after(ms, done) {
    const timer = setTimeout(done, Math.min(ms, 2 ** 31 - 1))
    return () => clearTimeout(timer)
  },
}
