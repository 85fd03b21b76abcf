/**
 * Operations of more than 8 numbers, with these by name; made as abi.ts is, not to be edited.
 */
import type { KernelExports, f32, i32, usize } from './abi.ts'

type LayerNormArguments = { out: usize; stats: usize; x: usize; gain: usize; bias: usize; N: i32; C: i32; eps: f32 }
export function layerNorm(kernel: KernelExports, { out, stats, x, gain, bias, N, C, eps }: LayerNormArguments): void {
  kernel.layerNorm(out, stats, x, gain, bias, N, C, eps)
}

type LayerNormBackwardArguments = {
  dx: usize; dGain: usize; dBias: usize; dOut: usize; stats: usize; x: usize; gain: usize; N: i32; C: i32; row: usize
}
export function layerNormBackward(kernel: KernelExports, {
  dx, dGain, dBias, dOut, stats, x, gain, N, C, row,
}: LayerNormBackwardArguments): void {
  kernel.layerNormBackward(dx, dGain, dBias, dOut, stats, x, gain, N, C, row)
}

type AttentionArguments = { out: usize; q: usize; k: usize; v: usize; offsets: usize; S: i32; H: i32; D: i32; T: i32; scratch: usize }
export function attention(kernel: KernelExports, { out, q, k, v, offsets, S, H, D, T, scratch }: AttentionArguments): void {
  kernel.attention(out, q, k, v, offsets, S, H, D, T, scratch)
}

type AttentionBackwardArguments = {
  dq: usize; dk: usize; dv: usize; dOut: usize; q: usize; k: usize; v: usize; offsets: usize; S: i32; H: i32; D: i32; T: i32;
  scratch: usize
}
export function attentionBackward(kernel: KernelExports, {
  dq, dk, dv, dOut, q, k, v, offsets, S, H, D, T, scratch,
}: AttentionBackwardArguments): void {
  kernel.attentionBackward(dq, dk, dv, dOut, q, k, v, offsets, S, H, D, T, scratch)
}

type EmbeddingArguments = {
  out: usize; ids: usize; types: usize; offsets: usize; word: usize; position: usize; type: usize; format: i32; wordScales: usize;
  positionScales: usize; typeScales: usize; S: i32; C: i32
}
export function embedding(kernel: KernelExports, {
  out, ids, types, offsets, word, position, type, format, wordScales, positionScales, typeScales, S, C,
}: EmbeddingArguments): void {
  kernel.embedding(out, ids, types, offsets, word, position, type, format, wordScales, positionScales, typeScales, S, C)
}

type EmbeddingBackwardArguments = {
  dWord: usize; dPosition: usize; dType: usize; dOut: usize; ids: usize; types: usize; offsets: usize; S: i32; C: i32
}
export function embeddingBackward(kernel: KernelExports, {
  dWord, dPosition, dType, dOut, ids, types, offsets, S, C,
}: EmbeddingBackwardArguments): void {
  kernel.embeddingBackward(dWord, dPosition, dType, dOut, ids, types, offsets, S, C)
}

type AdamwArguments = {
  p: usize; m: usize; v: usize; g: usize; n: i32; keep: f32; beta1: f32; rest1: f32; beta2: f32; rest2: f32; step: f32; correction: f32;
  eps: f32
}
export function adamw(kernel: KernelExports, {
  p, m, v, g, n, keep, beta1, rest1, beta2, rest2, step, correction, eps,
}: AdamwArguments): void {
  kernel.adamw(p, m, v, g, n, keep, beta1, rest1, beta2, rest2, step, correction, eps)
}

type BlockForwardArguments = { out: usize; saved: usize; block: usize; offsets: usize; N: i32; S: i32; T: i32; scratch: usize }
export function blockForward(kernel: KernelExports, { out, saved, block, offsets, N, S, T, scratch }: BlockForwardArguments): void {
  kernel.blockForward(out, saved, block, offsets, N, S, T, scratch)
}

type BlockBackwardArguments = { dx: usize; dOut: usize; saved: usize; block: usize; offsets: usize; N: i32; S: i32; T: i32; scratch: usize }
export function blockBackward(kernel: KernelExports, { dx, dOut, saved, block, offsets, N, S, T, scratch }: BlockBackwardArguments): void {
  kernel.blockBackward(dx, dOut, saved, block, offsets, N, S, T, scratch)
}
