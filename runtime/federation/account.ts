/** What a run has cost each of its parties: measured or planned numbers, never sums. */

/** One device of one scheme. `memoryBytes` is the plan's; `labelCounts` follow the order of the run's labels. */
export type DeviceReport = {
  client: number
  cut: number
  samples: number
  labelCounts: readonly number[]
  memoryBytes: number
  upBytes: number
  downBytes: number
  computeMs: number
  waitMs: number
  steps: number
  drops: number
}

/** The server of one scheme. `modelBytes` and `setBytes` (adapters, heads and moments of all devices) are parts of `memoryBytes`. */
export type ServerReport = {
  memoryBytes: number
  modelBytes: number
  setBytes: number
  computeMs: number
  waitMs: number
}
