/** A run of `kerf train` or `kerf serve` made ready: what its settings name, read and checked before any work is done. */
import type { TokenizedDataset } from '../data/dataset.ts'
import { tokenizeRows } from '../data/dataset.ts'
import type { Rows } from '../data/rows.ts'
import { longestOf } from '../data/sampler.ts'
import type { Tokenizer } from '../data/tokens.ts'
import { refuse } from '../error.ts'
import type { Files } from '../host/files.ts'
import { createChecksum } from '../kernel/checksum.ts'
import type { Kernel } from '../kernel/load.ts'
import { ROWS_MIN } from '../model/config.ts'
import { openEvaluator } from '../model/evaluate.ts'
import type { Fingerprint } from '../model/fingerprint.ts'
import { initialVector } from '../model/initial.ts'
import type { Layout } from '../model/layout.ts'
import { layoutOf } from '../model/layout.ts'
import type { AdapterConfig } from '../model/peft.ts'
import type { StageOptions } from '../model/plan.ts'
import type { Scores } from '../model/scores.ts'
import type { Contract } from '../split/contract.ts'
import type { SchemeName } from '../split/scheme.ts'
import { clientCuts, schemeOf, stepsPerRound } from '../split/scheme.ts'
import { SCHEDULER_STATIC } from '../split/schedule.ts'
import type { Crc32c } from '../wire/frame.ts'
import type { ProgramHost } from './host.ts'
import { KERNEL_SETTINGS, STAGE_SETTINGS, openProgramKernel } from './kernel.ts'
import type { Head } from './labels.ts'
import { checkRows, chooseLabels, nameHead, nameNewHead } from './labels.ts'
import type { Model } from './model.ts'
import {
  bundledData, checkBase, limitLength, modelDirectory, openModel, openTokenizer, readAdapter, readAdapterBase, readClassifier, readRows,
  takeFingerprint,
} from './model.ts'
import { parentOf } from './path.ts'
import type { Settings } from './settings.ts'
import { chooseLora, fitCuts } from './shape.ts'
import { readHead } from './trained.ts'

/** Every setting of a run on the server's side, whatever the transport. */
export const RUN_SETTINGS = [
  'model', ...KERNEL_SETTINGS, ...STAGE_SETTINGS, 'recompute', 'data', 'val', 'labels', 'clients', 'cuts', 'partition', 'scheduler', 'rank', 'alpha',
  'targets', 'batch', 'lr', 'lrSchedule', 'warmup', 'maxGradNorm', 'weightDecay',
  'maxLength', 'truncate', 'interval', 'steps', 'epochs', 'codec', 'seed', 'noShuffle', 'adapter', 'evalEvery',
  'checkpointEvery', 'keepCheckpoints', 'average', 'clip', 'patience', 'deadlineSeconds', 'out', 'resume', 'json',
] as const

/** One record of a run, from flags or from an embedding program's object (settings.ts). */
export type RunSettings = Pick<Settings, (typeof RUN_SETTINGS)[number]> & Partial<Pick<Settings, 'memory'>>

export type Measured = Pick<Scores, 'accuracy' | 'loss' | 'macroF1'>

/** Everything that a run's schemes share. Whoever makes it closes it. */
export type Prepared = {
  settings: RunSettings
  /** What computes, what the host could not give, and the order of a new head's rows. */
  kernelLines: readonly string[]
  kernel: Kernel
  /** How this process's stages are held and computed. */
  stage: StageOptions
  crc32c: Crc32c
  model: Model
  /** What the run stands on; goes with its adapters. */
  base: Fingerprint
  labels: readonly string[]
  train: TokenizedDataset
  validation: TokenizedDataset
  adapter: AdapterConfig
  layout: Layout
  initial: Float32Array
  /** Measures a full set on the validation data. */
  evaluate(vector: Float32Array): Promise<Measured>
  /** As `evaluate`, of `initial`: computed once for all schemes. */
  evaluateInitial(): Promise<Measured>
  /** The loss of a full set on a few texts: the first to measure on or, where there are none, to train on. */
  trial(vector: Float32Array): Promise<number>
  close(): Promise<void>
}

