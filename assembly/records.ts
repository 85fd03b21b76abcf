/**
 * The records a host lays out in linear memory to describe a block: every field is
 * four bytes, in this order, and every address may be 0 where the text says so.
 */

/** y = x·weightᵀ + bias + scale·(x·loraAᵀ)·loraBᵀ, x [N, inputs], y [N, outputs]. */
@unmanaged export class Linear {
  weight: usize //   [outputs, inputs]
  bias: usize //     [outputs], 0: none
  loraA: usize //    [rank, inputs], 0: no adapter
  loraB: usize //    [outputs, rank]
  dWeight: usize //  gradients, accumulated; 0: not wanted
  dBias: usize
  dLoraA: usize
  dLoraB: usize
  inputs: i32
  outputs: i32
  rank: i32
  scale: f32 //      alpha / rank
  format: i32 //     of weight: see format.ts
  scales: usize //   [outputs], where the format is i8
}

@unmanaged export class Norm {
  gain: usize
  bias: usize
  dGain: usize //    accumulated; 0: not wanted
  dBias: usize
  width: i32
  eps: f32
}

/** One encoder block (post-norm, BERT). */
@unmanaged export class Block {
  query: Linear
  key: Linear
  value: Linear
  attention: Linear // output projection
  up: Linear
  down: Linear
  norm1: Norm //       after attention
  norm2: Norm //       after the feed-forward part
  heads: i32
  ffnRows: i32 //      rows of the feed-forward part at a time; N where its layers are trained
}

/**
 * What forward leaves for backward, which uses it up; N rows each. The lora fields [N, rank], 0 without adapter. context
 * and hidden are wanted where the layers that read them are trained, `up` where a backward pass follows; else 0.
 */
@unmanaged export class Saved {
  x: usize //          [N, C] the block's input
  query: usize //      [N, C]
  key: usize
  value: usize
  context: usize //    [N, C] attention's output
  sum1: usize //       [N, C] x + projection
  stats1: usize //     [N, 2]
  hidden: usize //     [N, C] norm1(sum1)
  up: usize //         [N, F] before GELU
  sum2: usize //       [N, C] hidden + down
  stats2: usize //     [N, 2]
  loraQuery: usize
  loraKey: usize
  loraValue: usize
  loraAttention: usize
  loraUp: usize
  loraDown: usize
}
