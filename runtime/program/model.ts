/** Models, data and adapters as they lie in a host's files. */
import type { Rows } from '../data/rows.ts'
import { parseRows } from '../data/rows.ts'
import type { Tokenizer, TokenizerFiles } from '../data/tokens.ts'
import { createTokenizer } from '../data/tokens.ts'
import { refuse } from '../error.ts'
import type { Files } from '../host/files.ts'
import type { ModelConfig } from '../model/config.ts'
import { parseConfig } from '../model/config.ts'
import type { Layout } from '../model/layout.ts'
import { joinVector, splitVector } from '../model/layout.ts'
import { widenTensor } from '../model/merge.ts'
import { classifierTensors } from '../model/names.ts'
import type { AdapterConfig } from '../model/peft.ts'
import { decodeAdapter, encodeAdapter, formatAdapterConfig, parseAdapterConfig } from '../model/peft.ts'
import type { Weights } from '../model/weights.ts'
import { openWeights } from '../model/weights.ts'
import type { Crc32c } from '../wire/frame.ts'
import { isFile, openSource, readBytes, readText, saveTogether } from './files.ts'
import { joinPath, nameOf } from './path.ts'

/** Whoever opens it closes it: its weights are read when they are wanted. */
export type Model = {
  name: string
  directory: string
  config: ModelConfig
  weights: Weights
  /** CRC32C of the configuration and of the weight file's header: enough to tell models apart without reading them. */
  fingerprint: number
  close(): Promise<void>
}

/** The bundled base, or a Hugging Face directory. */
export function modelDirectory(files: Files, directory: string | undefined): string {
  return directory ?? files.asset('bundled/base')
}

const PREFIX_BYTES = 8
const HEADER_PART_BYTES = 1 << 16

export async function openModel(files: Files, directory: string, crc32c: Crc32c): Promise<Model> {
  const configFile = joinPath(directory, 'config.json')
  const configText = await readText(files, configFile)
  const config = parseConfig(configText, configFile)
  const source = await openSource(files, joinPath(directory, 'model.safetensors'))
  try {
    const weights = await openWeights(source)
    const header = await source.read(0, Math.min(source.bytes, PREFIX_BYTES + HEADER_PART_BYTES))
    const fingerprint = (crc32c(new TextEncoder().encode(configText)) ^ crc32c(header)) >>> 0
    return { name: nameOf(directory), directory, config, weights, fingerprint, close: () => source.close() }
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
  return { tokenizerJson: await optional('tokenizer.json'), vocabText: await optional('vocab.txt'), tokenizerConfig: await optional('tokenizer_config.json') }
}

export async function openTokenizer(files: Files, { directory, config }: Pick<Model, 'directory' | 'config'>): Promise<Tokenizer> {
  const tokenizer = createTokenizer(await readTokenizerFiles(files, directory))
  const { vocabSize } = tokenizer
  if (vocabSize > config.vocabSize) refuse('model-vocab', `${directory}/vocab.txt`, `at most ${config.vocabSize} pieces as in config.json`, vocabSize)
  return tokenizer
}

/** The bundled sentences. */
export function bundledData(files: Files): { train: string; validation: string } {
  return { train: files.asset('bundled/emotions/train.txt'), validation: files.asset('bundled/emotions/test.txt') }
}

/** Reads a data file once, as a pipe can be: names and tokens both come of these rows. */
export async function readRows(files: Files, path: string): Promise<Rows> {
  return parseRows(path, await readText(files, path))
}

/** Tokens of one text: as many as asked for, or fewer where the model has fewer positions. */
export function limitLength(maxLength: number, { config }: Pick<Model, 'config'>): number {
  return Math.min(maxLength, config.positionsMax)
}

/** The classifier that a model's file brings; refuses one of other labels. */
export async function readClassifier({ config, weights }: Model, labels: number): Promise<Map<string, Float32Array> | null> {
  if (!weights.has('classifier.weight')) return null
  const tensors = new Map<string, Float32Array>()
  for (const { name, shape } of classifierTensors(config, labels)) {
    const values = Float32Array.from(widenTensor(await weights.read(name, shape)))
    if (!values.every(Number.isFinite)) refuse('weights.finite', `weights.${name}`, 'finite values', 'NaN or infinity')
    tensors.set(name, values)
  }
  return tensors
}

export async function readAdapterConfig(files: Files, directory: string): Promise<AdapterConfig> {
  const file = joinPath(directory, 'adapter_config.json')
  return parseAdapterConfig(await readText(files, file), file)
}

export async function readAdapter(
  files: Files, directory: string, config: ModelConfig, adapter: AdapterConfig, layout: Layout, labels: number,
): Promise<Float32Array> {
  const file = joinPath(directory, 'adapter_model.safetensors')
  return joinVector(layout, decodeAdapter(await readBytes(files, file), config, adapter, labels, file))
}

/** Writes a PEFT directory, each file whole or not at all, weights last. */
export function writeAdapter(
  files: Files, directory: string, vector: Float32Array, layout: Layout, model: Pick<Model, 'name' | 'config'>, adapter: AdapterConfig,
  labels: readonly string[],
): Promise<void> {
  return saveTogether(files, {
    [joinPath(directory, 'adapter_config.json')]: formatAdapterConfig(adapter, model.name),
    [joinPath(directory, 'labels.json')]: `${JSON.stringify(labels)}\n`,
    [joinPath(directory, 'adapter_model.safetensors')]: encodeAdapter(splitVector(layout, vector), model.config, adapter, labels.length),
  })
}
