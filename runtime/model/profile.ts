/**
 * A device profile: what `kerf bench` measured on one device, as JSON that `kerf plan` reads. Rates are in 1e9 flops
 * and 1e9 bytes a second; what the flops and bytes of an operation are, `bench/cost.ts` says.
 */
import { refuse } from '../error.ts'
import type { TileRate } from '../kernel/calibrate.ts'
import type { WeightFormat } from '../kernel/format.ts'
import { WEIGHT_FORMATS } from '../kernel/format.ts'
import { TILES } from '../kernel/load.ts'
import { asObject, parseObject } from '../object.ts'
import { THREADS_MAX } from './plan.ts'
import type { Work } from './work.ts'

export const PROFILE_FORMAT = 'kerf-device-profile'
export const PROFILE_VERSION = 1
const PROFILE_CHARS_MAX = 1 << 20
const ENTRIES_MAX = 4096
const TEXT_CHARS_MAX = 256

/** An operation alone; `gflops` 0 where it has no floating-point arithmetic. */
export type OperationRate = { operation: string; sizes: string; rows: number; ms: number; gflops: number; gbps: number }

/** What the target says of itself; `memoryBytesMax` bounds one linear memory, null where it is not known. */
export type HostInfo = { name: string; version: string; machine: string; memoryBytesMax: number | null }

/** What computed: `threads` whole steps, one thread all else; `dtype` is how frozen weights were held. */
export type KernelInfo = { build: string; bytes: number; tile: TileRate['tile']; threads: number; dtype: WeightFormat }

/** The step that was measured: blocks [0, cut) of a model with LoRA on `targets`. */
export type StepInfo = Record<'cut' | 'batch' | 'length' | 'rank' | 'hiddenSize' | 'intermediateSize' | 'heads' | 'layers', number> & {
  model: string
  targets: readonly string[]
}

/** One size of a step: times, and GFLOP/s over the multiply-adds of `countWork`. */
export type StepTime = Record<'rows' | 'forwardMs' | 'backwardMs' | 'forwardGflops' | 'backwardGflops', number>

/** One operation of the step, run `count` times of `ms`. */
export type PartRate = { phase: 'forward' | 'backward'; operation: string; count: number; ms: number; gflops: number; gbps: number }

export type DeviceProfile = {
  format: typeof PROFILE_FORMAT
  version: typeof PROFILE_VERSION
  kernel: KernelInfo
  host: HostInfo
  /** Of arithmetic in registers alone, one thread. */
  peakGflops: number
  /** The product's inner tiles, the fastest first; none where the build has but one way to multiply. */
  tiles: readonly TileRate[]
  operations: readonly OperationRate[]
  step: StepInfo
  /** By rows, rising; GFLOP/s over the multiply-adds of `countWork`. */
  steps: readonly StepTime[]
  /** The largest of `steps` on one thread, and where its time goes. */
  whole: StepTime
  parts: readonly PartRate[]
}

type Fields = Readonly<Record<string, unknown>>

function readText(fields: Fields, key: string, field: string): string {
  const value = fields[key]
  const fine = typeof value === 'string' && value !== '' && value.length <= TEXT_CHARS_MAX
  return fine ? value : refuse('profile-text', `${field}.${key}`, `text of 1 … ${TEXT_CHARS_MAX} characters`, value)
}

function readNumber(fields: Fields, key: string, field: string, zero = false): number {
  const value = fields[key]
  const fine = typeof value === 'number' && Number.isFinite(value) && (zero ? value >= 0 : value > 0)
  return fine ? value : refuse('profile-number', `${field}.${key}`, zero ? 'a number of at least 0' : 'a number above 0', value)
}

function readCount(fields: Fields, key: string, field: string, min = 1): number {
  const value = fields[key]
  const fine = typeof value === 'number' && Number.isSafeInteger(value) && value >= min
  return fine ? value : refuse('profile-count', `${field}.${key}`, `a whole number of at least ${min}`, value)
}

function readList<T>(fields: Fields, key: string, field: string, min: number, read: (entry: unknown, field: string) => T): T[] {
  const value = fields[key], at = `${field}.${key}`
  if (!Array.isArray(value) || value.length < min || value.length > ENTRIES_MAX) {
    refuse('profile-list', at, `a list of ${min} … ${ENTRIES_MAX} entries`, Array.isArray(value) ? value.length : value)
  }
  return value.map((entry: unknown, index) => read(entry, `${at}[${index}]`))
}

function readChoice<T extends string>(fields: Fields, key: string, field: string, choices: readonly T[]): T {
  return choices.find((choice) => choice === fields[key]) ?? refuse('profile-choice', `${field}.${key}`, choices.join(', '), fields[key])
}

function readKernel(value: unknown, field: string): KernelInfo {
  const fields = asObject(value, field)
  const threads = readCount(fields, 'threads', field)
  return {
    build: readText(fields, 'build', field), bytes: readCount(fields, 'bytes', field), tile: readChoice(fields, 'tile', field, TILES),
    threads: threads <= THREADS_MAX ? threads : refuse('profile-count', `${field}.threads`, `at most ${THREADS_MAX}`, threads),
    dtype: readChoice(fields, 'dtype', field, WEIGHT_FORMATS),
  }
}

