/**
 * An adapter folded into the weights it adapts (Hu et al. 2021, section 4.1):
 *   W' = W + (alpha / rank) · B·A
 * W [O, I], A [R, I], B [O, R]. Sums run in f64 and are rounded once, to the type that is stored.
 */
import { refuse } from '../error.ts'
import { floatFromHalf, halfFromFloat } from '../wire/codec.ts'
import type { TensorInput } from '../wire/safetensors.ts'
import type { ModelConfig } from './config.ts'
import type { TensorMap } from './layout.ts'
import { blockTensors, classifierTensors, embeddingTensors, poolerTensors } from './names.ts'
import type { AdapterConfig } from './peft.ts'
import type { WeightTensor, Weights } from './weights.ts'

export const MERGE_DTYPES = ['f32', 'f16'] as const
export type MergeDtype = (typeof MERGE_DTYPES)[number]

/**
 * The tensors of BertForSequenceClassification in transformers' names, one at a time.
 * `adapter` holds a whole set by Kerf's names, the classifier among it.
 * Throws a KerfError for what the weights lack, and for a value over f16's range.
 */
export async function* mergeTensors(
  config: ModelConfig, weights: Weights, labels: number, lora: AdapterConfig, adapter: TensorMap, dtype: MergeDtype,
): AsyncGenerator<TensorInput> {
  const blocks = Array.from({ length: config.layers }, (_, block) => blockTensors(config, block)).flat()
  for (const { name, shape } of [...embeddingTensors(config), ...blocks, ...poolerTensors(config)]) {
    const values = widenTensor(await weights.read(name, shape))
    const module = name.replace(/\.weight$/, '')
    const A = adapter.get(`${module}.lora_A`), B = adapter.get(`${module}.lora_B`)
    if (A && B) addProduct(values, A, B, lora)
    yield narrow(`bert.${name}`, shape, values, dtype)
  }
  for (const { name, shape } of classifierTensors(config, labels)) {
    const values = adapter.get(name) ?? refuse('adapter-missing', name, 'a tensor of the adapter', 'none')
    yield narrow(name, shape, Float64Array.from(values), dtype)
  }
}

/** values [O, I] += scale · B·A. */
function addProduct(values: Float64Array, A: Float32Array, B: Float32Array, { rank, alpha }: AdapterConfig): void {
  const inputs = A.length / rank
  const row = new Float64Array(inputs)
  for (let begin = 0, output = 0; begin < values.length; begin += inputs, output++) {
    row.fill(0)
    for (let r = 0; r < rank; r++) {
      const b = B[output * rank + r]
      for (let i = 0; i < inputs; i++) row[i] += b * A[r * inputs + i]
    }
    for (let i = 0; i < inputs; i++) values[begin + i] += (alpha / rank) * row[i]
  }
}

/** A tensor's values, exact; NaN for an infinite f16. The data may lie unaligned in the file's bytes. */
export function widenTensor({ dtype, data }: WeightTensor): Float64Array {
  const { buffer } = new Uint8Array(data)
  if (dtype === 'F32') return Float64Array.from(new Float32Array(buffer))
  const words = new Uint16Array(buffer)
  if (dtype === 'F16') return Float64Array.from(words, (word) => ((word & F16_INFINITY) === F16_INFINITY ? NaN : floatFromHalf(word)))
  return Float64Array.from(new Float32Array(Uint32Array.from(words, (word) => word << 16).buffer))
}

const F16_LARGEST = 65504
const F16_INFINITY = 0x7c00

function narrow(name: string, shape: readonly number[], values: Float64Array, dtype: MergeDtype): TensorInput {
  const strange = values.findIndex((value) => !Number.isFinite(value) || (dtype === 'f16' && Math.abs(value) > F16_LARGEST))
  const allowed = dtype === 'f16' ? `at most ${F16_LARGEST}, the largest f16` : 'a finite value'
  if (strange >= 0) refuse('merge-range', `${name}[${strange}]`, allowed, values[strange])
  const stored = dtype === 'f32' ? new Float32Array(values) : Uint16Array.from(values, (value) => halfFromFloat(roundToOdd(value)))
  return { name, dtype: dtype === 'f32' ? 'F32' : 'F16', shape, data: new Uint8Array(stored.buffer) }
}

/**
 * A f32 that rounds to the same f16 as `value` does: where f32 cannot hold the value, the
 * neighbour with an odd last bit, so that no tie arises that was none (Boldo and Melquiond 2008).
 */
function roundToOdd(value: number): number {
  FLOAT[0] = value
  if (FLOAT[0] === value || BITS[0] & 1) return FLOAT[0]
  // The even neighbour was nearer; the odd one lies on the value's other side.
  BITS[0] += Math.abs(FLOAT[0]) < Math.abs(value) ? 1 : -1
  return FLOAT[0]
}

const FLOAT = new Float32Array(1)
const BITS = new Uint32Array(FLOAT.buffer)
