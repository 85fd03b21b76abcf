/** A tiny BERT on disk, its data and its adapter: enough to run every command, small enough to run it in a second. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { ModelConfig } from '../runtime/model/config.ts'
import { formatConfig } from '../runtime/model/config.ts'
import { countOf } from '../runtime/model/layout.ts'
import { blockTensors, classifierTensors, embeddingTensors, poolerTensors } from '../runtime/model/names.ts'
import type { AdapterConfig } from '../runtime/model/peft.ts'
import { adapterTensors, encodeAdapter, formatAdapterConfig } from '../runtime/model/peft.ts'
import { createRandom } from '../runtime/random.ts'
import { encodeSafetensors } from '../runtime/wire/safetensors.ts'

export type TinyOptions = {
  layers?: number
  hidden?: number
  heads?: number
  intermediate?: number
  positions?: number
  /** Written as id2label, with a classifier among the weights. */
  labels?: readonly string[]
  seed?: number
}

const WORDS = [
  'the', 'a', 'rain', 'sun', 'road', 'house', 'bird', 'stone', 'river', 'tree', 'cold', 'warm', 'dark', 'bright', 'old', 'new', 'falls',
  'sings', 'runs', 'sleeps', 'waits', 'i', 'you', 'we', 'they', 'feel', 'see', 'hear', 'love', 'hate', 'fear', 'like', 'and', 'but',
  'not', 'very',
]
const SUFFIXES = ['s', 'ed', 'ing', 'er', ...'abcdefghijklmn']
const PIECES = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', ...WORDS, ...SUFFIXES.map((suffix) => `##${suffix}`)]

/** Weights are Gaussian of this deviation; with BERT's own 0.02 a width of 32 would leave nearly nothing of the input. */
const DEVIATION = 0.15
/** Large, so that different texts get different answers without any training. */
const ADAPTER_DEVIATION = 0.6

/** Writes config.json, vocab.txt and model.safetensors; returns the configuration. */
export function makeTinyModel(directory: string, options: TinyOptions = {}): ModelConfig {
  const { layers = 4, hidden = 32, heads = 4, intermediate = 48, positions = 32, labels = [], seed = 1 } = options
  const config: ModelConfig = {
    vocabSize: PIECES.length, hiddenSize: hidden, layers, heads, intermediateSize: intermediate,
    positionsMax: positions, typesMax: 2, layerNormEps: 1e-12, labels,
  }
  const shapes = [
    ...embeddingTensors(config), ...Array.from({ length: layers }, (_, block) => blockTensors(config, block)).flat(),
    ...poolerTensors(config), ...(labels.length > 0 ? classifierTensors(config, labels.length) : []),
  ]
  const tensors = shapes.map(({ name, shape }, index) => {
    const gain = name.endsWith('LayerNorm.weight') ? 1 : 0
    const values = gaussians(countOf(shape), DEVIATION, seed, index).map((value) => gain + value)
    const data = new Uint8Array(values.buffer)
    return { name: name.startsWith('classifier') ? name : `bert.${name}`, dtype: 'F32' as const, shape, data }
  })
  mkdirSync(directory, { recursive: true })
  writeFileSync(join(directory, 'config.json'), formatConfig(config))
  writeFileSync(join(directory, 'vocab.txt'), `${PIECES.join('\n')}\n`)
  writeFileSync(join(directory, 'model.safetensors'), encodeSafetensors(tensors, { format: 'pt' }))
  return config
}

/** Writes `rows` lines of `text;label`: 3 … 9 words, each label with a word of its own among them. */
export function makeTinyData(file: string, rows: number, labels: readonly string[], seed = 1): void {
  const random = createRandom(seed, 'shuffle')
  const pick = (count: number) => Math.floor(random.uniform() * count)
  const lines = Array.from({ length: rows }, () => {
    const label = pick(labels.length)
    const words = Array.from({ length: 3 + pick(7) }, () => WORDS[labels.length + pick(WORDS.length - labels.length)])
    words[pick(words.length)] = WORDS[label]
    return `${words.join(' ')};${labels[label]}`
  })
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, `${lines.join('\n')}\n`)
}

/** Writes a PEFT directory with random pairs and head, and labels.json when names are given. */
export function makeTinyAdapter(directory: string, config: ModelConfig, adapter: AdapterConfig, labels: readonly string[], seed = 2): void {
  const tensors = new Map(adapterTensors(config, adapter, labels.length).map(({ name, shape }, index) =>
    [name, gaussians(countOf(shape), name.endsWith('.bias') ? 0 : ADAPTER_DEVIATION, seed, index)]))
  mkdirSync(directory, { recursive: true })
  writeFileSync(join(directory, 'adapter_config.json'), formatAdapterConfig(adapter, 'tiny'))
  writeFileSync(join(directory, 'adapter_model.safetensors'), encodeAdapter(tensors, config, adapter, labels.length))
  writeFileSync(join(directory, 'labels.json'), `${JSON.stringify(labels)}\n`)
}

function gaussians(count: number, deviation: number, seed: number, index: number): Float32Array {
  const random = createRandom(seed, 'weights', index)
  // The sum of twelve uniforms has variance 1.
  return Float32Array.from({ length: count }, () => {
    let sum = -6
    for (let term = 0; term < 12; term++) sum += random.uniform()
    return deviation * sum
  })
}