function readTile(value: unknown, field: string): TileRate {
  const fields = asObject(value, field)
  return { tile: readChoice(fields, 'tile', field, TILES), gflops: readNumber(fields, 'gflops', field) }
}

function readHost(value: unknown, field: string): HostInfo {
  const fields = asObject(value, field)
  return {
    name: readText(fields, 'name', field), version: readText(fields, 'version', field), machine: readText(fields, 'machine', field),
    memoryBytesMax: fields.memoryBytesMax === null ? null : readCount(fields, 'memoryBytesMax', field),
  }
}

function readOperation(value: unknown, field: string): OperationRate {
  const fields = asObject(value, field)
  return {
    operation: readText(fields, 'operation', field), sizes: readText(fields, 'sizes', field), rows: readCount(fields, 'rows', field, 0),
    ms: readNumber(fields, 'ms', field), gflops: readNumber(fields, 'gflops', field, true), gbps: readNumber(fields, 'gbps', field, true),
  }
}

function readStep(value: unknown, field: string): StepInfo {
  const fields = asObject(value, field)
  const count = (key: Exclude<keyof StepInfo, 'model' | 'targets'>) => readCount(fields, key, field)
  return {
    model: readText(fields, 'model', field), hiddenSize: count('hiddenSize'), intermediateSize: count('intermediateSize'),
    heads: count('heads'), layers: count('layers'), cut: count('cut'), batch: count('batch'), length: count('length'), rank: count('rank'),
    targets: readList(fields, 'targets', field, 1, (target, at) => readText({ target }, 'target', at)),
  }
}

function readStepTime(value: unknown, field: string): StepTime {
  const fields = asObject(value, field)
  const number = (key: keyof StepTime) => readNumber(fields, key, field)
  return {
    rows: readCount(fields, 'rows', field), forwardMs: number('forwardMs'), backwardMs: number('backwardMs'),
    forwardGflops: number('forwardGflops'), backwardGflops: number('backwardGflops'),
  }
}

function readPart(value: unknown, field: string): PartRate {
  const fields = asObject(value, field)
  return {
    phase: readChoice(fields, 'phase', field, ['forward', 'backward']), operation: readText(fields, 'operation', field),
    count: readCount(fields, 'count', field), ms: readNumber(fields, 'ms', field),
    gflops: readNumber(fields, 'gflops', field, true), gbps: readNumber(fields, 'gbps', field, true),
  }
}

/**
 * Reads a profile; refuses, by the name of its field, what is missing, of another type or version, or out of range.
 * Further fields are left out.
 */
export function parseProfile(text: string, field = 'profile'): DeviceProfile {
  const fields = parseObject(text, field, PROFILE_CHARS_MAX)
  if (fields.format !== PROFILE_FORMAT) refuse('profile-format', `${field}.format`, PROFILE_FORMAT, fields.format)
  if (fields.version !== PROFILE_VERSION) refuse('profile-version', `${field}.version`, String(PROFILE_VERSION), fields.version)
  const steps = readList(fields, 'steps', field, 1, readStepTime)
  const stray = steps.findIndex(({ rows }, index) => index > 0 && rows <= steps[index - 1].rows)
  if (stray >= 0) refuse('profile-rows', `${field}.steps[${stray}].rows`, `more than ${steps[stray - 1].rows}`, steps[stray].rows)
  return {
    format: PROFILE_FORMAT, version: PROFILE_VERSION,
    kernel: readKernel(fields.kernel, `${field}.kernel`),
    host: readHost(fields.host, `${field}.host`),
    peakGflops: readNumber(fields, 'peakGflops', field),
    tiles: readList(fields, 'tiles', field, 0, readTile),
    operations: readList(fields, 'operations', field, 0, readOperation),
    step: readStep(fields.step, `${field}.step`),
    steps,
    whole: readStepTime(fields.whole, `${field}.whole`),
    parts: readList(fields, 'parts', field, 0, readPart),
  }
}

export function formatProfile(profile: DeviceProfile): string {
  return `${JSON.stringify(profile, null, 1)}\n`
}

/** GFLOP/s at `rows`: straight lines between the sizes measured, beyond them the nearest one. */
function rateAt(steps: readonly StepTime[], rows: number, key: 'forwardGflops' | 'backwardGflops'): number {
  const above = steps.findIndex((step) => step.rows >= rows)
  if (above < 0) return steps[steps.length - 1][key]
  if (above === 0 || steps[above].rows === rows) return steps[above][key]
  const low = steps[above - 1], high = steps[above]
  return low[key] + ((high[key] - low[key]) * (rows - low.rows)) / (high.rows - low.rows)
}

/** Seconds of a step's halves of `work` multiply-adds over `rows` rows on the device that the profile is of. */
export function estimateSeconds({ steps }: Pick<DeviceProfile, 'steps'>, work: Work, rows: number): Record<keyof Work, number> {
  const seconds = (multiplyAdds: number, gflops: number) => (2 * multiplyAdds) / (gflops * 1e9)
  return {
    forward: seconds(work.forward, rateAt(steps, rows, 'forwardGflops')),
    backward: seconds(work.backward, rateAt(steps, rows, 'backwardGflops')),
  }
}
