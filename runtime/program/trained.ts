/** A model that has learnt its labels: the base with an adapter, or with a classifier of its own. What `eval`, `infer` and `export` open. */
import type { Rows } from '../data/rows.ts'
import type { Tokenizer } from '../data/tokens.ts'
import { refuse } from '../error.ts'
import type { Files } from '../host/files.ts'
import { ROWS_MIN, checkHead } from '../model/config.ts'
import type { Layout } from '../model/layout.ts'
import { layoutOf } from '../model/layout.ts'
import type { AdapterConfig } from '../model/peft.ts'
import { SCHEME_DEFAULT } from '../split/scheme.ts'
import type { Crc32c } from '../wire/frame.ts'
import { headerBytes, parseHeader } from '../wire/safetensors.ts'
import { isFile } from './files.ts'
import { KERNEL_SETTINGS, STAGE_SETTINGS } from './kernel.ts'
import type { Head } from './labels.ts'
import { checkRows, chooseLabels, nameHead } from './labels.ts'
import type { AdapterBase, Model } from './model.ts'
import { checkBase, modelDirectory, openModel, readAdapter, readAdapterBase, readAdapterConfig } from './model.ts'
import { joinPath } from './path.ts'
import type { Settings } from './settings.ts'
import { ADAPTER_WEIGHTS, MODEL_WEIGHTS, openTensors } from './tensors.ts'

export const TRAINED_SETTINGS = ['model', ...KERNEL_SETTINGS, ...STAGE_SETTINGS, 'adapter', 'labels'] as const

/** An adapter of one model: `vector` [P] lies by `layout`; `base` says what it was trained on. */
export type TrainedAdapter = { directory: string; config: AdapterConfig; base: AdapterBase; layout: Layout; vector: Float32Array }

/** Refuses an adapter of another base; reads the weights that have not been read yet, so it comes after who reads them anyway. */
export async function checkTrained({ model, adapter }: Trained, tokenizer: Tokenizer): Promise<void> {
  if (adapter) await checkBase(adapter.base, model, tokenizer)
}

/** Without an adapter, the classifier is among the model's weights. `notes`: what its files hold beyond what is used, a line each. */
export type Trained = { model: Model; labels: readonly string[]; adapter: TrainedAdapter | null; notes: readonly string[] }

/** Where training leaves an adapter unless told otherwise: with one scheme, and with several. */
const DEFAULT_ADAPTERS = ['out', joinPath('out', SCHEME_DEFAULT)]

/** The adapter that a training run in this directory has left. */
async function findAdapter(files: Files): Promise<string | undefined> {
  for (const directory of DEFAULT_ADAPTERS) if (await isFile(files, joinPath(directory, 'adapter_config.json'))) return directory
  return undefined
}

export type TrainedOptions = Pick<Settings, 'model' | 'adapter' | 'labels'> & {
  /** A model without a classifier takes the adapter of a run in this directory. */
  fallback?: boolean
  /** What the labels are for: it may call the rows of a head by their numbers. */
  data?: Rows
}

/** Opens the model and its adapter; whoever opens it closes the model. Refuses what nobody has trained. */
export async function openTrained(files: Files, options: TrainedOptions, crc32c: Crc32c): Promise<Trained> {
  const model = await openModel(files, modelDirectory(files, options.model), crc32c)
  try {
    return { model, ...(await openHead(files, options, model)) }
  } catch (error) {
    await model.close()
    throw error
  }
}

async function openHead(files: Files, options: TrainedOptions, model: Model): Promise<Omit<Trained, 'model'>> {
  const trained = model.weights.has('classifier.weight')
  const directory = options.adapter ?? (options.fallback && !trained ? await findAdapter(files) : undefined)
  if (directory === undefined) {
    if (!trained) refuse('model-untrained', '--adapter', `a PEFT directory, since ${model.directory} has no classifier and so nothing was trained`, 'none')
    const labels = await nameLabels(files, options, model, undefined)
    return { labels, adapter: null, notes: model.notes }
  }
  const config = await readAdapterConfig(files, directory)
  const base = await readAdapterBase(files, directory)
  const labels = await nameLabels(files, options, model, directory)
  const layout = layoutOf(model.config, config, labels.length, 0, model.config.layers)
  const vector = await readAdapter(files, directory, model.config, config, layout, labels.length)
  return { labels, adapter: { directory, config, base, layout, vector }, notes: [...model.notes, ...base.notes] }
}

/** The names of the classifier's rows, as many as there are. */
async function nameLabels(
  files: Files, { labels: given, data }: TrainedOptions, model: Model, adapter: string | undefined,
): Promise<readonly string[]> {
  const head = await readHead(files, model, adapter)
  if (adapter === undefined) checkHead(model.head, head.rows)
  const labels = nameHead(head, await chooseLabels(files, { labels: given, adapter }, model), data)
  checkRows(head, labels)
  return labels
}

/** The classifier of an adapter, else of the model, which must have one. */
export async function readHead(files: Files, model: Model, adapter: string | undefined): Promise<Head> {
  const [directory, name] = adapter === undefined ? [model.directory, MODEL_WEIGHTS] : [adapter, ADAPTER_WEIGHTS]
  return { file: joinPath(directory, name), rows: await countLabels(files, directory, name) }
}

const CLASSIFIER = /(^|\.)classifier\.(modules_to_save\.(default\.)?)?weight$/

/** Rows of the classifier that a safetensors file holds. */
async function countLabels(files: Files, directory: string, file: string): Promise<number> {
  const path = joinPath(directory, file)
  const source = await openTensors(files, directory, file)
  try {
    const size = headerBytes(await source.read(0, Math.min(8, source.bytes)), source.bytes, path)
    const { tensors } = parseHeader(await source.read(0, size), source.bytes, path)
    const weight = [...tensors.values()].find(({ name }) => CLASSIFIER.test(name))
    const rows = weight?.shape[0] ?? refuse('adapter-missing', path, 'a tensor classifier.weight', 'no such tensor')
    if (rows < ROWS_MIN) {
      const expected = `a row for each of at least ${ROWS_MIN} labels; one is a regression's score`
      refuse('labels-count', `${path}.classifier.weight`, expected, rows)
    }
    return rows
  } finally {
    await source.close()
  }
}
