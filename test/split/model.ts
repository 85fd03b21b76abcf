/** A model of four small blocks in memory, its sentences and a run's contract: a whole run takes a few milliseconds. */
import { createChecksum } from '../../runtime/kernel/checksum.ts'
import type { KernelBuild } from '../../runtime/kernel/load.ts'
import { initialVector } from '../../runtime/model/initial.ts'
import type { ModelConfig } from '../../runtime/model/config.ts'
import type { TokenizedDataset } from '../../runtime/data/dataset.ts'
import { countOf, layoutOf } from '../../runtime/model/layout.ts'
import { blockTensors, embeddingTensors, poolerTensors } from '../../runtime/model/names.ts'
import type { AdapterConfig } from '../../runtime/model/peft.ts'
import type { Weights } from '../../runtime/model/weights.ts'
import { createRandom } from '../../runtime/random.ts'
import type { Contract } from '../../runtime/split/contract.ts'
import type { Crc32c } from '../../runtime/wire/frame.ts'
import { openKernelBuild } from '../kernels.ts'

export const LAYERS = 4
export const config: ModelConfig = {
  vocabSize: 30, hiddenSize: 24, layers: LAYERS, heads: 3, intermediateSize: 32, positionsMax: 12, typesMax: 2, layerNormEps: 1e-12, labels: [],
}
export const adapter: AdapterConfig = { rank: 2, alpha: 4, targets: ['query', 'value'] }
export const LABELS = ['joy', 'anger', 'fear']
export const layout = layoutOf(config, adapter, LABELS.length, 0, LAYERS)
export const RUN = 77
export const FINGERPRINT = 4242

/** Gaussian of this deviation; with BERT's own 0.02 so small a width would leave nearly nothing of the input. */
const DEVIATION = 0.15

/** Every tensor of such a model, drawn anew for each. */
export function makeWeights(config: ModelConfig): Weights {
  const values = new Map([
    ...embeddingTensors(config), ...Array.from({ length: config.layers }, (_, block) => blockTensors(config, block)).flat(), ...poolerTensors(config),
  ].map(({ name, shape }, index): [string, Float32Array] => {
    const random = createRandom(1, 'weights', index)
    const gain = name.endsWith('LayerNorm.weight') ? 1 : 0
    // The sum of twelve uniforms has variance 1.
    const draw = () => Array.from({ length: 12 }, () => random.uniform()).reduce((sum, term) => sum + term, -6)
    return [name, Float32Array.from({ length: countOf(shape) }, () => gain + DEVIATION * draw())]
  }))
  return {
    names: [...values.keys()],
    has: (name) => values.has(name),
    read: async (name) => ({ dtype: 'F32', data: new Uint8Array(values.get(name)!.slice().buffer) }),
  }
}

export const weights = makeWeights(config)

/** `count` sequences of 3 … 8 tokens; one token of each tells its label. */
export function makeSamples(count: number, seed: number): TokenizedDataset {
  const random = createRandom(seed, 'mask')
  const labels = Int32Array.from({ length: count }, () => random.below(LABELS.length))
  const sequences = Array.from(labels, (label) => {
    const ids = Int32Array.from({ length: 3 + random.below(6) }, () => LABELS.length + random.below(config.vocabSize - LABELS.length))
    ids[1 + random.below(ids.length - 1)] = label
    return ids
  })
  return { sequences, labels }
}

/** A share for each client, of unequal sizes. */
export function makeShares(clients: number): TokenizedDataset[] {
  return Array.from({ length: clients }, (_, client) => makeSamples(5 + 3 * client, 11 + client))
}

export function makeContract(changes: Partial<Contract> = {}): Contract {
  return {
    scheme: 'kerf', seed: 5, steps: 6, interval: 3, checkpointEvery: 0, batch: 3, maxLength: 12, truncate: false, shuffle: true,
    learningRate: 1e-2, weightDecay: 0, codec: 'f32', adapter, labels: LABELS, cuts: [1, 2], partition: 'contiguous', fingerprint: FINGERPRINT, ...changes,
  }
}

export async function makeInitial(seed: number, build: KernelBuild = 'simd'): Promise<Float32Array> {
  const { exports } = await openKernelBuild(build)
  return initialVector(layout, seed, exports)
}

let checksum: Crc32c | undefined

/** The simd kernel's CRC32C, whichever build computes the blocks. */
export async function openChecksum(): Promise<Crc32c> {
  checksum ??= createChecksum(await openKernelBuild('simd'))
  return checksum
}
