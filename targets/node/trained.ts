/** A model that has learnt its labels: the base with an adapter, or with a classifier of its own. What `eval`, `infer` and `export` open. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { refuse } from '../../runtime/error.ts'
import type { Layout } from '../../runtime/model/layout.ts'
import { layoutOf } from '../../runtime/model/layout.ts'
import type { AdapterConfig } from '../../runtime/model/peft.ts'
import { SCHEME_DEFAULT } from '../../runtime/split/scheme.ts'
import type { Crc32c } from '../../runtime/wire/frame.ts'
import { headerBytes, parseHeader } from '../../runtime/wire/safetensors.ts'
import type { FlagTable, Flags } from './flags.ts'
import { MODEL_FLAGS } from './flags.ts'
import { KERNEL_FLAGS, STAGE_FLAGS } from './kernel.ts'
import { openSource } from './host.ts'
import { chooseLabels } from './labels.ts'
import type { Model } from './model.ts'
import { modelDirectory, openModel, readAdapter, readAdapterConfig, readDataset } from './model.ts'

export const TRAINED_FLAGS: FlagTable = {
  ...MODEL_FLAGS,
  ...KERNEL_FLAGS,
  ...STAGE_FLAGS,
  adapter: { type: 'string', value: 'DIR', help: 'PEFT directory, as `kerf train --out` leaves it' },
  labels: { type: 'string', value: 'A,B,C', help: "label order, where neither the adapter's labels.json nor the model names any" },
}

/** An adapter of one model: `vector` [P] lies by `layout`. */
export type TrainedAdapter = { directory: string; config: AdapterConfig; layout: Layout; vector: Float32Array }

/** Without an adapter, the classifier is among the model's weights. `named` is false for labels that are numbers only: LABEL_0, LABEL_1, … */
export type Trained = { model: Model; labels: readonly string[]; named: boolean; adapter: TrainedAdapter | null }

/** Where training leaves an adapter unless told otherwise: with one scheme, and with several. */
const DEFAULT_ADAPTERS = ['out', join('out', SCHEME_DEFAULT)]

/** The adapter that a training run in this directory has left. */
export function findAdapter(): string | undefined {
  return DEFAULT_ADAPTERS.find((directory) => existsSync(join(directory, 'adapter_config.json')))
}

/**
 * Opens the model and its adapter. With `fallback`, a model without a classifier takes the adapter of a run in this
 * directory. `dataFile` names the labels where nothing else does. Refuses what nobody has trained.
 */
export async function openTrained(flags: Flags, crc32c: Crc32c, options: { fallback?: boolean; dataFile?: string } = {}): Promise<Trained> {
  const model = await openModel(modelDirectory(flags.optional('model')), crc32c)
  const trained = model.weights.has('classifier.weight')
  const directory = flags.optional('adapter') ?? (options.fallback && !trained ? findAdapter() : undefined)
  if (directory === undefined) {
    if (!trained) refuse('model-untrained', '--adapter', `a PEFT directory, since ${model.directory} has no classifier and so nothing was trained`, 'none')
    return { model, ...(await nameLabels(flags, model, undefined, options.dataFile)), adapter: null }
  }
  const config = readAdapterConfig(directory)
  const { labels, named } = await nameLabels(flags, model, directory, options.dataFile)
  const layout = layoutOf(model.config, config, labels.length, 0, model.config.layers)
  const vector = readAdapter(directory, model.config, config, layout, labels.length)
  return { model, labels, named, adapter: { directory, config, layout, vector } }
}

/** The names of the classifier's rows, as many as there are. */
async function nameLabels(flags: Flags, model: Model, adapter: string | undefined, dataFile: string | undefined): Promise<Pick<Trained, 'labels' | 'named'>> {
  const head = adapter === undefined ? join(model.directory, 'model.safetensors') : join(adapter, 'adapter_model.safetensors')
  const count = await countLabels(head)
  const labels = chooseLabels(flags, model, adapter) ?? (dataFile && readDataset(dataFile).labelNames)
  if (!labels) return { labels: Array.from({ length: count }, (_, index) => `LABEL_${index}`), named: false }
  if (labels.length !== count) refuse('labels-count', 'labels', `${count} names, one for each row of the classifier in ${head}`, labels.join(','))
  return { labels, named: true }
}

const CLASSIFIER = /(^|\.)classifier\.(modules_to_save\.(default\.)?)?weight$/

/** Rows of the classifier that a safetensors file holds. */
async function countLabels(path: string): Promise<number> {
  const source = openSource(path)
  const size = headerBytes(await source.read(0, Math.min(8, source.bytes)), source.bytes, path)
  const { tensors } = parseHeader(await source.read(0, size), source.bytes, path)
  const weight = [...tensors.values()].find(({ name }) => CLASSIFIER.test(name))
  return weight?.shape[0] ?? refuse('adapter-missing', path, 'a tensor classifier.weight', 'no such tensor')
}
