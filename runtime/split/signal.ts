/** Wakes the one who waits when something may have changed; a notice that finds nobody waiting is kept for the next wait. */
import type { Clock } from '../host/clock.ts'

export type Signal = {
  notify(): void
  /** Until a notice, and for `ms` at most. */
  wait(ms: number): Promise<void>
}

export function createSignal(clock: Clock): Signal {
  let raised = false
  let wake: (() => void) | undefined
  const notify = () => {
    raised = true
    wake?.()
  }
  return {
    notify,
    async wait(ms) {
      if (!raised) {
        const cancel = clock.after(ms, notify)
        await new Promise<void>((resolve) => { wake = resolve })
        cancel()
      }
      raised = false
      wake = undefined
    },
  }
}
