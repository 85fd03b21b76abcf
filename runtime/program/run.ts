/** A run of `kerf train` or `kerf serve` made ready: what its settings name, read and checked before any work is done. */
import type { TokenizedDataset } from '../data/dataset.ts'
import { longestOf } from '../data/sampler.ts'
import { refuse } from '../error.ts'
import type { Files } from '../host/files.ts'
import { createChecksum } from '../kernel/checksum.ts'
import type { Kernel } from '../kernel/load.ts'
import { openEvaluator } from '../model/evaluate.ts'
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
import { chooseLabels } from './labels.ts'
import type { Model } from './model.ts'
import {
  bundledData, limitLength, modelDirectory, openModel, openTokenizer, readAdapter, readClassifier, readDataset, readTokens,
} from './model.ts'
import { parentOf } from './path.ts'
import type { Settings } from './settings.ts'
import { chooseLora, fitCuts } from './shape.ts'

/** Every setting of a run on the server's side, whatever the transport. */
export const RUN_SETTINGS = [
  'model', ...KERNEL_SETTINGS, ...STAGE_SETTINGS, 'recompute', 'data', 'val', 'labels', 'clients', 'cuts', 'partition', 'scheduler', 'rank', 'alpha',
  'targets', 'batch', 'lr', 'weightDecay', 'maxLength', 'truncate', 'interval', 'steps', 'epochs', 'codec', 'seed', 'noShuffle', 'adapter', 'evalEvery',
  'checkpointEvery', 'keepCheckpoints', 'average', 'clip', 'patience', 'deadlineSeconds', 'out', 'resume', 'json',
] as const

/** One record of a run, from flags or from an embedding program's object (settings.ts). */
export type RunSettings = Pick<Settings, (typeof RUN_SETTINGS)[number]> & Partial<Pick<Settings, 'memory'>>

export type Measured = Pick<Scores, 'accuracy' | 'loss' | 'macroF1'>

/** Everything that a run's schemes share. Whoever makes it closes it. */
export type Prepared = {
  settings: RunSettings
  /** What computes, and what the host could not give. */
  kernelLines: readonly string[]
  kernel: Kernel
  /** How this process's stages are held and computed. */
  stage: StageOptions
  crc32c: Crc32c
  model: Model
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

/** Reads everything that a run needs, refusing what is wrong before any work is done. */
export async function prepareRun(host: ProgramHost, settings: RunSettings): Promise<Prepared> {
  const { files } = host
  const opened = await openProgramKernel(host, settings)
  const crc32c = createChecksum(opened.kernel)
  await checkOut(files, settings.out)
  const adapter = await chooseLora(files, settings)
  const model = await openModel(files, modelDirectory(files, settings.model), crc32c)
  try {
    const { kernel, stage, lines: kernelLines } = opened
    const data = await readData(files, settings, model)
    const { labels, validation } = data
    const layout = layoutOf(model.config, adapter, labels.length, 0, model.config.layers)
    const initial = await readInitial(files, settings, kernel, model, layout, adapter, labels.length)
    const options = { ...stage, turn: host.clock.turn }
    const few = firstOf(validation.sequences.length > 0 ? validation : data.train)
    const longest = Math.max(longestOf(validation), longestOf(few))
    const evaluator = await openEvaluator(kernel, model.config, model.weights, adapter, labels.length, longest, options)
    const evaluate = (vector: Float32Array) => evaluator.run(validation, vector)
    let first: Promise<Measured> | undefined
    return {
      settings, kernelLines, kernel, stage, crc32c, model, ...data, adapter, layout, initial, evaluate,
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

/** Enough to tell whether a set computes at all. */
const TRIAL_TEXTS = 8

function firstOf({ sequences, labels }: TokenizedDataset): TokenizedDataset {
  return { sequences: sequences.slice(0, TRIAL_TEXTS), labels: labels.slice(0, TRIAL_TEXTS) }
}

async function readData(files: Files, settings: RunSettings, model: Model): Promise<Pick<Prepared, 'labels' | 'train' | 'validation'>> {
  const bundled = bundledData(files)
  const file = settings.data ?? bundled.train
  const measured = settings.val ?? (settings.data === undefined ? bundled.validation : undefined)
  const labels = await chooseLabels(files, settings, model) ?? (await readDataset(files, file)).labelNames
  const limits = { maxLength: limitLength(settings.maxLength, model), truncate: settings.truncate }
  const tokenizer = await openTokenizer(files, model)
  return {
    labels, train: await readTokens(files, file, tokenizer, labels, limits),
    validation: measured === undefined ? { sequences: [], labels: new Int32Array(0) } : await readTokens(files, measured, tokenizer, labels, limits),
  }
}

/** The contract of one scheme. `central` holds all data in one client and takes as many samples as all devices together. */
export function makeContract({ settings, model, labels, train, adapter }: Prepared, scheme: SchemeName, checkpointEvery: number): Contract {
  const { clients, batch, steps, epochs, scheduler } = settings
  const layers = model.config.layers
  const perDevice = steps ?? Math.ceil((epochs * train.sequences.length) / (clients * batch))
  // One shared server set makes the order of its work part of the result.
  if (schemeOf({ scheme }).shared && scheduler !== SCHEDULER_STATIC) {
    refuse('flag-scheduler', '--scheduler', `${SCHEDULER_STATIC}: one shared server set makes the order part of the result`, scheduler)
  }
  const together = stepsPerRound(scheme, clients)
  return {
    scheme, seed: settings.seed, steps: perDevice * together, interval: settings.interval * together,
    checkpointEvery, batch, maxLength: limitLength(settings.maxLength, model), truncate: settings.truncate, shuffle: !settings.noShuffle,
    learningRate: settings.lr, weightDecay: settings.weightDecay, codec: settings.codec,
    adapter, labels, cuts: clientCuts(scheme, fitCuts(settings, clients, layers), layers),
    partition: settings.partition, fingerprint: model.fingerprint,
  }
}
