/**
 * The kernel's ABI, as the compiler has it: made by scripts/abi.ts in `npm run build`, not to be edited.
 * Each operation's file under `assembly/` says what its arguments are. 0 is "none" for an address; counts are of elements.
 */

export const ABI_VERSION = 3

/** An address, in bytes, into the linear memory. A result of this type or u32 reaches the host signed. */
export type usize = number
export type i32 = number
export type u32 = number
export type f32 = number
export type f64 = number

export type KernelExports = {
  // assembly/index.ts
  abiVersion: () => i32

  // assembly/lanes.ts
  sumRow: (x: usize, n: i32) => f32
  dotRow: (x: usize, y: usize, n: i32) => f32

  // assembly/math.ts
  exp32: (x: f32) => f32
  erf32: (x: f32) => f32
  tanh32: (x: f32) => f32
  exp64: (x: f64) => f64
  log64: (x: f64) => f64

  // assembly/elementwise.ts
  fill: (out: usize, value: f32, n: i32) => void
  add: (out: usize, x: usize, n: i32) => void
  addTo: (out: usize, x: usize, y: usize, n: i32) => void
  scale: (out: usize, x: usize, factor: f32, n: i32) => void
  broadcastRow: (out: usize, row: usize, N: i32, C: i32) => void
  biasBackward: (dBias: usize, dOut: usize, N: i32, C: i32, stride: i32) => void
  countNonFinite: (x: usize, n: i32) => i32
  gatherRows: (out: usize, x: usize, index: usize, count: i32, C: i32) => void
  gatherRowsBackward: (dx: usize, dOut: usize, index: usize, count: i32, C: i32) => void

  // assembly/matmul.ts
  matmul: (out: usize, x: usize, w: usize, N: i32, O: i32, I: i32, accumulate: i32, scratch: usize) => void
  matmulBackwardInput: (dx: usize, dOut: usize, w: usize, N: i32, O: i32, I: i32, accumulate: i32, scratch: usize) => void
  matmulBackwardWeight: (dw: usize, dOut: usize, x: usize, N: i32, O: i32, I: i32, accumulate: i32, scratch: usize) => void
  productScratchBytes: (columns: i32) => i32
  setTile: (index: i32) => void
  tileCount: () => i32
  tileColumns: () => i32
  packPanel: (out: usize, x: usize, depth: i32) => void

  // assembly/linear.ts
  linear: (y: usize, t: usize, x: usize, layer: usize, N: i32, scratch: usize) => void
  linearBackward: (dx: usize, dy: usize, x: usize, t: usize, layer: usize, N: i32, accumulate: i32, scratch: usize) => void
  linearScratchBytes: (N: i32, inputs: i32, outputs: i32, rank: i32) => i32

  // assembly/norm.ts
  layerNorm: (out: usize, stats: usize, x: usize, gain: usize, bias: usize, N: i32, C: i32, eps: f32) => void
  layerNormBackward: (
    dx: usize, dGain: usize, dBias: usize, dOut: usize, stats: usize, x: usize, gain: usize, N: i32, C: i32, row: usize,
  ) => void

  // assembly/gelu.ts
  gelu: (out: usize, x: usize, n: i32, scratch: usize) => void
  geluBackward: (dx: usize, dOut: usize, x: usize, n: i32, scratch: usize) => void

  // assembly/math.ts
  tableScratchBytes: () => i32

  // assembly/softmax.ts
  softmax: (out: usize, x: usize, N: i32, K: i32, scratch: usize) => void

  // assembly/attention.ts
  attention: (out: usize, q: usize, k: usize, v: usize, offsets: usize, S: i32, H: i32, D: i32, T: i32, scratch: usize) => void
  attentionBackward: (
    dq: usize, dk: usize, dv: usize, dOut: usize, q: usize, k: usize, v: usize, offsets: usize, S: i32, H: i32, D: i32, T: i32,
    scratch: usize,
  ) => void
  attentionScratchBytes: (T: i32, D: i32) => i32

  // assembly/embedding.ts
  embedding: (
    out: usize, ids: usize, types: usize, offsets: usize, word: usize, position: usize, type: usize, format: i32, wordScales: usize,
    positionScales: usize, typeScales: usize, S: i32, C: i32,
  ) => void
  embeddingBackward: (
    dWord: usize, dPosition: usize, dType: usize, dOut: usize, ids: usize, types: usize, offsets: usize, S: i32, C: i32,
  ) => void

  // assembly/tanh.ts
  tanh: (out: usize, x: usize, n: i32) => void
  tanhBackward: (dx: usize, dOut: usize, out: usize, n: i32) => void

  // assembly/loss.ts
  crossEntropy: (losses: usize, dLogits: usize, logits: usize, labels: usize, N: i32, K: i32) => f64

  // assembly/adamw.ts
  adamw: (
    p: usize, m: usize, v: usize, g: usize, n: i32, keep: f32, beta1: f32, rest1: f32, beta2: f32, rest2: f32, step: f32, correction: f32,
    eps: f32,
  ) => void

  // assembly/average.ts
  averageAdd: (sum: usize, x: usize, weight: f64, n: i32) => void
  averageFinish: (out: usize, sum: usize, total: f64, n: i32) => void

  // assembly/convert.ts
  widenF16: (out: usize, x: usize, n: i32) => void
  narrowF16: (out: usize, x: usize, n: i32) => void
  widenBF16: (out: usize, x: usize, n: i32) => void
  quantizeRows: (out: usize, scales: usize, x: usize, N: i32, C: i32) => void
  dequantizeRows: (out: usize, x: usize, scales: usize, N: i32, C: i32) => void

  // assembly/crc32c.ts
  crc32c: (table: usize, x: usize, n: i32, crc: u32) => u32
  crc32cTable: (table: usize) => void

  // assembly/peak.ts
  peak: (iterations: i32) => f32

  // assembly/block.ts
  blockForward: (out: usize, saved: usize, block: usize, offsets: usize, N: i32, S: i32, T: i32, scratch: usize) => void
  blockBackward: (dx: usize, dOut: usize, saved: usize, block: usize, offsets: usize, N: i32, S: i32, T: i32, scratch: usize) => void
  blockScratchBytes: (N: i32, C: i32, H: i32, F: i32, R: i32, T: i32, ffnRows: i32, threads: i32) => i32
  work: (seen: i32) => i32

  // assembly/team.ts
  joinTeam: (address: usize, threadIndex: i32, threadCount: i32) => void
  dismissTeam: () => void
  teamBytes: () => i32
}

