/**
 * The tensors of a BERT encoder: their names and shapes, in one place.
 *
 * Inside Kerf a tensor bears Hugging Face's name without the `bert.` prefix.
 * A linear layer's weight is [out, in], as PyTorch stores it.
 * C width, F hidden, V vocabulary.
 */
import { refuse } from '../error.ts'
import type { ModelConfig } from './config.ts'

export type TensorShape = { name: string; shape: readonly number[] }

export type LinearKey = 'query' | 'key' | 'value' | 'attention' | 'up' | 'down'

/** A width of the model: C = hiddenSize, F = intermediateSize. */
export type Width = 'C' | 'F'

export type Linear = { key: LinearKey; module: string; input: Width; output: Width }

/** The six linear layers of a block, in the order in which adapters are laid out. */
export const LINEARS: readonly Linear[] = [
  { key: 'query', module: 'attention.self.query', input: 'C', output: 'C' },
  { key: 'key', module: 'attention.self.key', input: 'C', output: 'C' },
  { key: 'value', module: 'attention.self.value', input: 'C', output: 'C' },
  { key: 'attention', module: 'attention.output.dense', input: 'C', output: 'C' },
  { key: 'up', module: 'intermediate.dense', input: 'C', output: 'F' },
  { key: 'down', module: 'output.dense', input: 'F', output: 'C' },
]

/** The number of features that a width stands for. */
export function widthOf(config: ModelConfig, width: Width): number {
  return width === 'C' ? config.hiddenSize : config.intermediateSize
}

/** The prefix of a block's tensors: `encoder.layer.3`. */
export function blockName(block: number): string {
  return `encoder.layer.${block}`
}

function linear(name: string, output: number, input: number): TensorShape[] {
  return [{ name: `${name}.weight`, shape: [output, input] }, { name: `${name}.bias`, shape: [output] }]
}

function layerNorm(name: string, width: number): TensorShape[] {
  return [{ name: `${name}.weight`, shape: [width] }, { name: `${name}.bias`, shape: [width] }]
}

/** Word [V, C], position and type tables, then the layer norm. */
export function embeddingTensors(config: ModelConfig): readonly TensorShape[] {
  const C = config.hiddenSize
  return [
    { name: 'embeddings.word_embeddings.weight', shape: [config.vocabSize, C] },
    { name: 'embeddings.position_embeddings.weight', shape: [config.positionsMax, C] },
    { name: 'embeddings.token_type_embeddings.weight', shape: [config.typesMax, C] },
    ...layerNorm('embeddings.LayerNorm', C),
  ]
}

/** The sixteen tensors of one block, in the order in which the forward pass meets them. */
export function blockTensors(config: ModelConfig, block: number): readonly TensorShape[] {
  const C = config.hiddenSize
  const prefix = blockName(block)
  return LINEARS.flatMap(({ key, module, input, output }) => {
    const tensors = linear(`${prefix}.${module}`, widthOf(config, output), widthOf(config, input))
    if (key === 'attention') tensors.push(...layerNorm(`${prefix}.attention.output.LayerNorm`, C))
    if (key === 'down') tensors.push(...layerNorm(`${prefix}.output.LayerNorm`, C))
    return tensors
  })
}

/** The dense layer over the first token's row: [C, C] and [C]. */
export function poolerTensors(config: ModelConfig): readonly TensorShape[] {
  return linear('pooler.dense', config.hiddenSize, config.hiddenSize)
}

/** The classification head: [labels, C] and [labels]. */
export function classifierTensors(config: ModelConfig, labels: number): readonly TensorShape[] {
  return linear('classifier', labels, config.hiddenSize)
}

/** The masked-language head; its decoder matrix is the word embedding table, so only a bias [V] is its own. */
export function mlmTensors(config: ModelConfig): readonly TensorShape[] {
  const C = config.hiddenSize
  return [
    ...linear('cls.predictions.transform.dense', C, C),
    ...layerNorm('cls.predictions.transform.LayerNorm', C),
    { name: 'cls.predictions.bias', shape: [config.vocabSize] },
  ]
}

/** Kerf's name for a file's tensor: no `bert.` prefix; TensorFlow's `gamma` and `beta` become `weight` and `bias`. */
export function canonicalName(fileName: string): string {
  return fileName.replace(/^bert\./, '').replace(/\.gamma$/, '.weight').replace(/\.beta$/, '.bias')
}

const ALL_TARGETS = ['all', 'all-linear']

/** The names that `expandTargets` knows, for messages and help. */
const TARGET_NAMES = [...new Set([...LINEARS.map(({ key }) => key), ...LINEARS.map(({ module }) => module), ...ALL_TARGETS])]

function matchTarget(target: string, field: string): readonly LinearKey[] {
  if (ALL_TARGETS.includes(target)) return LINEARS.map(({ key }) => key)
  const short = LINEARS.find(({ key }) => key === target)
  if (short) return [short.key]
  if (target === 'dense') {
    refuse('targets-ambiguous', field, 'a longer name, since this one also means the frozen pooler', target)
  }
  const matched = LINEARS.filter(({ module }) => module === target || module.endsWith(`.${target}`))
  if (matched.length === 0) refuse('targets-unknown', field, `one of ${TARGET_NAMES.join(', ')}`, target)
  return matched.map(({ key }) => key)
}

/**
 * The linear layers that a list of target names means, each once, in the order of `LINEARS`.
 * A name is Kerf's key, `all` or `all-linear`, or a module path under PEFT's suffix
 * rule (`output.dense` means both attention's and the block's output).
 * Throws a KerfError for an empty list, an unknown name, and for `dense`.
 */
export function expandTargets(list: readonly string[], field = 'targets'): readonly LinearKey[] {
  if (list.length === 0) refuse('targets-empty', field, 'at least one linear layer', 'none')
  const chosen = new Set(list.flatMap((target) => matchTarget(target, field)))
  return LINEARS.map(({ key }) => key).filter((key) => chosen.has(key))
}
