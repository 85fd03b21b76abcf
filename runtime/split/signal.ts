/** Wakes the one who waits when something may have changed; a notice that finds nobody waiting is kept for the next wait. */
export type Signal = { notify(): void; wait(): Promise<void> }

export function createSignal(): Signal {
  let raised = false
  let wake: (() => void) | undefined
  return {
    notify() {
      raised = true
      wake?.()
    },
    async wait() {
      if (!raised) await new Promise<void>((resolve) => { wake = resolve })
      raised = false
      wake = undefined
    },
  }
}
