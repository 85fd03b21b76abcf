/**
 * One encoder block of BERT (post-norm), forward and backward in one call each:
 *   sum1 = x + attention(x),  hidden = norm1(sum1)
 *   sum2 = hidden + down(gelu(up(hidden))),  out = norm2(sum2)
 * N rows of S ragged sequences, the longest of T rows.
 */
import { attention, attentionBackward, attentionScratchBytes } from './attention'
import { add } from './elementwise'
import { gelu, geluBackward } from './gelu'
import { linear, linearBackward, linearScratchBytes } from './linear'
import { layerNorm, layerNormBackward } from './norm'
import { Block, Saved } from './records'

/** Scratch of blockForward. */
export function blockForwardScratchBytes(N: i32, C: i32, H: i32, F: i32, R: i32, T: i32): i32 {
  return max(attentionScratchBytes(T, C / H), linearScratchBytes(N, max(C, F), max(C, F), R))
}

/** Scratch of blockBackward: gradients of five [N, C] and one [N, F], and the operations' own. */
export function blockBackwardScratchBytes(N: i32, C: i32, H: i32, F: i32, R: i32, T: i32): i32 {
  return 4 * (5 * N * C + N * F) + max(blockForwardScratchBytes(N, C, H, F, R, T), 4 * C)
}

/** out [N, C]; may be saved.x only when no backward follows. */
export function blockForward(out: usize, saved: Saved, block: Block, offsets: usize, N: i32, S: i32, T: i32, scratch: usize): void {
  const C = block.norm1.width, F = block.up.outputs, x = saved.x
  linear(saved.query, saved.loraQuery, x, block.query, N, scratch)
  linear(saved.key, saved.loraKey, x, block.key, N, scratch)
  linear(saved.value, saved.loraValue, x, block.value, N, scratch)
  attention(saved.context, saved.query, saved.key, saved.value, offsets, S, block.heads, C / block.heads, T, scratch)
  linear(saved.sum1, saved.loraAttention, saved.context, block.attention, N, scratch)
  add(saved.sum1, x, N * C)
  layerNorm(saved.hidden, saved.stats1, saved.sum1, block.norm1.gain, block.norm1.bias, N, C, block.norm1.eps)
  linear(saved.up, saved.loraUp, saved.hidden, block.up, N, scratch)
  gelu(saved.gelu, saved.up, N * F)
  linear(saved.sum2, saved.loraDown, saved.gelu, block.down, N, scratch)
  add(saved.sum2, saved.hidden, N * C)
  layerNorm(out, saved.stats2, saved.sum2, block.norm2.gain, block.norm2.bias, N, C, block.norm2.eps)
}

/** dx [N, C] from dOut [N, C]; dx 0: nothing below is trained; dx may be dOut. Parameters' gradients are added to. */
export function blockBackward(
  dx: usize, dOut: usize, saved: Saved, block: Block, offsets: usize, N: i32, S: i32, T: i32, scratch: usize
): void {
  const C = block.norm1.width, F = block.up.outputs, D = C / block.heads
  const size = usize(N * C) << 2
  const dA = scratch, dB = dA + size, dQuery = dB + size, dKey = dQuery + size, dValue = dKey + size
  const dUp = dValue + size
  const rest = dUp + (usize(N * F) << 2)

  // out = norm2(sum2), sum2 = hidden + down(gelu(up(hidden)))
  layerNormBackward(dA, block.norm2.dGain, block.norm2.dBias, dOut, saved.stats2, saved.sum2, block.norm2.gain, N, C, rest)
  linearBackward(dUp, dA, saved.gelu, saved.loraDown, block.down, N, 0, rest)
  geluBackward(dUp, dUp, saved.up, N * F)
  linearBackward(dA, dUp, saved.hidden, saved.loraUp, block.up, N, 1, rest)

  // hidden = norm1(sum1), sum1 = x + attention(x)
  layerNormBackward(dB, block.norm1.dGain, block.norm1.dBias, dA, saved.stats1, saved.sum1, block.norm1.gain, N, C, rest)
  linearBackward(dA, dB, saved.context, saved.loraAttention, block.attention, N, 0, rest)
  attentionBackward(dQuery, dKey, dValue, dA, saved.query, saved.key, saved.value, offsets, S, block.heads, D, T, rest)
  if (dx) memory.copy(dx, dB, size)
  linearBackward(dx, dQuery, saved.x, saved.loraQuery, block.query, N, 1, rest)
  linearBackward(dx, dKey, saved.x, saved.loraKey, block.key, N, 1, rest)
  linearBackward(dx, dValue, saved.x, saved.loraValue, block.value, N, 1, rest)
}