/** Refuses a place where no directory can be, before any work is done for it. */
async function checkOut(files: Files, out: string): Promise<void> {
  for (let at = out; ; at = parentOf(at)) {
    const kind = await files.kind(at)
    if (kind === 'file') refuse('out-kind', '--out', 'a directory', `${at}, a file`)
    if (kind === 'directory' || parentOf(at) === at) return
  }
}

/** The full set that training begins with. */
async function readInitial(
  files: Files, { adapter: directory, seed }: RunSettings, kernel: Kernel, model: Model, layout: Layout, adapter: AdapterConfig, labels: number,
): Promise<Float32Array> {
  if (directory !== undefined) return readAdapter(files, directory, model.config, adapter, layout, labels)
  const vector = initialVector(layout, seed, kernel.exports)
  const classifier = await readClassifier(model, labels)
  for (const { name, offset } of layout.entries) if (classifier?.has(name)) vector.set(classifier.get(name)!, offset)
  return vector
}

/** `texts`: who reads them. A server on the network needs none of its own. */
export type RunPlace = { texts: 'here' | 'devices' }

/** Reads everything that a run needs, refusing what is wrong before any work is done. */
export async function prepareRun(host: ProgramHost, settings: RunSettings, { texts }: RunPlace = { texts: 'here' }): Promise<Prepared> {
  const { files } = host
  const opened = await openProgramKernel(host, settings)
  const crc32c = createChecksum(opened.kernel)
  await checkOut(files, settings.out)
  const adapter = await chooseLora(files, settings)
  const model = await openModel(files, modelDirectory(files, settings.model), crc32c)
  try {
    const { kernel, stage } = opened
    const { lines, tokenizer, ...data } = await readData(files, settings, model, texts)
    // The base of the adapter that a run begins with, if it begins with one.
    const started = settings.adapter === undefined ? null : await readAdapterBase(files, settings.adapter)
    const { labels, validation } = data
    const layout = layoutOf(model.config, adapter, labels.length, 0, model.config.layers)
    const initial = await readInitial(files, settings, kernel, model, layout, adapter, labels.length)
    const options = { ...stage, turn: host.clock.turn }
    const few = firstOf(validation.sequences.length > 0 ? validation : data.train)
    const longest = Math.max(longestOf(validation), longestOf(few))
    const evaluator = await openEvaluator(kernel, model.config, model.weights, adapter, labels.length, longest, options)
    const base = await takeFingerprint(model, tokenizer)
    if (started) await checkBase(started, model, tokenizer)
    const kernelLines = [...opened.lines, ...lines, ...model.notes, ...started?.notes ?? []]
    const evaluate = (vector: Float32Array) => evaluator.run(validation, vector)
    let first: Promise<Measured> | undefined
    return {
      settings, kernelLines, kernel, stage, crc32c, model, base, ...data, adapter, layout, initial, evaluate,
      evaluateInitial: () => (first ??= evaluate(initial)),
      trial: async (vector) => (await evaluator.run(few, vector)).loss,
      async close() {
        evaluator.stage.close()
        await model.close()
      },
    }
  } catch (error) {
    await model.close()
    throw error
  }
}

const NO_DATA: TokenizedDataset = { sequences: [], labels: new Int32Array(0) }

type Data = Pick<Prepared, 'labels' | 'train' | 'validation'> & { lines: readonly string[]; tokenizer: Tokenizer }

/** Enough to tell whether a set computes at all. */
const TRIAL_TEXTS = 8

function firstOf({ sequences, labels }: TokenizedDataset): TokenizedDataset {
  return { sequences: sequences.slice(0, TRIAL_TEXTS), labels: labels.slice(0, TRIAL_TEXTS) }
}

