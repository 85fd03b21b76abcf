/** BERT's published sizes (Devlin et al. 2018; the small ones Turc et al. 2019), and weights to run them with where only speed matters. */
import type { ModelConfig } from '../model/config.ts'
import { countOf } from '../model/layout.ts'
import type { Weights } from '../model/weights.ts'
import { createRandom } from '../random.ts'

export const PRESETS = ['tiny', 'mini', 'base'] as const
export type Preset = (typeof PRESETS)[number]

const SHAPES: Readonly<Record<Preset, Pick<ModelConfig, 'layers' | 'hiddenSize' | 'heads' | 'intermediateSize'>>> = {
  tiny: { layers: 2, hiddenSize: 128, heads: 2, intermediateSize: 512 },
  mini: { layers: 4, hiddenSize: 256, heads: 4, intermediateSize: 1024 },
  base: { layers: 12, hiddenSize: 768, heads: 12, intermediateSize: 3072 },
}

export function presetConfig(preset: Preset): ModelConfig {
  return { ...SHAPES[preset], vocabSize: 30522, positionsMax: 512, typesMax: 2, layerNormEps: 1e-12, labels: [] }
}

/** What is drawn; longer tensors repeat it. */
const DRAWN = 1 << 16

/** Uniform in ±`bound`, repeated after 65,536 values. */
export function fillDrawn(out: Float32Array, bound: number, index = 0): void {
  const random = createRandom(1, 'weights', index)
  const drawn = Math.min(out.length, DRAWN)
  for (let i = 0; i < drawn; i++) out[i] = bound * (2 * random.uniform() - 1)
  for (let filled = drawn; filled < out.length; filled *= 2) out.set(out.subarray(0, Math.min(filled, out.length - filled)), filled)
}

/** As small as gradients are in training. */
const GRADIENT_BOUND = 1e-3

/** `count` values of a gradient, the same each time. */
export function drawGradient(count: number): Float32Array {
  const gradient = new Float32Array(count)
  fillDrawn(gradient, GRADIENT_BOUND)
  return gradient
}

/** BERT's initial deviation 0.02 as a uniform distribution. */
const BOUND = 0.02 * Math.sqrt(3)

/** Weights of any shape: gains 1, biases 0, all else drawn. */
export function drawWeights(): Weights {
  return {
    names: [], has: () => true,
    async read(name, shape) {
      const values = new Float32Array(countOf(shape))
      if (name.endsWith('LayerNorm.weight')) values.fill(1)
      else if (!name.endsWith('.bias')) fillDrawn(values, BOUND)
      return { dtype: 'F32', data: new Uint8Array(values.buffer) }
    },
  }
}
