/** Wakes whoever waits when something may have changed. */
export type Signal = { notify(): void; wait(): Promise<void> }

export function createSignal(): Signal {
  let resolve: (() => void) | undefined
  let promise: Promise<void> | undefined
  return {
    notify() {
      resolve?.()
      resolve = promise = undefined
    },
    wait() {
      promise ??= new Promise((done) => { resolve = done })
      return promise
    },
  }
}
