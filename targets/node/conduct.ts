/**
 * A run of `kerf train` or `kerf serve` from its flags to its files: what is common to
 * both transports. The transport comes in as `connect`.
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import * as Comlink from 'comlink'
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs'
import { refuse } from '../../runtime/error.ts'
import { openEvaluator } from '../../runtime/federation/evaluate.ts'
import { initialVector } from '../../runtime/federation/initial.ts'
import { parsePartition } from '../../runtime/federation/partition.ts'
import type { SchemeReport } from '../../runtime/federation/report.ts'
import type { Run } from '../../runtime/federation/run.ts'
import { startRun } from '../../runtime/federation/run.ts'
import { createChecksum } from '../../runtime/kernel/checksum.ts'
import type { Kernel, KernelBuild } from '../../runtime/kernel/load.ts'
import type { TokenizedDataset } from '../../runtime/model/dataset.ts'
import type { Layout } from '../../runtime/model/layout.ts'
import { layoutOf } from '../../runtime/model/layout.ts'
import { expandTargets } from '../../runtime/model/names.ts'
import type { AdapterConfig } from '../../runtime/model/peft.ts'
import { checkAlpha, checkRank } from '../../runtime/model/peft.ts'
import type { StageSpec } from '../../runtime/model/plan.ts'
import { ADAMW } from '../../runtime/model/stage.ts'
import type { Contract, Scheme } from '../../runtime/split/contract.ts'
import { isWhole } from '../../runtime/split/contract.ts'
import type { Executor } from '../../runtime/split/executor.ts'
import { openExecutor } from '../../runtime/split/executor.ts'
import { SCHEDULERS } from '../../runtime/split/schedule.ts'
import type { SchedulerName } from '../../runtime/split/schedule.ts'
import { CODECS } from '../../runtime/wire/codec.ts'
import type { Crc32c } from '../../runtime/wire/frame.ts'
import type { FlagTable, Flags } from './flags.ts'
import { BUILDS, LENGTH_FLAGS, MODEL_FLAGS } from './flags.ts'
import { findAsset, host, loadNodeKernel, readBytes, saveAtomic } from './host.ts'
import type { Model } from './model.ts'
import { bundledData, modelDirectory, openModel, openTokenizer, readAdapter, readAdapterConfig, readClassifier, readDataset, writeAdapter } from './model.ts'
import { tokenizeDataset } from '../../runtime/model/dataset.ts'
import { createProgress } from './progress.ts'
import type { WorkerControl } from './worker.ts'

export const RUN_FLAGS: FlagTable = {
  ...MODEL_FLAGS,
  data: { type: 'string', value: 'FILE', help: 'training data; without it the bundled sentences' },
  val: { type: 'string', value: 'FILE', help: 'data to measure on; without it the bundled test sentences' },
  labels: { type: 'string', value: 'A,B,C', help: 'label order, where the model names none' },
  clients: { type: 'string', value: 'N', default: '6', help: 'devices' },
  cuts: { type: 'string', value: 'K,K,…', default: '1,1,2,2,3,3', help: 'blocks on each device; fewer values repeat' },
  partition: { type: 'string', value: 'HOW', default: 'dirichlet:0.5', help: 'contiguous, iid or dirichlet:ALPHA' },
  scheduler: { type: 'string', value: 'NAME', default: 'longest-backward', help: SCHEDULERS.join(', ') },
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

/** Everything that a run's schemes share. */
export type Setting = {
  flags: Flags
  kernel: Kernel
  crc32c: Crc32c
  model: Model
  labels: readonly string[]
  train: TokenizedDataset
  validation: TokenizedDataset
  adapter: AdapterConfig
  layout: Layout
  initial: Float32Array
  scheduler: SchedulerName
  evaluate(vector: Float32Array): Promise<{ accuracy: number; loss: number; macroF1: number }>
}

function chooseLabels(flags: Flags, model: Model, dataFile: string): readonly string[] {
  if (flags.has('labels')) return readDataset(dataFile, flags.list('labels')).labelNames
  if (model.config.labels.length > 0) return model.config.labels
  return readDataset(dataFile).labelNames
}

function readAdapterFlags(flags: Flags): AdapterConfig {
  if (flags.has('adapter')) return readAdapterConfig(flags.text('adapter'))
  const rank = checkRank(flags.integer('rank', 1), '--rank')
  const alpha = flags.has('alpha') ? checkAlpha(flags.number('alpha', 0), '--alpha') : 2 * rank
  return { rank, alpha, targets: expandTargets(flags.list('targets'), '--targets') }
}

async function readInitial(flags: Flags, kernel: Kernel, model: Model, layout: Layout, adapter: AdapterConfig, labels: number): Promise<Float32Array> {
  if (flags.has('adapter')) return readAdapter(flags.text('adapter'), model.config, adapter, layout, labels)
  const vector = initialVector(layout, flags.integer('seed', 0), kernel.exports)
  const classifier = await readClassifier(model, labels)
  for (const { name, offset } of layout.entries) if (classifier?.has(name)) vector.set(classifier.get(name)!, offset)
  return vector
}

