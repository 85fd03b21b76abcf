/** Time, as a host gives it: a clock, timers and a turn of its event loop. A simulation gives a virtual one. */
export type Clock = {
  /** Milliseconds from one start for all parties of a machine; for accounts only, never for results. */
  now(): number
  /** Lets messages that have arrived be taken in. */
  turn(): Promise<void>
  /** Calls `done` after `ms` unless the returned function is called first. */
  after(ms: number, done: () => void): () => void
}
