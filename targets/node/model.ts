/** Models, data and adapters as they lie on disk. */
import { existsSync } from 'node:fs'
import { basename, join } from 'node:path'
import { refuse } from '../../runtime/error.ts'
import type { ModelConfig } from '../../runtime/model/config.ts'
import { parseConfig } from '../../runtime/model/config.ts'
import type { Dataset, TokenizedDataset } from '../../runtime/data/dataset.ts'
import { parseDataset, tokenizeDataset } from '../../runtime/data/dataset.ts'
import type { Layout } from '../../runtime/model/layout.ts'
import { joinVector, splitVector } from '../../runtime/model/layout.ts'
import { widenTensor } from '../../runtime/model/merge.ts'
import { classifierTensors } from '../../runtime/model/names.ts'
import type { AdapterConfig } from '../../runtime/model/peft.ts'
import { decodeAdapter, encodeAdapter, formatAdapterConfig, parseAdapterConfig } from '../../runtime/model/peft.ts'
import type { Tokenizer, TokenizerFiles } from '../../runtime/data/tokens.ts'
import { createTokenizer } from '../../runtime/data/tokens.ts'
import type { Weights } from '../../runtime/model/weights.ts'
import { openWeights } from '../../runtime/model/weights.ts'
import type { Crc32c } from '../../runtime/wire/frame.ts'
import { findAsset, openSource, readBytes, readText, saveTogether } from './host.ts'

export type Model = {
  name: string
  directory: string
  config: ModelConfig
  weights: Weights
  /** CRC32C of the configuration and of the weight file's header: enough to tell models apart without reading them. */
  fingerprint: number
}

/** The bundled base, or a Hugging Face directory. */
export function modelDirectory(option: string | undefined): string {
  return option ?? findAsset('bundled/base')
}

const PREFIX_BYTES = 8
const HEADER_PART_BYTES = 1 << 16

export async function openModel(directory: string, crc32c: Crc32c): Promise<Model> {
  const configText = readText(join(directory, 'config.json'))
  const config = parseConfig(configText, join(directory, 'config.json'))
  const source = openSource(join(directory, 'model.safetensors'))
  const weights = await openWeights(source)
  const header = await source.read(0, Math.min(source.bytes, PREFIX_BYTES + HEADER_PART_BYTES))
  const fingerprint = (crc32c(new TextEncoder().encode(configText)) ^ crc32c(header)) >>> 0
  return { name: basename(directory), directory, config, weights, fingerprint }
}

/** A model directory's tokenizer files, those that it has. */
export function readTokenizerFiles(directory: string): TokenizerFiles {
  const optional = (file: string) => (existsSync(join(directory, file)) ? readText(join(directory, file)) : undefined)
  return { tokenizerJson: optional('tokenizer.json'), vocabText: optional('vocab.txt'), tokenizerConfig: optional('tokenizer_config.json') }
}

export function openTokenizer({ directory, config }: Pick<Model, 'directory' | 'config'>): Tokenizer {
  const tokenizer = createTokenizer(readTokenizerFiles(directory))
  const { vocabSize } = tokenizer
  if (vocabSize > config.vocabSize) refuse('model-vocab', `${directory}/vocab.txt`, `at most ${config.vocabSize} pieces as in config.json`, vocabSize)
  return tokenizer
}

export type DataFiles = { train: string; validation: string }

/** The bundled sentences. */
export function bundledData(): DataFiles {
  return { train: findAsset('bundled/emotions/train.txt'), validation: findAsset('bundled/emotions/test.txt') }
}

export function readDataset(path: string, labels?: readonly string[]): Dataset {
  return parseDataset(path, readText(path), { labels })
}

export function readTokens(path: string, tokenizer: Tokenizer, labels: readonly string[], maxLength: number, truncate: boolean): TokenizedDataset {
  return tokenizeDataset(readDataset(path, labels), tokenizer, maxLength, truncate)
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

export function readAdapterConfig(directory: string): AdapterConfig {
  const file = join(directory, 'adapter_config.json')
  return parseAdapterConfig(readText(file), file)
}

export function readAdapter(directory: string, config: ModelConfig, adapter: AdapterConfig, layout: Layout, labels: number): Float32Array {
  const file = join(directory, 'adapter_model.safetensors')
  return joinVector(layout, decodeAdapter(readBytes(file), config, adapter, labels, file))
}

/** Writes a PEFT directory, each file whole or not at all, weights last. */
export function writeAdapter(directory: string, vector: Float32Array, layout: Layout, model: Model, adapter: AdapterConfig, labels: readonly string[]): void {
  saveTogether({
    [join(directory, 'adapter_config.json')]: formatAdapterConfig(adapter, model.name),
    [join(directory, 'labels.json')]: `${JSON.stringify(labels)}\n`,
    [join(directory, 'adapter_model.safetensors')]: encodeAdapter(splitVector(layout, vector), model.config, adapter, labels.length),
  })
}