export async function openSetting(flags: Flags): Promise<Setting> {
  const build: KernelBuild = flags.choice('build', BUILDS)
  const kernel = await loadNodeKernel(build)
  const crc32c = createChecksum(kernel)
  const scheduler = flags.choice('scheduler', SCHEDULERS)
  const adapter = readAdapterFlags(flags)
  const model = await openModel(modelDirectory(flags.optional('model')), crc32c)
  const files = { train: flags.optional('data') ?? bundledData().train, validation: flags.optional('val') ?? (flags.has('data') ? undefined : bundledData().validation) }
  const labels = chooseLabels(flags, model, files.train)
  const maxLength = readMaxLength(flags, model)
  const tokenizer = openTokenizer(model)
  const read = (file: string) => tokenizeDataset(readDataset(file, labels), tokenizer, maxLength, flags.on('truncate'))
  const train = read(files.train)
  const validation = files.validation === undefined ? { sequences: [], labels: new Int32Array(0) } : read(files.validation)
  const layout = layoutOf(model.config, adapter, labels.length, 0, model.config.layers)
  const initial = await readInitial(flags, kernel, model, layout, adapter, labels.length)
  const longest = validation.sequences.reduce((top, { length }) => Math.max(top, length), 1)
  const evaluator = await openEvaluator(kernel, model.config, model.weights, adapter, labels.length, longest, host.turn)
  return { flags, kernel, crc32c, model, labels, train, validation, adapter, layout, initial, scheduler, evaluate: (vector) => evaluator.run(validation, vector) }
}

export function readMaxLength(flags: Flags, model: Pick<Model, 'config'>): number {
  return Math.min(flags.integer('max-length', 3, 8192), model.config.positionsMax)
}

function readCuts(flags: Flags, clients: number, layers: number): number[] {
  const given = flags.list('cuts')
  const cuts = Array.from({ length: clients }, (_, client) => Number(given[client % given.length]))
  const wrong = cuts.findIndex((cut) => !Number.isInteger(cut) || cut < 1 || cut > layers - 1)
  if (wrong >= 0) refuse('flag-cuts', `--cuts[${wrong}]`, `a block of 1 … ${layers - 1}`, given[wrong % given.length])
  return cuts
}

/** The contract of one scheme. `central` holds all data in one client and takes as many samples as all devices together. */
export function makeContract({ flags, model, labels, train, adapter, scheduler }: Setting, scheme: Scheme, checkpointEvery: number): Contract {
  const devices = flags.integer('clients', 1, 4096)
  const layers = model.config.layers
  const cuts = readCuts(flags, devices, layers)
  const batch = flags.integer('batch', 1, 4096)
  const perDevice = flags.has('steps') ? flags.integer('steps', 1) : Math.ceil((flags.number('epochs', 0) * train.sequences.length) / (devices * batch))
  if (scheme === 'splitlora' && scheduler !== 'longest-backward') {
    refuse('flag-scheduler', '--scheduler', 'longest-backward: one shared server set makes the order part of the result', scheduler)
  }
  const central = scheme === 'central'
  const interval = flags.integer('interval', 1) * (central ? devices : 1)
  parsePartition(flags.text('partition'), '--partition')
  return {
    scheme, seed: flags.integer('seed', 0), steps: central ? perDevice * devices : perDevice, interval,
    checkpointEvery, batch, maxLength: readMaxLength(flags, model), truncate: flags.on('truncate'), shuffle: !flags.on('no-shuffle'),
    learningRate: flags.number('lr', 0), weightDecay: flags.number('weight-decay', 0, true), codec: flags.choice('codec', CODECS),
    adapter, labels, cuts: central ? [layers] : scheme === 'fl' ? cuts.map(() => layers) : cuts,
    partition: flags.text('partition'), fingerprint: model.fingerprint,
  }
}

/** A worker thread under control, to be ended with `close`. */
export function openWorker(): { control: Comlink.Remote<WorkerControl>; worker: Worker; close(): void } {
  const worker = new Worker(findAsset('worker.js'))
  return { worker, control: Comlink.wrap<WorkerControl>(nodeEndpoint(worker)), close: () => { void worker.terminate() } }
}

/** The server's stages: one in this thread, or, for a model for each device, each in a worker. */
function executorOpener({ kernel, model }: Setting, contract: Contract, workers: { close(): void }[]) {
  const optimizer = { ...ADAMW, learningRate: contract.learningRate, weightDecay: contract.weightDecay }
  return async (spec: StageSpec): Promise<Executor> => {
    if (contract.scheme !== 'sfl') return openExecutor(kernel, spec, model.weights, optimizer, host.clock)
    const { control, ...worker } = openWorker()
    workers.push(worker)
    await control.openExecutor({ module: kernel.module, build: kernel.build, modelDirectory: model.directory, spec, optimizer })
    return {
      step: (input) => control.step(Comlink.transfer(input, [input.activation.buffer])),
      read: (set) => control.read(set),
      write: (set, state) => control.write(set, state),
      memory: () => control.memory(),
    }
  }
}

