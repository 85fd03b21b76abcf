/** Models, data and adapters as they lie in a host's files. */
import type { Rows } from '../data/rows.ts'
import { parseRows } from '../data/rows.ts'
import type { Tokenizer, TokenizerFiles } from '../data/tokens.ts'
import { createTokenizer } from '../data/tokens.ts'
import { refuse } from '../error.ts'
import type { Files } from '../host/files.ts'
import type { HeadConfig, ModelConfig } from '../model/config.ts'
import { checkHead, parseConfig, parseHead } from '../model/config.ts'
import type { Layout } from '../model/layout.ts'
import { joinVector, splitVector } from '../model/layout.ts'
import { widenTensor } from '../model/merge.ts'
import { classifierTensors } from '../model/names.ts'
import type { CheckedWeights, Fingerprint } from '../model/fingerprint.ts'
import { checksumConfig, checksumModel, checksumText, checksumWeights, expectBase } from '../model/fingerprint.ts'
import type { AdapterConfig } from '../model/peft.ts'
import { decodeAdapter, encodeAdapter, formatAdapterConfig, parseAdapterBase, parseAdapterConfig } from '../model/peft.ts'
import { describeUnused } from '../model/unused.ts'
import { openWeights } from '../model/weights.ts'
import type { Crc32c } from '../wire/frame.ts'
import { isFile, readText, saveTogether } from './files.ts'
import { joinPath, nameOf } from './path.ts'
import { SETTINGS } from './settings.ts'
import { ADAPTER_WEIGHTS, MODEL_WEIGHTS, openTensors, readTensors } from './tensors.ts'

/** Whoever opens it closes it: its weights are read when they are wanted. */
export type Model = {
  name: string
  directory: string
  config: ModelConfig
  head: HeadConfig
  weights: CheckedWeights
  /** What its files hold beyond what is used, a line each. */
  notes: readonly string[]
  /** CRC32C of what its config.json says, labels included. */
  fingerprint: number
  crc32c: Crc32c
  close(): Promise<void>
}

/** The bundled base, or a Hugging Face directory. */
export function modelDirectory(files: Files, directory: string | undefined): string {
  return directory ?? files.asset('bundled/base')
}

export async function openModel(files: Files, directory: string, crc32c: Crc32c): Promise<Model> {
  const configFile = joinPath(directory, 'config.json')
  const configText = await readText(files, configFile)
  const config = parseConfig(configText, configFile)
  const head = parseHead(configText, configFile)
  const source = await openTensors(files, directory, MODEL_WEIGHTS)
  try {
    const weights = checksumWeights(await openWeights(source), config, crc32c)
    const fingerprint = checksumModel(config, crc32c)
    const notes = describeUnused(weights.names, config, source.name)
    return { name: nameOf(directory), directory, config, head, weights, notes, fingerprint, crc32c, close: () => source.close() }
  } catch (error) {
    await source.close()
    throw error
  }
}

/** Opens a model for `work` alone. */
export async function withModel<T>(files: Files, directory: string, crc32c: Crc32c, work: (model: Model) => Promise<T>): Promise<T> {
  const model = await openModel(files, directory, crc32c)
  try {
    return await work(model)
  } finally {
    await model.close()
  }
}

/** A model directory's tokenizer files, those that it has. */
export async function readTokenizerFiles(files: Files, directory: string): Promise<TokenizerFiles> {
  const optional = async (name: string) => {
    const file = joinPath(directory, name)
    return (await isFile(files, file)) ? readText(files, file) : undefined
  }
  return {
    tokenizerJson: await optional('tokenizer.json'), vocabText: await optional('vocab.txt'),
    tokenizerConfig: await optional('tokenizer_config.json'), addedTokens: await optional('added_tokens.json'),
    specialTokensMap: await optional('special_tokens_map.json'),
  }
}

export async function openTokenizer(files: Files, { directory, config }: Pick<Model, 'directory' | 'config'>): Promise<Tokenizer> {
  const tokenizer = createTokenizer(await readTokenizerFiles(files, directory))
  const { vocabSize } = tokenizer
  if (vocabSize > config.vocabSize) {
    refuse('model-vocab', joinPath(directory, 'vocab.txt'), `at most ${config.vocabSize} pieces as in config.json`, vocabSize)
  }
  return tokenizer
}