export const TEAM = {
  bytes: 56,
  fields: {
    arrived: { offset: 0, type: 'i32' },
    passed: { offset: 4, type: 'i32' },
    job: { offset: 8, type: 'i32' },
    what: { offset: 12, type: 'i32' },
    argument0: { offset: 16, type: 'usize' },
    argument1: { offset: 20, type: 'usize' },
    argument2: { offset: 24, type: 'usize' },
    argument3: { offset: 28, type: 'usize' },
    argument4: { offset: 32, type: 'usize' },
    argument5: { offset: 36, type: 'usize' },
    argument6: { offset: 40, type: 'usize' },
    argument7: { offset: 44, type: 'usize' },
    argument8: { offset: 48, type: 'usize' },
    taken: { offset: 52, type: 'i32' },
  },
} as const

export const LINEAR = {
  bytes: 56,
  fields: {
    weight: { offset: 0, type: 'usize' },
    bias: { offset: 4, type: 'usize' },
    loraA: { offset: 8, type: 'usize' },
    loraB: { offset: 12, type: 'usize' },
    dWeight: { offset: 16, type: 'usize' },
    dBias: { offset: 20, type: 'usize' },
    dLoraA: { offset: 24, type: 'usize' },
    dLoraB: { offset: 28, type: 'usize' },
    inputs: { offset: 32, type: 'i32' },
    outputs: { offset: 36, type: 'i32' },
    rank: { offset: 40, type: 'i32' },
    scale: { offset: 44, type: 'f32' },
    format: { offset: 48, type: 'i32' },
    scales: { offset: 52, type: 'usize' },
  },
} as const

export const NORM = {
  bytes: 24,
  fields: {
    gain: { offset: 0, type: 'usize' },
    bias: { offset: 4, type: 'usize' },
    dGain: { offset: 8, type: 'usize' },
    dBias: { offset: 12, type: 'usize' },
    width: { offset: 16, type: 'i32' },
    eps: { offset: 20, type: 'f32' },
  },
} as const

export const BLOCK = {
  bytes: 40,
  fields: {
    query: { offset: 0, type: 'usize' },
    key: { offset: 4, type: 'usize' },
    value: { offset: 8, type: 'usize' },
    attention: { offset: 12, type: 'usize' },
    up: { offset: 16, type: 'usize' },
    down: { offset: 20, type: 'usize' },
    norm1: { offset: 24, type: 'usize' },
    norm2: { offset: 28, type: 'usize' },
    heads: { offset: 32, type: 'i32' },
    ffnRows: { offset: 36, type: 'i32' },
  },
} as const

export const SAVED = {
  bytes: 68,
  fields: {
    x: { offset: 0, type: 'usize' },
    query: { offset: 4, type: 'usize' },
    key: { offset: 8, type: 'usize' },
    value: { offset: 12, type: 'usize' },
    context: { offset: 16, type: 'usize' },
    sum1: { offset: 20, type: 'usize' },
    stats1: { offset: 24, type: 'usize' },
    hidden: { offset: 28, type: 'usize' },
    up: { offset: 32, type: 'usize' },
    sum2: { offset: 36, type: 'usize' },
    stats2: { offset: 40, type: 'usize' },
    loraQuery: { offset: 44, type: 'usize' },
    loraKey: { offset: 48, type: 'usize' },
    loraValue: { offset: 52, type: 'usize' },
    loraAttention: { offset: 56, type: 'usize' },
    loraUp: { offset: 60, type: 'usize' },
    loraDown: { offset: 64, type: 'usize' },
  },
} as const
