/**
 * What a run tells people: one Report holds the settings and one SchemeReport for each scheme that was compared.
 * `report.json` is this type as JSON; the page and the end table are drawn from it and from nothing else.
 * Only measured or planned numbers are stored; sums and maxima are derived here.
 */
import type { DeviceReport, ServerReport } from '../federation/account.ts'
import type { Span } from '../split/stats.ts'

/**
 * One scheme's run. Accuracies and F1 are fractions of 1; `timeline` is one round; `majorityAccuracy` is the score of
 * always answering the commonest label.
 */
export type SchemeReport = {
  scheme: string
  scheduler: string
  rounds: number
  accuracyBefore: number
  accuracyAfter: number
  macroF1After: number
  lossAfter: number
  majorityAccuracy: number
  devices: readonly DeviceReport[]
  server: ServerReport
  wallMs: number
  losses: readonly { round: number; client: number; loss: number }[]
  evaluations: readonly { round: number; accuracy: number; loss: number }[]
  timeline: readonly Span[]
}

/** A whole run: the settings that all schemes share, then the schemes in the order they ran. */
export type Report = {
  kerf: string
  command: string
  seed: number
  model: {
    name: string
    layers: number
    hiddenSize: number
    heads: number
    intermediateSize: number
    vocabSize: number
    parameters: number
  }
  labels: readonly string[]
  adapter: { rank: number; alpha: number; targets: readonly string[] }
  batch: number
  learningRate: number
  interval: number
  host: string
  /** Fields of devices that are their own word; as are a timeline's spans of devices, and losses where they hold the whole model. */
  toldByDevices: readonly string[]
  schemes: readonly SchemeReport[]
}

/** What a scheme adds up to. All are sums over devices but `deviceMemoryBytesMax`; all are 0 without devices. */
export type Totals = {
  deviceMemoryBytesMax: number
  samples: number
  upBytes: number
  downBytes: number
  deviceComputeMs: number
  deviceWaitMs: number
  /** Devices and server together. */
  computeMs: number
  waitMs: number
  steps: number
  drops: number
}

/** Adds up one scheme's devices and server. */
export function totalScheme(scheme: SchemeReport): Totals {
  /** Of what is known. */
  const known = (value: number) => (Number.isFinite(value) ? value : 0)
  const sum = (value: (device: DeviceReport) => number) => scheme.devices.reduce((total, device) => total + known(value(device)), 0)
  const deviceComputeMs = sum((device) => device.computeMs)
  const deviceWaitMs = sum((device) => device.waitMs)
  return {
    deviceMemoryBytesMax: scheme.devices.reduce((largest, device) => Math.max(largest, known(device.memoryBytes)), 0),
    samples: sum((device) => device.samples),
    upBytes: sum((device) => device.upBytes),
    downBytes: sum((device) => device.downBytes),
    deviceComputeMs,
    deviceWaitMs,
    computeMs: deviceComputeMs + scheme.server.computeMs,
    waitMs: deviceWaitMs + scheme.server.waitMs,
    steps: sum((device) => device.steps),
    drops: sum((device) => device.drops),
  }
}

/**
 * A distinct name for each scheme, in order: `kerf`; `kerf/fifo` where the scheme ran under several schedulers;
 * `kerf/fifo#2` where it ran so twice.
 */
export function nameSchemes(schemes: readonly SchemeReport[]): string[] {
  const names = schemes.map(({ scheme, scheduler }) => {
    const alone = schemes.filter((other) => other.scheme === scheme).length === 1
    return alone || scheduler === '' ? scheme : `${scheme}/${scheduler}`
  })
  return names.map((name, index) => {
    const earlier = names.slice(0, index).filter((other) => other === name).length
    return earlier === 0 ? name : `${name}#${earlier + 1}`
  })
}
