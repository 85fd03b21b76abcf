/**
 * How large an activation at a cut can be. A block ends in a layer norm with frozen gain γ and bias β [C]: its normalised
 * values have squares that sum to C and a mean of 0, so that none exceeds √(C − 1), whatever text and adapters came before.
 */
import { floatFromHalf } from '../wire/codec.f16.ts'
import type { ModelConfig } from './config.ts'
import { blockName } from './names.ts'
import type { WeightTensor, Weights } from './weights.ts'

/** For rounding, a codec's included. */
const SLACK = 1.01

function floatsOf({ dtype, data }: WeightTensor): Float32Array {
  if (dtype === 'F32') return new Float32Array(data.slice().buffer)
  const halves = new Uint16Array(data.slice().buffer)
  if (dtype === 'F16') return Float32Array.from(halves, floatFromHalf)
  return new Float32Array(Uint32Array.from(halves, (half) => half << 16).buffer)
}

/** The largest magnitude of block `cut` − 1's output. */
export async function activationMax({ hiddenSize }: ModelConfig, weights: Weights, cut: number): Promise<number> {
  const norm = `${blockName(cut - 1)}.output.LayerNorm`
  const read = async (part: string) => floatsOf(await weights.read(`${norm}.${part}`, [hiddenSize]))
  const gain = await read('weight'), bias = await read('bias')
  const top = Math.sqrt(hiddenSize - 1)
  return SLACK * gain.reduce((largest, value, channel) => Math.max(largest, top * Math.abs(value) + Math.abs(bias[channel])), 0)
}
