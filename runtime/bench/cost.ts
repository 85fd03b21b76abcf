/**
 * What an operation costs, counted from its sizes.
 *
 * flops: IEEE operations as the scalar form in `assembly/` writes them: adds, multiplications, divisions, roots, minima,
 * maxima, roundings; a multiply-add counts two. Moves, bit operations and integers count none.
 * bytes: each tensor that is read or written once, one that is added to twice; scratch counts none. Frozen weights count
 * in the format that they are held in, and one multiplication for each value that is widened from it.
 * N rows, S sequences, T rows of one, C width, F hidden, H heads, O outputs, I inputs, R rank, V vocabulary, K classes.
 */

import type { WeightFormat } from '../kernel/format.ts'
import { formatBytes } from '../kernel/format.ts'

/** `multiplyAdds` are those of matrix products, two flops each, which `flops` includes. */
export type Cost = { multiplyAdds: number; flops: number; bytes: number }

const FLOAT_BYTES = 4

/** Flops of one value: exp32 and erf32 of `assembly/math.ts`, and what stands around them. */
const EXP = 25, ERF = 25
const GELU = ERF + 4
const GELU_BACKWARD = ERF + EXP + 9
/** Factor, maximum, difference, exp, sum, factor. */
const SOFTMAX = EXP + 5
/** With the row's dot product: dot 2, difference, two factors. */
const SCORES_BACKWARD = 5
/** Sum, squares 3, normal 2, gain, bias; its backward: product, sum, normal product and sum 4, then 6. */
const NORM = 8, NORM_BACKWARD = 12
/** Mean 3, square 4, denominator 3, step 4. */
const ADAMW = 14
/** Magnitude, maximum, division, rounding, two bounds. */
const QUANTIZE = 6
/** |x| < 0.625 by its polynomial: square, 4 × 2, product, product and sum. */
const TANH = 12

function cost(multiplyAdds: number, elementFlops: number, floats: number, bytes = 0): Cost {
  return { multiplyAdds, flops: 2 * multiplyAdds + elementFlops, bytes: FLOAT_BYTES * floats + bytes }
}

/** All three forms of the product: forward [N, O], its input's gradient [N, I], its weight's [O, I]. */
export function productCost(N: number, O: number, I: number, accumulate = false): Cost {
  return cost(N * O * I, 0, N * O + N * I + O * I + (accumulate ? O * I : 0))
}

/** What reading `rows` rows of a frozen matrix takes, int8's scales included. */
function readCost(format: WeightFormat, rows: number, width: number): { flops: number; bytes: number } {
  const count = rows * width
  return { flops: format === 'f32' ? 0 : count, bytes: count * formatBytes(format) + (format === 'int8' ? FLOAT_BYTES * rows : 0) }
}

/** y [N, O] and t [N, R]; R 0: no adapter. */
export function linearCost(N: number, O: number, I: number, R: number, format: WeightFormat): Cost {
  const weight = readCost(format, O, I)
  return cost(N * (O * I + R * (O + I)), N * R + weight.flops, N * I + O + N * O + R * (O + I + N), weight.bytes)
}

export type LinearBackward = {
  N: number; O: number; I: number; R: number; format: WeightFormat; wanted: boolean; accumulate: boolean; weight?: boolean
}

/** `wanted`: dx is computed; `accumulate`: it is added to; `weight`: weight and bias are trained too. */
export function linearBackwardCost({ N, O, I, R, format, wanted, accumulate, weight = false }: LinearBackward): Cost {
  const frozen = wanted ? readCost(format, O, I) : { flops: 0, bytes: 0 }
  const products = (wanted ? O * I + R * I : 0) + R * (2 * O + I) + (weight ? O * I : 0)
  const dx = wanted ? N * I * (accumulate ? 2 : 1) : 0
  // Both adapter matrices, their gradients, t; and the layer's input wherever a gradient multiplies it.
  const pairs = R > 0 ? 3 * R * (O + I) + R * N : 0
  const x = R > 0 || weight ? N * I : 0
  const floats = N * O + dx + pairs + x + (weight ? 2 * (O * I + O) : 0)
  return cost(N * products, N * R + (weight ? N * O : 0) + frozen.flops, floats, frozen.bytes)
}

/** `lengths` counts each sequence's rows. */
export function attentionCost(lengths: readonly number[], H: number, C: number): Cost {
  const rows = sum(lengths), squares = sum(lengths.map((T) => T * T))
  return cost(2 * C * squares, SOFTMAX * H * squares, 4 * rows * C)
}

/** Probabilities again, then four products. */
export function attentionBackwardCost(lengths: readonly number[], H: number, C: number): Cost {
  const rows = sum(lengths), squares = sum(lengths.map((T) => T * T))
  return cost(5 * C * squares, (SOFTMAX + SCORES_BACKWARD) * H * squares, 7 * rows * C)
}

export const geluCost = (n: number): Cost => cost(0, GELU * n, 2 * n)
export const geluBackwardCost = (n: number): Cost => cost(0, GELU_BACKWARD * n, 3 * n)
export const tanhCost = (n: number): Cost => cost(0, TANH * n, 2 * n)
export const tanhBackwardCost = (n: number): Cost => cost(0, 3 * n, 3 * n)
export const layerNormCost = (N: number, C: number): Cost => cost(0, NORM * N * C, 2 * N * C + 2 * N + 2 * C)
/** Without gradients of gain and bias, as LoRA trains. */
export const layerNormBackwardCost = (N: number, C: number): Cost => cost(0, NORM_BACKWARD * N * C, 3 * N * C + 2 * N + C)
export const softmaxCost = (N: number, K: number): Cost => cost(0, SOFTMAX * N * K, 2 * N * K)
/** Maximum, difference, exp, sum, factor. */
export const crossEntropyCost = (N: number, K: number): Cost => cost(0, (EXP + 4) * N * K, 2 * N * K + 2 * N)
/** Three tables' rows, and ids. */
export function embeddingCost(N: number, C: number, format: WeightFormat): Cost {
  const tables = readCost(format, 3 * N, C)
  return cost(0, 2 * N * C + tables.flops, N * C + N, tables.bytes)
}
export const addCost = (n: number): Cost => cost(0, n, 3 * n)
/** Rows copied, or with `add` added to others. */
export const gatherCost = (N: number, C: number, add = false): Cost => cost(0, add ? N * C : 0, (add ? 3 : 2) * N * C + N)
export const copyCost = (n: number): Cost => cost(0, 0, 2 * n)
export const fillCost = (n: number): Cost => cost(0, 0, n)
/** Parameters and two moments are read and written, gradients read. */
export const adamwCost = (n: number): Cost => cost(0, ADAMW * n, 7 * n)
export const checksumCost = (bytes: number): Cost => cost(0, 0, 0, bytes)
export const halfCost = (n: number): Cost => cost(0, 0, n, 2 * n)
export const quantizeCost = (N: number, C: number): Cost => cost(0, QUANTIZE * N * C, N * C + N, N * C)
export const dequantizeCost = (N: number, C: number): Cost => cost(0, N * C, N * C + N, N * C)

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
