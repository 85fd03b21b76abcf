/** What a run of `kerf train` or `kerf serve` is told: its flags, and what they name, read and checked. */
import { existsSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { refuse } from '../../runtime/error.ts'
import { openEvaluator } from '../../runtime/model/evaluate.ts'
import { initialVector } from '../../runtime/model/initial.ts'
import { parsePartition } from '../../runtime/data/partition.ts'
import type { Scores } from '../../runtime/model/scores.ts'
import { createChecksum } from '../../runtime/kernel/checksum.ts'
import type { Kernel } from '../../runtime/kernel/load.ts'
import type { TokenizedDataset } from '../../runtime/data/dataset.ts'
import type { Layout } from '../../runtime/model/layout.ts'
import type { StageOptions } from '../../runtime/model/plan.ts'
import { layoutOf } from '../../runtime/model/layout.ts'
import type { AdapterConfig } from '../../runtime/model/peft.ts'
import type { Contract } from '../../runtime/split/contract.ts'
import type { SchemeName } from '../../runtime/split/scheme.ts'
import { clientCuts, schemeOf, stepsPerRound } from '../../runtime/split/scheme.ts'
import { longestOf } from '../../runtime/data/sampler.ts'
import { SCHEDULERS, SCHEDULER_DEFAULT, SCHEDULER_STATIC } from '../../runtime/split/schedule.ts'
import type { SchedulerName } from '../../runtime/split/schedule.ts'
import { CODECS } from '../../runtime/wire/codec.ts'
import type { Crc32c } from '../../runtime/wire/frame.ts'
import type { FlagTable, Flags } from './flags.ts'
import { LENGTH_FLAGS, MODEL_FLAGS } from './flags.ts'
import { clock } from './host.ts'
import { KERNEL_FLAGS, RECOMPUTE_FLAG, STAGE_FLAGS, openNodeKernel, readMemory } from './kernel.ts'
import { chooseLabels } from './labels.ts'
import type { Model } from './model.ts'
import { bundledData, modelDirectory, openModel, openTokenizer, readAdapter, readClassifier, readDataset, readTokens } from './model.ts'
import { readCuts, readLora } from './options.ts'

export const RUN_FLAGS: FlagTable = {
  ...MODEL_FLAGS,
  ...KERNEL_FLAGS,
  ...STAGE_FLAGS,
  ...RECOMPUTE_FLAG,
  data: { type: 'string', value: 'FILE', help: 'training data; without it the bundled sentences' },
  val: { type: 'string', value: 'FILE', help: 'data to measure on; without it the bundled test sentences' },
  labels: { type: 'string', value: 'A,B,C', help: 'label order, where the model names none' },
  clients: { type: 'string', value: 'N', default: '6', help: 'devices' },
  cuts: { type: 'string', value: 'K,K,…', default: '1,1,2,2,3,3', help: 'blocks on each device; fewer values repeat' },
  partition: { type: 'string', value: 'HOW', default: 'dirichlet:0.5', help: 'contiguous, iid or dirichlet:ALPHA' },
  scheduler: { type: 'string', value: 'NAME', default: SCHEDULER_DEFAULT, help: SCHEDULERS.join(', ') },
  rank: { type: 'string', value: 'R', default: '8', help: "LoRA's rank" },
  alpha: { type: 'string', value: 'A', help: "LoRA's alpha; 2·rank unless given" },
  targets: { type: 'string', value: 'A,B', default: 'query,value', help: 'linear layers with adapters, or all' },
  batch: { type: 'string', value: 'B', default: '16', help: 'samples of one step' },
  lr: { type: 'string', value: 'RATE', default: '1e-3', help: 'learning rate' },
  'weight-decay': { type: 'string', value: 'RATE', default: '0', help: "AdamW's weight decay" },
  ...LENGTH_FLAGS,
  interval: { type: 'string', value: 'I', default: '10', help: 'rounds between two aggregations' },
  steps: { type: 'string', value: 'N', help: 'steps of each device' },
  epochs: { type: 'string', value: 'E', default: '4', help: 'passes over all data, where no steps are given' },
  codec: { type: 'string', value: 'NAME', default: 'f32', help: `activations and gradients on the wire: ${CODECS.join(', ')}` },
  seed: { type: 'string', value: 'N', default: '1', help: 'seed of everything random' },
  'no-shuffle': { type: 'boolean', default: false, help: "take each share's order instead of a shuffle" },
  adapter: { type: 'string', value: 'DIR', help: 'PEFT directory to go on from; rank, alpha and targets come from it' },
  'eval-every': { type: 'string', value: 'ROUNDS', help: 'measure on --val at the first aggregation after so many rounds (an eighth of the run)' },
  'checkpoint-every': { type: 'string', value: 'ROUNDS', help: 'rounds between checkpoints' },
  'deadline-seconds': { type: 'string', value: 'S', default: '30', help: 'silence after which a device is left out' },
  out: { type: 'string', value: 'DIR', default: 'out', help: 'adapter, metrics, report and checkpoint' },
  resume: { type: 'boolean', default: false, help: 'go on from the checkpoint in --out' },
  json: { type: 'boolean', default: false, help: 'print the report as JSON' },
}

export type Measured = Pick<Scores, 'accuracy' | 'loss' | 'macroF1'>

/** Everything that a run's schemes share. */
export type Setting = {
  flags: Flags
  /** What computes, and what the host could not give. */
  kernelLines: readonly string[]
  kernel: Kernel
  /** How this process's stages are held and computed. */
  stage: StageOptions
  /** What the memory of a device of this process may be at most. */
  memoryBytes: number | undefined
  crc32c: Crc32c
  model: Model
  labels: readonly string[]
  train: TokenizedDataset
  validation: TokenizedDataset
  adapter: AdapterConfig
  layout: Layout
  initial: Float32Array
  scheduler: SchedulerName
  /** Measures a full set on the validation data. */
  evaluate(vector: Float32Array): Promise<Measured>
  /** As `evaluate`, of `initial`: computed once for all schemes. */
  evaluateInitial(): Promise<Measured>
}

/** Refuses a place where no directory can be, before any work is done for it. */
function checkOut(out: string): void {
  for (let at = resolve(out); ; at = dirname(at)) {
    if (!existsSync(at)) continue
    if (!statSync(at).isDirectory()) refuse('out-kind', '--out', 'a directory', `${at}, a file`)
    return
  }
}

/** The full set that training begins with. */
async function readInitial(flags: Flags, kernel: Kernel, model: Model, layout: Layout, adapter: AdapterConfig, labels: number): Promise<Float32Array> {
  if (flags.has('adapter')) return readAdapter(flags.text('adapter'), model.config, adapter, layout, labels)
  const vector = initialVector(layout, flags.integer('seed', 0), kernel.exports)
  const classifier = await readClassifier(model, labels)
  for (const { name, offset } of layout.entries) if (classifier?.has(name)) vector.set(classifier.get(name)!, offset)
  return vector
}

/** Reads everything that a run needs, refusing what is wrong before any work is done. */
export async function openSetting(flags: Flags): Promise<Setting> {
  const opened = await openNodeKernel(flags)
  const { kernel, stage } = opened
  const crc32c = createChecksum(kernel)
  const scheduler = flags.choice('scheduler', SCHEDULERS)
  const memoryBytes = readMemory(flags)
  checkOut(flags.text('out'))
  const adapter = readLora(flags)
  const model = await openModel(modelDirectory(flags.optional('model')), crc32c)
  const own = flags.has('data')
  const files = { train: own ? flags.text('data') : bundledData().train, validation: flags.optional('val') ?? (own ? undefined : bundledData().validation) }
  const labels = chooseLabels(flags, model, flags.optional('adapter')) ?? readDataset(files.train).labelNames
  const maxLength = readMaxLength(flags, model)
  const tokenizer = openTokenizer(model)
  const read = (file: string) => readTokens(file, tokenizer, labels, maxLength, flags.on('truncate'))
  const train = read(files.train)
  const validation = files.validation === undefined ? { sequences: [], labels: new Int32Array(0) } : read(files.validation)
  const layout = layoutOf(model.config, adapter, labels.length, 0, model.config.layers)
  const initial = await readInitial(flags, kernel, model, layout, adapter, labels.length)
  const evaluator = await openEvaluator(kernel, model.config, model.weights, adapter, labels.length, longestOf(validation), { ...stage, turn: clock.turn })
  const evaluate = (vector: Float32Array) => evaluator.run(validation, vector)
  let first: Promise<Measured> | undefined
  const evaluateInitial = () => (first ??= evaluate(initial))
  return {
    flags, kernelLines: opened.lines, kernel, stage, memoryBytes, crc32c, model, labels, train, validation, adapter, layout, initial, scheduler,
    evaluate, evaluateInitial,
  }
}

/** Tokens of one text: `--max-length`, or fewer where the model has fewer positions. */
export function readMaxLength(flags: Flags, model: Pick<Model, 'config'>): number {
  return Math.min(flags.integer('max-length', 3, 8192), model.config.positionsMax)
}

/** The contract of one scheme. `central` holds all data in one client and takes as many samples as all devices together. */
export function makeContract({ flags, model, labels, train, adapter, scheduler }: Setting, scheme: SchemeName, checkpointEvery: number): Contract {
  const devices = flags.integer('clients', 1, 4096)
  const layers = model.config.layers
  const cuts = readCuts(flags, devices, layers)
  const batch = flags.integer('batch', 1, 4096)
  const samples = () => flags.number('epochs', 0) * train.sequences.length
  const perDevice = flags.has('steps') ? flags.integer('steps', 1) : Math.ceil(samples() / (devices * batch))
  if (schemeOf({ scheme }).shared && scheduler !== SCHEDULER_STATIC) {
    refuse('flag-scheduler', '--scheduler', `${SCHEDULER_STATIC}: one shared server set makes the order part of the result`, scheduler)
  }
  const together = stepsPerRound(scheme, devices)
  const interval = flags.integer('interval', 1) * together
  parsePartition(flags.text('partition'), '--partition')
  return {
    scheme, seed: flags.integer('seed', 0), steps: perDevice * together, interval,
    checkpointEvery, batch, maxLength: readMaxLength(flags, model), truncate: flags.on('truncate'), shuffle: !flags.on('no-shuffle'),
    learningRate: flags.number('lr', 0), weightDecay: flags.number('weight-decay', 0, true), codec: flags.choice('codec', CODECS),
    adapter, labels, cuts: clientCuts(scheme, cuts, layers),
    partition: flags.text('partition'), fingerprint: model.fingerprint,
  }
}
