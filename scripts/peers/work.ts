/**
 * The work that is compared, as plain data that goes to participants in any language: shapes and tensors by name.
 * N rows, O outputs, I inputs, C width, F hidden, H heads, R rank.
 */
import type { ModelConfig } from '../../runtime/model/config.ts'
import { blockName, blockTensors, embeddingTensors } from '../../runtime/model/names.ts'
import type { TensorShape } from '../../runtime/model/names.ts'
import type { AdapterConfig } from '../../runtime/model/peft.ts'
import { adapterTensors } from '../../runtime/model/peft.ts'
import type { Tensor } from './numbers.ts'

/** `forward` y = x·Wᵀ, `input` dx = dOut·W, `weight` dW = dOutᵀ·x; out [N, O], W [O, I], x [N, I]. */
export const FORMS = ['forward', 'input', 'weight'] as const
export type Form = (typeof FORMS)[number]

export type ProductWork = { kind: 'product'; form: Form; N: number; O: number; I: number; a: Tensor; b: Tensor }

/** Multiply-adds in registers alone. */
export type PeakWork = { kind: 'peak' }

/**
 * Forward and backward of one block with adapters: gradients of the adapters and of the input. One run is a step on each
 * batch, given by its sequences' lengths; `padded` > 0 says that a participant without ragged batches pads to it.
 * The inputs are `xs` and `dOuts`, one of each for a batch.
 */
export type BlockWork = {
  kind: 'block'
  config: ModelConfig
  /** Index of the block, in whose name the tensors are. */
  block: number
  adapter: AdapterConfig
  weights: readonly Tensor[]
  lora: readonly Tensor[]
  batches: readonly (readonly number[])[]
  padded: number
  /** Matrices on int8's grid, so that those who hold them in int8 compute the same. */
  rounded: boolean
  xs: readonly Tensor[]
  dOuts: readonly Tensor[]
}

/** Embeddings and all blocks, forward, one text of `tokens` ids. */
export type ModelWork = { kind: 'model'; config: ModelConfig; weights: readonly Tensor[]; ids: readonly number[] }

/** A whole training step: forward, loss, backward and AdamW over adapters and head. Kerf alone. */
export type StepWork = { kind: 'step'; config: ModelConfig; adapter: AdapterConfig; labels: number; lengths: readonly number[] }

export type Work = ProductWork | PeakWork | BlockWork | ModelWork | StepWork

export const BERT_BASE: ModelConfig = {
  vocabSize: 30522, hiddenSize: 768, layers: 12, heads: 12, intermediateSize: 3072,
  positionsMax: 512, typesMax: 2, layerNormEps: 1e-12, labels: [],
}
export const LORA: AdapterConfig = { rank: 16, alpha: 32, targets: ['query', 'value'] }

/** Weights in the sizes that a trained BERT has, so that softmax and GELU see ordinary values. */
function toTensor({ name, shape }: TensorShape): Tensor {
  if (name.endsWith('LayerNorm.weight')) return { name, shape, scale: 0.1, center: 1 }
  return { name, shape, scale: name.endsWith('.bias') ? 0.02 : 0.0625, center: 0 }
}

export function describeProduct(form: Form, N: number, O: number, I: number): ProductWork {
  const tensor = (name: string, ...shape: number[]): Tensor => ({ name, shape, scale: 1, center: 0 })
  const out = tensor('dOut', N, O), w = tensor('w', O, I), x = tensor('x', N, I)
  const [a, b] = form === 'forward' ? [x, w] : form === 'input' ? [out, w] : [out, x]
  return { kind: 'product', form, N, O, I, a, b }
}

/** One block of BERT-base; `padded` as in BlockWork. */
export function describeBlock(batches: readonly (readonly number[])[], padded: number, rounded = false): BlockWork {
  const config = { ...BERT_BASE, layers: 2 }, block = 1
  const rows = batches.map((lengths) => lengths.reduce((sum, length) => sum + length, 0))
  const hidden = (name: string, scale: number) => rows.map((N, index): Tensor => (
    { name: `${name}.${index}`, shape: [N, config.hiddenSize], scale, center: 0 }))
  return {
    kind: 'block', config, block, adapter: LORA, batches, padded, rounded,
    weights: blockTensors(config, block).map(toTensor),
    lora: adapterTensors(config, LORA, 1).filter((tensor) => tensor.block === block).map(toTensor),
    // Uniform in ±√3 has variance 1, as a layer norm's output.
    xs: hidden('x', Math.sqrt(3)), dOuts: hidden('dOut', 1),
  }
}

export function describeModel(tokens: number): ModelWork {
  const config = BERT_BASE
  const shapes = [...embeddingTensors(config), ...Array.from({ length: config.layers }, (_, block) => blockTensors(config, block)).flat()]
  const ids = Array.from({ length: tokens }, (_, index) => (index * 7919 + 101) % config.vocabSize)
  return { kind: 'model', config, weights: shapes.map(toTensor), ids }
}

/** The name of a tensor of `work`'s block, such as `attention.self.query.weight`. */
export function nameIn(block: number, tensor: string): string {
  return `${blockName(block)}.${tensor}`
}
