/**
 * What a run declares to every party before the first step, and how frames carry it.
 * The server sends it in its welcome; a device checks it against its own model.
 */
import { checkLabels } from '../data/labels.ts'
import { parsePartition } from '../data/partition.ts'
import { refuse } from '../error.ts'
import type { ModelConfig } from '../model/config.ts'
import { findOther } from '../model/fingerprint.ts'
import type { Layout } from '../model/layout.ts'
import { layoutOf } from '../model/layout.ts'
import { expandTargets } from '../model/names.ts'
import type { Optimizer } from '../model/optimizer.ts'
import { ADAMW } from '../model/optimizer.ts'
import type { AdapterConfig } from '../model/peft.ts'
import { checkAlpha, checkRank } from '../model/peft.ts'
import type { Codec } from '../wire/codec.ts'
import { parseCodec, tensorExpectation } from '../wire/codec.ts'
import type { TensorExpectation } from '../wire/expectation.ts'
import { DTYPE_BYTES } from '../wire/safetensors.ts'
import type { RateSchedule } from './rate.ts'
import { RATE_SCHEDULES } from './rate.ts'
import type { SchemeName } from './scheme.ts'
import { SCHEME_NAMES } from './scheme.ts'

export type Contract = {
  scheme: SchemeName
  seed: number
  /** Steps of each device in the whole run. */
  steps: number
  /** I: rounds between two aggregations. */
  interval: number
  /** Rounds between two uploads of a device's state; 0: never. */
  checkpointEvery: number
  batch: number
  maxLength: number
  truncate: boolean
  shuffle: boolean
  learningRate: number
  /** How the rate goes on from there (rate.ts), and steps that it rises before; `constant` and 0 unless told. */
  schedule?: RateSchedule
  warmup?: number
  /** The norm of each block's gradient, and of the head's, at most; none unless told. */
  gradientNorm?: number
  weightDecay: number
  codec: Codec
  adapter: AdapterConfig
  labels: readonly string[]
  /** First block of the server, for each client; the model's blocks where devices run all of it. */
  cuts: readonly number[]
  partition: string
  /** Of the base model's configuration, labels included, so that a device with another model is told so. */
  fingerprint: number
  /** Of how texts become tokens, and of the weights: embeddings, each block, pooler. A device compares what it reads. */
  tokenizer?: number
  weights?: readonly number[]
}

/** Characters of a device's name. */
export const NAME_CHARS_MAX = 128

export const U32_MAX = 0xffffffff
/** Whole numbers and their least values. What a frame's number, a seed or a checksum can't be is refused. */
const INTEGERS = { seed: 0, steps: 1, interval: 1, checkpointEvery: 0, batch: 1, maxLength: 1, fingerprint: 0 } as const
const SWITCHES = ['truncate', 'shuffle'] as const

type Fields = Readonly<Record<string, unknown>>

function checkInteger(value: unknown, field: string, min: number): void {
  const fits = typeof value === 'number' && Number.isInteger(value) && value >= min && value <= U32_MAX
  if (!fits) refuse('contract', field, `a whole number of ${min} … ${U32_MAX}`, value)
}

function checkRate(value: unknown, field: string, fits: (rate: number) => boolean): void {
  if (typeof value !== 'number' || !Number.isFinite(value) || !fits(value)) refuse('contract', field, 'a finite rate, not below 0', value)
}

function asList(value: unknown, field: string): readonly unknown[] {
  return Array.isArray(value) && value.length > 0 ? value : refuse('contract', field, 'a list that is not empty', value)
}

function asText(value: unknown, field: string): string {
  return typeof value === 'string' ? value : refuse('contract', field, 'text', value)
}

function readAdapter(value: unknown): AdapterConfig {
  if (typeof value !== 'object' || value === null) return refuse('contract', 'contract.adapter', 'rank, alpha and targets', value)
  const { rank, alpha, targets } = value as Fields
  const names = asList(targets, 'contract.adapter.targets').map((target) => asText(target, 'contract.adapter.targets'))
  return {
    rank: checkRank(rank, 'contract.adapter.rank'), alpha: checkAlpha(alpha, 'contract.adapter.alpha'),
    targets: expandTargets(names, 'contract.adapter.targets'),
  }
}

/**
 * The contract as a device reads it from a welcome, every field of it checked: whoever sent it may be anybody. Refuses `contract`
 * for what isn't one, `codec-name` for a codec that the device lacks, and the codes of adapters, labels and partitions.
 */
