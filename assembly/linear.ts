/**
 * The linear layer with its LoRA adapter (Hu et al. 2021, section 4.1), fused:
 *   y = x·Wᵀ + b + t·Bᵀ,  t = s·x·Aᵀ
 * Saved for backward: x and t [N, R].
 *   dt = s·dy·B
 *   dx = dy·W + dt·A
 *   dB += dyᵀ·t,  dA += dtᵀ·x,  dW += dyᵀ·x,  db += Σ dy
 * Rows don't depend on one another but in the parameters' gradients, so backward comes in two parts: one for the inputs,
 * whose adapter's part may be split by rows, and one over all rows that may be given any share of the outputs.
 */
import { biasBackward, rowsAt, scale } from './elementwise'
import { matmul, matmulBackwardInput, product, productFrom, productScratchBytes } from './matmul'
import { Linear } from './records'
import { shareBegin } from './team'

/** Scratch for both directions: dt [N, R], then a product's own. */
export function linearScratchBytes(N: i32, inputs: i32, outputs: i32, rank: i32): i32 {
  return 4 * N * rank + productScratchBytes(max(max(inputs, outputs), rank))
}

/** y [N, outputs] and t [N, R]; scratch: productScratchBytes. */
export function linear(y: usize, t: usize, x: usize, layer: Linear, N: i32, scratch: usize): void {
  linearTeam(y, t, x, layer, N, 0, N, 0, scratch)
}

/**
 * The same by a team (`shared` as in productFrom), the adapter's part over rows [begin, end) by each of its threads, so
 * that a thread finds its own rows of y done and other threads' after the next barrier.
 */
export function linearTeam(
  y: usize, t: usize, x: usize, layer: Linear, N: i32, begin: i32, end: i32, shared: usize, scratch: usize
): void {
  const O = layer.outputs, I = layer.inputs, R = layer.rank, rows = end - begin
  productFrom(y, O, layer.bias, 0, x, I, 1, layer.weight, 1, I, layer.format, layer.scales, 1, N, O, I, shared, scratch)
  if (layer.loraA) {
    const tOwn = rowsAt(t, begin, R)
    matmul(tOwn, rowsAt(x, begin, I), layer.loraA, rows, R, I, 0, scratch)
    scale(tOwn, tOwn, layer.scale, rows * R)
    matmul(rowsAt(y, begin, O), tOwn, layer.loraB, rows, O, R, 1, scratch)
  }
}

/** dx (0: not wanted) is overwritten, or added to when `accumulate`; gradients are added to. Scratch: linearScratchBytes. */
export function linearBackward(
  dx: usize, dy: usize, x: usize, t: usize, layer: Linear, N: i32, accumulate: i32, scratch: usize
): void {
  const dt = scratch
  const rest = scratch + (usize(N * layer.rank) << 2)
  linearBackwardRows(dx, dt, dy, layer, N, accumulate, 0, N, 0, rest)
  linearBackwardParameters(dy, dt, x, t, layer, N, 0, 1, rest)
}

/** dx and dt [N, R], by a team as in linearTeam. */
export function linearBackwardRows(
  dx: usize, dt: usize, dy: usize, layer: Linear, N: i32, accumulate: i32, begin: i32, end: i32, shared: usize, scratch: usize
): void {
  const O = layer.outputs, I = layer.inputs, R = layer.rank, rows = end - begin
  if (dx) productFrom(dx, I, accumulate ? dx : 0, I, dy, O, 1, layer.weight, I, 1, layer.format, layer.scales, 0, N, I, O, shared, scratch)
  if (layer.loraA) {
    const dtOwn = rowsAt(dt, begin, R)
    matmulBackwardInput(dtOwn, rowsAt(dy, begin, O), layer.loraB, rows, O, R, 0, scratch)
    scale(dtOwn, dtOwn, layer.scale, rows * R)
    if (dx) matmulBackwardInput(rowsAt(dx, begin, I), dtOwn, layer.loraA, rows, R, I, 1, scratch)
  }
}

/** Whether a parameter of the layer is trained. */
export function hasGradients(layer: Linear): bool {
  return (layer.dWeight | layer.dBias | layer.dLoraA | layer.dLoraB) != 0
}

/** The gradients of share `part` of `parts` of the parameters, over all N rows. */
export function linearBackwardParameters(
  dy: usize, dt: usize, x: usize, t: usize, layer: Linear, N: i32, part: i32, parts: i32, scratch: usize
): void {
  const O = layer.outputs, I = layer.inputs, R = layer.rank
  const o = shareBegin(O, part, parts), outputs = shareBegin(O, part + 1, parts) - o
  const i = shareBegin(I, part, parts), inputs = shareBegin(I, part + 1, parts) - i
  const dyOwn = dy + (usize(o) << 2), xOwn = x + (usize(i) << 2)
  if (layer.dWeight) product(layer.dWeight + (usize(o * I) << 2), I, dyOwn, 1, O, x, I, 1, outputs, I, N, 1, scratch)
  if (layer.dBias) biasBackward(layer.dBias + (usize(o) << 2), dyOwn, N, outputs, O)
  if (layer.dLoraB) product(layer.dLoraB + (usize(o * R) << 2), R, dyOwn, 1, O, t, R, 1, outputs, R, N, 1, scratch)
  if (layer.dLoraA) product(layer.dLoraA + (usize(i) << 2), I, dt, 1, R, xOwn, I, 1, R, inputs, N, 1, scratch)
}
