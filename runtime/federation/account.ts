/** What a run has cost each of its parties: measured or planned numbers, never sums. */

/**
 * One device of one scheme. `labelCounts` follow the order of the run's labels. What TOLD_BY_DEVICES names is the device's own
 * word, NaN where it can't be (claims.ts); the rest the server has counted.
 */
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

/** Also the losses of devices with the whole model, and the spans of a timeline whose party is a device. */
export const TOLD_BY_DEVICES = ['samples', 'labelCounts', 'memoryBytes', 'computeMs', 'waitMs'] as const satisfies readonly (keyof DeviceReport)[]

/** The server of one scheme. `modelBytes` and `setBytes` (adapters, heads and moments of all devices) are parts of `memoryBytes`. */
export type ServerReport = {
  memoryBytes: number
  modelBytes: number
  setBytes: number
  computeMs: number
  waitMs: number
}
