/**
 * `kerf/server`: an edge server, which computes the blocks above the cuts for all devices of a run, and averages their adapters.
 * No files, no command line: links come in through `attend`, checkpoints go out through `save`, the result is bytes.
 */
import { expectSameBits, testKernel } from '../cases/selftest.ts'
import { refuse } from '../error.ts'
import type { Clock } from '../host/clock.ts'
import type { Link } from '../host/network.ts'
import { createChecksum } from '../kernel/checksum.ts'
import type { Kernel } from '../kernel/load.ts'
import type { DeviceReport, ServerReport } from '../federation/account.ts'
import type { AggregateName } from '../federation/aggregate.ts'
import { AGGREGATE_DEFAULT } from '../federation/aggregate.ts'
import { CLIP_DEFAULT } from '../federation/clip.ts'
import type { Run } from '../federation/run.ts'
import { startRun } from '../federation/run.ts'
import { activationMax } from '../model/bound.ts'
import { initialVector } from '../model/initial.ts'
import type { Layout } from '../model/layout.ts'
import { joinVector, layoutOf, splitVector } from '../model/layout.ts'
import type { AdapterConfig } from '../model/peft.ts'
import { decodeAdapter, encodeAdapter, formatAdapterConfig } from '../model/peft.ts'
import type { StageOptions } from '../model/plan.ts'
import type { Contract } from '../split/contract.ts'
import { optimizerOf, parseContract } from '../split/contract.ts'
import { openStageHalf } from '../split/half.stage.ts'
import type { RateSchedule } from '../split/rate.ts'
import type { SchedulerName } from '../split/schedule.ts'
import { SCHEDULER_DEFAULT, SCHEDULER_STATIC } from '../split/schedule.ts'
import type { SchemeName } from '../split/scheme.ts'
import { SCHEME_DEFAULT, clientCuts, schemeOf } from '../split/scheme.ts'
import type { Admission } from '../split/server/admission.ts'
import { PATIENCE_DEFAULT } from '../split/server/pace.ts'
import type { Span } from '../split/stats.ts'
import type { Codec } from '../wire/codec.ts'
import type { Model } from './model.ts'

export { KerfError } from '../error.ts'
export { loadKernel } from './kernel.ts'
export type { Kernel, KernelBuild, KernelExports, KernelSettings, KernelSource, StartThread, ThreadJob, Tile } from './kernel.ts'
export { openModel } from './model.ts'
export type { CheckedWeights, LinearKey, Model, ModelConfig, WeightDtype, WeightTensor, Weights } from './model.ts'
export { createInbox, createLinkPair } from '../split/link.ts'
export type { Inbox } from '../split/link.ts'
/** FedAvg and its kin over vectors of one length. */
export { AGGREGATES, openAggregate } from '../federation/aggregate.ts'
export type { AggregateName } from '../federation/aggregate.ts'
export type { Average, Contribution } from '../federation/average.ts'
/** Whom a server serves next; beside a set that all devices share, the static order alone. */
export { SCHEDULERS, chooseScheduler } from '../split/schedule.ts'
export type { Candidate, Scheduler, SchedulerName } from '../split/schedule.ts'
export { SCHEME_NAMES } from '../split/scheme.ts'
export type { SchemeName } from '../split/scheme.ts'
export type { Entropy } from '../host/entropy.ts'
export type { ByteSource } from '../host/files.ts'
export type { WeightFormat } from '../kernel/format.ts'
export type { Challenge, Proof } from '../split/proof.ts'
export type { Roll } from '../split/server/admission.ts'
export type { AdapterConfig, Admission, Clock, Codec, Contract, DeviceReport, Link, ServerReport, Span, StageOptions }

