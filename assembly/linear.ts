/**
 * The linear layer with its LoRA adapter (Hu et al. 2021, section 4.1), fused:
 *   y = x·Wᵀ + b + t·Bᵀ,  t = s·x·Aᵀ
 * Saved for backward: x and t [N, R].
 *   dt = s·dy·B
 *   dx = dy·W + dt·A
 *   dB += dyᵀ·t,  dA += dtᵀ·x,  dW += dyᵀ·x,  db += Σ dy
 */
import { biasBackward, broadcastRow, scale } from './elementwise'
import { matmul, matmulBackwardInput, matmulBackwardWeight, productScratchBytes } from './matmul'
import { Linear } from './records'

/** Scratch for both directions. */
export function linearScratchBytes(N: i32, inputs: i32, outputs: i32, rank: i32): i32 {
  return 4 * N * rank + productScratchBytes(max(max(inputs, outputs), rank))
}

export function linear(y: usize, t: usize, x: usize, layer: Linear, N: i32, scratch: usize): void {
  const O = layer.outputs, I = layer.inputs, R = layer.rank
  if (layer.bias) broadcastRow(y, layer.bias, N, O)
  matmul(y, x, layer.weight, N, O, I, i32(layer.bias != 0), scratch)
  if (layer.loraA) {
    matmul(t, x, layer.loraA, N, R, I, 0, scratch)
    scale(t, t, layer.scale, N * R)
    matmul(y, t, layer.loraB, N, O, R, 1, scratch)
  }
}

/** dx (0: not wanted) is overwritten, or added to when `accumulate`; gradients are added to. */
export function linearBackward(
  dx: usize, dy: usize, x: usize, t: usize, layer: Linear, N: i32, accumulate: i32, scratch: usize
): void {
  const O = layer.outputs, I = layer.inputs, R = layer.rank
  const dt = scratch
  const rest = scratch + (usize(N * R) << 2)
  if (dx) matmulBackwardInput(dx, dy, layer.weight, N, O, I, accumulate, rest)
  if (layer.dWeight) matmulBackwardWeight(layer.dWeight, dy, x, N, O, I, 1, rest)
  if (layer.dBias) biasBackward(layer.dBias, dy, N, O)
  if (layer.loraA) {
    matmulBackwardInput(dt, dy, layer.loraB, N, O, R, 0, rest)
    scale(dt, dt, layer.scale, N * R)
    if (dx) matmulBackwardInput(dx, dt, layer.loraA, N, R, I, 1, rest)
    if (layer.dLoraB) matmulBackwardWeight(layer.dLoraB, dy, t, N, O, R, 1, rest)
    if (layer.dLoraA) matmulBackwardWeight(layer.dLoraA, dt, x, N, R, I, 1, rest)
  }
}