/** What an adapter of this model stands on; reads the weights that have not been read yet. */
export async function takeFingerprint({ config, weights, crc32c }: Model, tokenizer: Tokenizer): Promise<Fingerprint> {
  return { config: checksumConfig(config, crc32c), tokenizer: checksumTokenizer(tokenizer, crc32c), weights: await weights.checksumAll() }
}

export function checksumTokenizer({ behaviour }: Tokenizer, crc32c: Crc32c): number {
  return checksumText(behaviour, crc32c)
}

/** The bundled sentences. */
export function bundledData(files: Files): { train: string; validation: string } {
  return { train: files.asset('bundled/emotions/train.txt'), validation: files.asset('bundled/emotions/test.txt') }
}

/** Reads a data file once, as a pipe can be: names and tokens both come of these rows. */
export async function readRows(files: Files, path: string): Promise<Rows> {
  return parseRows(path, await readText(files, path))
}

/** Of `--max-length`: what nobody has asked for is as much as the model has. */
const LENGTH_USUAL = Number(SETTINGS.maxLength.default)

/** Tokens of one text. Refuses `max-length` where more were asked for than the model has positions. */
export function limitLength(maxLength: number, { config: { positionsMax } }: Pick<Model, 'config'>): number {
  if (maxLength <= positionsMax) return maxLength
  if (maxLength !== LENGTH_USUAL) refuse('max-length', '--max-length', `at most the model's ${positionsMax} positions`, maxLength)
  return positionsMax
}

/** The classifier that a model's file brings; refuses one of other labels, and what is no classifier of texts. */
export async function readClassifier({ config, head, weights }: Model, labels: number): Promise<Map<string, Float32Array> | null> {
  if (!weights.has('classifier.weight')) return null
  const tensors = new Map<string, Float32Array>()
  for (const { name, shape } of classifierTensors(config, labels)) {
    const values = Float32Array.from(widenTensor(await weights.read(name, shape)))
    if (!values.every(Number.isFinite)) refuse('weights.finite', `weights.${name}`, 'finite values', 'NaN or infinity')
    tensors.set(name, values)
  }
  checkHead(head, labels)
  return tensors
}

export async function readAdapterConfig(files: Files, directory: string): Promise<AdapterConfig> {
  const file = joinPath(directory, 'adapter_config.json')
  return parseAdapterConfig(await readText(files, file), file)
}

/** The base that an adapter directory says it was trained on, and a line where it says none, as those of other tools. */
export type AdapterBase = { kept: Fingerprint | null; field: string; notes: readonly string[] }

export async function readAdapterBase(files: Files, directory: string): Promise<AdapterBase> {
  const field = joinPath(directory, 'adapter_config.json')
  const kept = parseAdapterBase(await readText(files, field), field)
  const note = `${field}: does not say which base the adapter was trained on, so the model is taken as given`
  return { kept, field, notes: kept ? [] : [note] }
}

/** Refuses a model that is not the one an adapter was trained on; reads the weights that have not been read yet. */
export async function checkBase({ kept, field }: AdapterBase, model: Model, tokenizer: Tokenizer): Promise<void> {
  if (kept) expectBase(kept, await takeFingerprint(model, tokenizer), field)
}

export async function readAdapter(
  files: Files, directory: string, config: ModelConfig, adapter: AdapterConfig, layout: Layout, labels: number,
): Promise<Float32Array> {
  const bytes = await readTensors(files, directory, ADAPTER_WEIGHTS)
  return joinVector(layout, decodeAdapter(bytes, config, adapter, labels, joinPath(directory, ADAPTER_WEIGHTS)))
}

/** Writes a PEFT directory, each file whole or not at all, weights last. */
export function writeAdapter(
  files: Files, directory: string, vector: Float32Array, layout: Layout, model: Pick<Model, 'name' | 'config'>, adapter: AdapterConfig,
  labels: readonly string[], base: Fingerprint | null = null,
): Promise<void> {
  return saveTogether(files, {
    [joinPath(directory, 'adapter_config.json')]: formatAdapterConfig(adapter, model.name, base),
    [joinPath(directory, 'labels.json')]: `${JSON.stringify(labels)}\n`,
    [joinPath(directory, ADAPTER_WEIGHTS)]: encodeAdapter(splitVector(layout, vector), model.config, adapter, labels.length),
  })
}