/** What a run is; what has no default must be given. */
export type RunSettings = {
  /** Blocks on each device, one number for each: 1 … one less than the model's. */
  cuts: readonly number[]
  /** Names of the labels, in the order of the head's rows. */
  labels: readonly string[]
  adapter: AdapterConfig
  /** Steps of each device in the whole run. */
  steps: number
  /** Texts in a step of a device, and tokens of a text at most. */
  batch: number
  maxLength: number
  /** Rounds between two averages; 10 unless given. */
  interval?: number
  /** Rounds between two checkpoints; 0, the default: none but after each average. */
  checkpointEvery?: number
  /** 1e-3 unless given. */
  learningRate?: number
  /** How the rate goes on; 'constant' unless given. And steps that it rises before; 0 unless given. */
  schedule?: RateSchedule
  warmup?: number
  /** The norm of each block's gradient at most, and of the head's; none unless given. */
  gradientNorm?: number
  /** 0 unless given. */
  weightDecay?: number
  /** Of activations and gradients on the wire; 'f32' unless given. */
  codec?: Codec
  /** One of SCHEME_NAMES; the first unless given. */
  scheme?: SchemeName
  /** Of the first adapters and of the order of texts; 0 unless given. */
  seed?: number
}

export type ServerSettings = {
  kernel: Kernel
  model: Model
  clock: Clock
  run: RunSettings
  /** What adapter_config.json names as its base; nothing unless given. */
  modelName?: string
  /** The adapters to begin with, as PEFT's adapter_model.safetensors; drawn from the seed unless given. */
  adapterModel?: Uint8Array
  /** Whom to serve next; the paper's order unless given. */
  scheduler?: SchedulerName
  /** How the devices' adapters become one set; 'mean', FedAvg, unless given. */
  average?: AggregateName
  /** Times the median norm from which an update is clipped; 3 unless given, 0: never. */
  clip?: number
  /** How long a device may let the server wait, ms; 300,000 unless given. */
  deadlineMs?: number
  /** How long the run waits for all devices to join, ms; 600,000 unless given. */
  joinDeadlineMs?: number
  /** How the server holds its blocks. */
  stage?: StageOptions
  /** Who may join; anybody who gets a link, unless given. */
  admission?: Admission
  /** A checkpoint to go on from, as `save` got it. */
  resume?: Uint8Array
  /** Keeps a checkpoint's bytes; the run goes on when it resolves. */
  save?(checkpoint: Uint8Array, step: number): Promise<void>
  /** The mean loss of a device's batch, in nats. */
  onStep?(client: number, step: number, loss: number): void
  /** What happens to devices, and why others were refused, a line each. */
  onNote?(line: string): void
}

export type ServerResult = {
  /** PEFT's two files: adapter_model.safetensors and adapter_config.json. */
  adapterModel: Uint8Array
  adapterConfig: string
  devices: readonly DeviceReport[]
  server: ServerReport
  /** One round, times in ms from its beginning. */
  timeline: readonly Span[]
  wallMs: number
}

export type Server = {
  contract: Contract
  /** Serves one connection until it ends. Never throws. */
  attend(link: Link): Promise<void>
  /** Ends the run: devices are told, and `result` rejects with `why`. */
  stop(why: Error): void
  /** Rejects with a KerfError: `join-deadline`, `run-alone` (no device is left), `checkpoint-…`. */
  result: Promise<ServerResult>
}

const INTERVAL_DEFAULT = 10
const LEARNING_RATE_DEFAULT = 1e-3
const DEADLINE_MS = 300_000
const JOIN_DEADLINE_MS = 600_000
/** Of what a device's own program may ask; this server gives nobody texts. */
const PARTITION = 'contiguous'

async function makeContract({ config, weights, fingerprint }: Model, run: RunSettings): Promise<Contract> {
  const { scheme = SCHEME_DEFAULT, cuts } = run
  // A server keeps at least one block, where it has a part at all.
  const strange = cuts.findIndex((cut) => !(Number.isInteger(cut) && cut >= 1 && cut < config.layers))
  if (strange >= 0) refuse('run-cuts', `run.cuts[${strange}]`, `a block of 1 … ${config.layers - 1}`, cuts[strange])
  return parseContract(JSON.stringify({
    seed: 0, interval: INTERVAL_DEFAULT, checkpointEvery: 0, weightDecay: 0, learningRate: LEARNING_RATE_DEFAULT, codec: 'f32',
    ...run, scheme, truncate: false, shuffle: true, partition: PARTITION, cuts: clientCuts(scheme, cuts, config.layers),
    fingerprint, weights: await weights.checksumAll(),
  }))
}