export function parseContract(text: string): Contract {
  const value = parseObject<Contract>(text, 'contract', 'welcome.contract')
  const fields: Fields = { ...value }
  for (const [name, min] of Object.entries(INTEGERS)) checkInteger(fields[name], `contract.${name}`, min)
  for (const name of SWITCHES) if (typeof fields[name] !== 'boolean') refuse('contract', `contract.${name}`, 'true or false', fields[name])
  checkRate(fields.learningRate, 'contract.learningRate', (rate) => rate > 0)
  checkRate(fields.weightDecay, 'contract.weightDecay', (rate) => rate >= 0)
  if (fields.schedule !== undefined && !RATE_SCHEDULES.includes(value.schedule!)) {
    refuse('contract', 'contract.schedule', RATE_SCHEDULES.join(', '), value.schedule)
  }
  if (fields.warmup !== undefined) {
    checkInteger(fields.warmup, 'contract.warmup', 0)
    if (value.warmup! >= value.steps) refuse('contract', 'contract.warmup', `less than the ${value.steps} steps`, value.warmup)
  }
  if (fields.gradientNorm !== undefined) checkRate(fields.gradientNorm, 'contract.gradientNorm', (norm) => norm > 0)
  if (!SCHEME_NAMES.includes(value.scheme)) refuse('contract', 'contract.scheme', SCHEME_NAMES.join(', '), value.scheme)
  parseCodec(value.codec, 'contract.codec')
  parsePartition(asText(fields.partition, 'contract.partition'), 'contract.partition')
  checkLabels(asList(fields.labels, 'contract.labels'), 'contract.labels')
  asList(fields.cuts, 'contract.cuts').forEach((cut, client) => checkInteger(cut, `contract.cuts.${client}`, 1))
  if (fields.tokenizer !== undefined) checkInteger(fields.tokenizer, 'contract.tokenizer', 0)
  if (fields.weights !== undefined) {
    asList(fields.weights, 'contract.weights').forEach((checksum, part) => checkInteger(checksum, `contract.weights.${part}`, 0))
  }
  return { ...value, adapter: readAdapter(fields.adapter) }
}

/** What a device stands on itself; null for weights that it has not read. */
export type OwnBase = { fingerprint: number; tokenizer?: number; weights?: readonly (number | null)[] }

/** Refuses `device-model` where a device's model, tokenizer or weights are not the server's. */
export function expectSameBase(contract: Contract, { fingerprint, tokenizer, weights }: OwnBase): void {
  const same = (field: string, wanted: unknown, own: unknown) => {
    if (wanted !== own) refuse('device-model', field, `the server's ${wanted}`, own)
  }
  same('model.fingerprint', contract.fingerprint, fingerprint)
  if (contract.tokenizer !== undefined && tokenizer !== undefined) same('model.tokenizer', contract.tokenizer, tokenizer)
  const other = contract.weights && weights ? findOther(weights, contract.weights) : null
  if (other) same(`model.${other.part}`, other.given, other.own)
}

/** Text that must be a JSON object; refuses `code` by `field`. */
export function parseObject<T extends object>(text: string, code: string, field: string): T {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    refuse(code, field, 'JSON', text)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) refuse(code, field, 'a JSON object', text)
  return value as T
}

/** What both halves learn by. */
export function optimizerOf(
  { learningRate, weightDecay, gradientNorm = Infinity }: Pick<Contract, 'learningRate' | 'weightDecay' | 'gradientNorm'>,
): Optimizer {
  return { ...ADAMW, learningRate, weightDecay, gradientNorm }
}

/** The part of the adapters that a device with `cut` blocks holds. */
export function deviceLayout(config: ModelConfig, { adapter, labels }: Pick<Contract, 'adapter' | 'labels'>, cut: number): Layout {
  return layoutOf(config, adapter, labels.length, 0, cut)
}

/** The adapter frame: each tensor of a layout by name. */
export function adapterExpectation(layout: Layout): TensorExpectation[] {
  return layout.entries.map(({ name, shape }) => ({ name, dtypes: ['F32'], shape, finite: true }))
}

/** The state frame: an adapter with its moments. */
export function stateExpectation(layout: Layout): TensorExpectation[] {
  return STATE_PARTS.flatMap((part) => layout.entries.map(({ name, shape }): TensorExpectation =>
    ({ name: part + name, dtypes: ['F32'], shape, finite: true })))
}

/** Prefixes of a state's tensors: parameters, first and second moments. */
export const STATE_PARTS = ['', 'm.', 'v.'] as const

/** The activation frame: activation [N, C], offsets [S + 1], labels [S], of N rows and S sequences at most. */
export function activationExpectation(
  contract: Contract, { rows, sequences }: { rows: number; sequences: number }, width: number,
): TensorExpectation[] {
  return [
    ...tensorExpectation(contract.codec, 'activation', rows, width),
    { name: 'offsets', dtypes: ['I32'], shape: [{ max: sequences + 1 }], finite: false },
    { name: 'labels', dtypes: ['I32'], shape: [{ max: sequences }], finite: false },
  ]
}

/** The gradient frame: the gradient of the activation [N, C]. */
export function gradientExpectation(contract: Contract, rows: number, width: number): TensorExpectation[] {
  return tensorExpectation(contract.codec, 'gradient', rows, width)
}

const HEADER_BYTES = 4096
const ENTRY_BYTES = 512

/** The largest body that the expected tensors can make, header included. */
export function bodyBytesMax(tensors: readonly TensorExpectation[]): number {
  return tensors.reduce((sum, { dtypes, shape }) => {
    const count = shape.reduce((product: number, size) => product * (typeof size === 'number' ? size : size.max), 1)
    return sum + ENTRY_BYTES + count * Math.max(...dtypes.map((dtype) => DTYPE_BYTES[dtype]))
  }, HEADER_BYTES)
}