async function readData(files: Files, settings: RunSettings, model: Model, texts: RunPlace['texts']): Promise<Data> {
  const headed = model.weights.has('classifier.weight')
  const chosen = await chooseLabels(files, settings, model, headed)
  const bundled = bundledData(files)
  // The bundled sentences stand in for what nobody has said, but not beside somebody's own names or model.
  const alone = texts === 'devices' && (chosen !== undefined || settings.model !== undefined)
  const file = settings.data ?? (alone ? undefined : bundled.train)
  const measured = settings.val ?? (settings.data === undefined && !alone ? bundled.validation : undefined)
  const rows = file === undefined ? undefined : await readRows(files, file)
  const measuredRows = measured === undefined ? undefined : measured === file ? rows : await readRows(files, measured)
  const head = settings.adapter !== undefined || headed ? await readHead(files, model, settings.adapter) : null
  const { labels, lines } = nameRows(head, chosen, rows)
  const tokenizer = await openTokenizer(files, model)
  const limits = { maxLength: limitLength(settings.maxLength, model), truncate: settings.truncate }
  const tokenize = (some: Rows | undefined) => (some ? tokenizeRows(some, labels, tokenizer, limits) : NO_DATA)
  if (labels.length < ROWS_MIN) refuse('labels-count', 'labels', `at least ${ROWS_MIN}, since one is no choice`, labels.join())
  const data = { labels, lines, tokenizer, train: tokenize(rows), validation: tokenize(measuredRows) }
  if (head) checkRows(head, labels)
  return data
}

function nameRows(
  head: Head | null, chosen: readonly string[] | undefined, data: Rows | undefined,
): { labels: readonly string[]; lines: readonly string[] } {
  if (chosen) return { labels: chosen, lines: [] }
  if (head) return { labels: nameHead(head, chosen, data), lines: [] }
  if (!data) return refuse('labels-unnamed', '--labels', 'names for the rows of the new head, or --data whose labels name them', 'neither')
  const { labels, line } = nameNewHead(data)
  return { labels, lines: [line] }
}

/** What a contract need not name where it is as usual. */
function makeRecipe(
  { lrSchedule: schedule, warmup, maxGradNorm: gradientNorm }: Pick<RunSettings, 'lrSchedule' | 'warmup' | 'maxGradNorm'>, steps: number,
): Pick<Contract, 'schedule' | 'warmup' | 'gradientNorm'> {
  const warm = Math.floor(warmup * steps)
  return { ...(schedule !== 'constant' && { schedule }), ...(warm > 0 && { warmup: warm }), ...(gradientNorm !== undefined && { gradientNorm }) }
}

/** The contract of one scheme. `central` holds all data in one client and takes as many samples as all devices together. */
export function makeContract(
  { settings, model, base, labels, train, adapter }: Prepared, scheme: SchemeName, checkpointEvery: number,
): Contract {
  const { clients, batch, steps, epochs, scheduler } = settings
  const layers = model.config.layers
  if (steps === undefined && train.sequences.length === 0) {
    refuse('flag-steps', '--steps', "each device's steps, since without --data there are no epochs to count", 'none')
  }
  const perDevice = steps ?? Math.ceil((epochs * train.sequences.length) / (clients * batch))
  // One shared server set makes the order of its work part of the result.
  if (schemeOf({ scheme }).shared && scheduler !== SCHEDULER_STATIC) {
    refuse('flag-scheduler', '--scheduler', `${SCHEDULER_STATIC}: one shared server set makes the order part of the result`, scheduler)
  }
  const together = stepsPerRound(scheme, clients)
  return {
    scheme, seed: settings.seed, steps: perDevice * together, interval: settings.interval * together,
    checkpointEvery, batch, maxLength: limitLength(settings.maxLength, model), truncate: settings.truncate, shuffle: !settings.noShuffle,
    learningRate: settings.lr, ...makeRecipe(settings, perDevice * together), weightDecay: settings.weightDecay, codec: settings.codec,
    adapter, labels, cuts: clientCuts(scheme, fitCuts(settings, clients, layers), layers),
    partition: settings.partition, fingerprint: model.fingerprint, tokenizer: base.tokenizer, weights: base.weights,
  }
}