function readInitial({ kernel, model: { config }, adapterModel }: ServerSettings, { adapter, labels, seed }: Contract, layout: Layout): Float32Array {
  if (!adapterModel) return initialVector(layout, seed, kernel.exports)
  return joinVector(layout, decodeAdapter(adapterModel, config, adapter, labels.length))
}

/** For each device, what its activations can't exceed; nothing where none travel. */
async function limitActivations({ config, weights }: Model, contract: Contract): Promise<readonly number[] | undefined> {
  return schemeOf(contract).whole ? undefined : Promise.all(contract.cuts.map((cut) => activationMax(config, weights, cut)))
}

/**
 * Opens a run; it waits for its devices, whose links `attend` takes, and its blocks are read and its memory taken when all are
 * there. All computing is in the calling thread. Throws a KerfError: `run-…`, `contract` and its parts' codes for settings that
 * make no run, `kernel-bits` where a strict kernel computes other bits here than it should, the weights' codes, `checkpoint-…` for a
 * checkpoint of another run.
 */
export async function openServer(settings: ServerSettings): Promise<Server> {
  const { model, clock, admission, stage, resume, save = async () => {}, onStep = () => {}, onNote = () => {} } = settings
  const { config, weights } = model
  const kernel = await testKernel(settings.kernel)
  expectSameBits(kernel)
  const contract = await makeContract(model, settings.run)
  const { scheduler = SCHEDULER_DEFAULT } = settings
  if (schemeOf(contract).shared && scheduler !== SCHEDULER_STATIC) {
    refuse('run-scheduler', 'scheduler', `${SCHEDULER_STATIC}: one shared set makes the order part of the result`, scheduler)
  }
  const layout = layoutOf(config, contract.adapter, contract.labels.length, 0, config.layers)
  const opened: { close(): void }[] = []
  const run: Run = startRun({
    contract, config, kernel, clock, crc32c: createChecksum(kernel), run: (contract.seed ^ model.fingerprint) >>> 0, stage, admission, save,
    scheduler, average: settings.average ?? AGGREGATE_DEFAULT, clip: settings.clip ?? CLIP_DEFAULT,
    deadlineMs: settings.deadlineMs ?? DEADLINE_MS, joinDeadlineMs: settings.joinDeadlineMs ?? JOIN_DEADLINE_MS, patience: PATIENCE_DEFAULT,
    samplesMax: contract.steps * contract.batch, activationMax: await limitActivations(model, contract),
    initial: readInitial(settings, contract, layout), resume: resume && { bytes: resume, field: 'checkpoint' },
    async openHalf(spec) {
      const half = await openStageHalf(kernel, spec, weights, optimizerOf(contract), clock.now)
      opened.push(half)
      return half
    },
    on: {
      ready: () => {}, step: onStep, interval: async () => {},
      member: (client, what) => onNote(`device ${client}: ${what}`), stranger: (why) => onNote(`refused: ${why}`),
    },
  })
  let fail: (why: Error) => void
  const stopped = new Promise<never>((_, reject) => { fail = reject })
  const result = Promise.race([run.result, stopped]).then(({ vector, ...measured }): ServerResult => ({
    adapterModel: encodeAdapter(splitVector(layout, vector), config, contract.adapter, contract.labels.length),
    adapterConfig: formatAdapterConfig(contract.adapter, settings.modelName ?? ''), ...measured,
  })).finally(() => { for (const half of opened) half.close() })
  return {
    contract, result, attend: (link) => run.server.attend(link),
    stop(why) {
      run.server.stop(why)
      fail(why)
    },
  }
}