/** metrics.jsonl: one object a line; lines of rounds after a resumed checkpoint are dropped. */
class Metrics {
  private readonly path: string
  private lines: string[] = []

  constructor(path: string, resumedStep: number) {
    this.path = path
    mkdirSync(join(path, '..'), { recursive: true })
    const kept = resumedStep > 0 && existsSync(path) ? readFileSync(path, 'utf8').split('\n').filter((line) => isBefore(line, resumedStep)) : []
    writeFileSync(path, kept.map((line) => `${line}\n`).join(''))
  }

  add(event: Record<string, unknown>): void {
    this.lines.push(`${JSON.stringify(event)}\n`)
    if (this.lines.length >= 64) this.flush()
  }

  flush(): void {
    appendFileSync(this.path, this.lines.join(''))
    this.lines = []
  }
}

function isBefore(line: string, step: number): boolean {
  try {
    const { event, round } = JSON.parse(line) as { event: string; round: number }
    return event === 'step' ? round < step : round <= step
  } catch {
    return false
  }
}

export type Connect = (run: Run, contract: Contract) => Promise<{ close(): void }>

/** Trains one scheme in `out` and writes its adapter there. */
export async function conduct(setting: Setting, contract: Contract, out: string, connect: Connect): Promise<SchemeReport> {
  const { flags, kernel, crc32c, model, labels, layout, initial, adapter, scheduler, evaluate, validation } = setting
  const field = join(out, 'checkpoint', 'round.safetensors')
  const resumed = flags.on('resume') && existsSync(field)
  const workers: { close(): void }[] = []
  const progress = createProgress(process.stderr, { now: host.clock })
  const evaluations: SchemeReport['evaluations'][number][] = []
  const losses: SchemeReport['losses'][number][] = []
  const total = contract.steps * contract.cuts.length
  const measure = validation.sequences.length > 0
  const before = measure ? await evaluate(initial) : null
  const every = flags.has('eval-every') ? flags.integer('eval-every', 1) * (contract.scheme === 'central' ? flags.integer('clients', 1) : 1) : Math.ceil(contract.steps / 8)
  let last = before
  let measuredStep = 0
  let done = 0
  let metrics: Metrics | undefined

  const run = startRun({
    contract, config: model.config, kernel, crc32c, host, run: (contract.seed ^ model.fingerprint) >>> 0, scheduler,
    deadlineMs: 1000 * flags.number('deadline-seconds', 0), joinDeadlineMs: 1000 * (flags.has('join-seconds') ? flags.number('join-seconds', 0) : 600),
    openExecutor: executorOpener(setting, contract, workers), initial,
    resume: resumed ? { bytes: readBytes(field), field } : undefined,
    async save(bytes) {
      metrics?.flush()
      saveAtomic(field, bytes)
    },
    on: {
      ready: () => progress.update(0, total, `${contract.scheme}: training`),
      step(client, step, loss) {
        done++
        losses.push({ round: step, client, loss })
        metrics?.add({ event: 'step', round: step, client, step, loss })
        progress.update(run.firstStep * contract.cuts.length + done, total, `${contract.scheme}: loss ${loss.toFixed(3)}${last ? `, accuracy ${(100 * last.accuracy).toFixed(1)} %` : ''}`)
      },
      member(client, what) {
        if (what !== 'joined' && !(what === 'left' && done >= total)) progress.note(`device ${client} ${what}`)
      },
      async interval(step, vector) {
        if (!measure || (step - measuredStep < every && step < contract.steps)) return
        measuredStep = step
        last = await evaluate(vector)
        evaluations.push({ round: step, accuracy: last.accuracy, loss: last.loss })
        metrics?.add({ event: 'eval', round: step, accuracy: last.accuracy, loss: last.loss, macroF1: last.macroF1 })
      },
    },
  })
  measuredStep = run.firstStep
  metrics = new Metrics(join(out, 'metrics.jsonl'), run.firstStep)
  const connection = await connect(run, contract)
  try {
    const result = await run.result
    writeAdapter(out, result.vector, layout, model, adapter, labels)
    const { devices, server, timeline, wallMs } = result
    return {
      scheme: contract.scheme, scheduler: isWhole(contract.scheme) ? 'none' : scheduler, rounds: contract.steps,
      accuracyBefore: before?.accuracy ?? 0, accuracyAfter: last?.accuracy ?? 0, macroF1After: last?.macroF1 ?? 0, lossAfter: last?.loss ?? 0,
      majorityAccuracy: majority(validation.labels, labels.length), devices, server, wallMs, losses, evaluations, timeline,
    }
  } finally {
    progress.end()
    metrics.flush()
    connection.close()
    for (const worker of workers) worker.close()
  }
}

function majority(labels: Int32Array, count: number): number {
  const counts = new Array<number>(count).fill(0)
  for (const label of labels) counts[label]++
  return labels.length > 0 ? Math.max(...counts) / labels.length : 0
}
