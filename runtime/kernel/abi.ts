/**
 * The kernel's ABI as the runtime sees it; `assembly/index.ts` is its source.
 * Addresses are bytes into the linear memory, counts are elements, 0 is "none".
 */

export const ABI_VERSION = 3

type Op = (...args: number[]) => void
type Size = (...args: number[]) => number

/** Each operation's arguments stand in its file under `assembly/`, in this order: outputs, saved, inputs, dimensions, scratch. */
export type KernelExports = {
  abiVersion(): number

  fill: (out: number, value: number, n: number) => void
  add: (out: number, x: number, n: number) => void
  addTo: (out: number, x: number, y: number, n: number) => void
  scale: (out: number, x: number, factor: number, n: number) => void
  broadcastRow: (out: number, bias: number, N: number, C: number) => void
  biasBackward: (dBias: number, dOut: number, N: number, C: number, stride: number) => void
  countNonFinite: (x: number, n: number) => number
  gatherRows: (out: number, x: number, index: number, count: number, C: number) => void
  gatherRowsBackward: (dx: number, dOut: number, index: number, count: number, C: number) => void
  sumRow: (x: number, n: number) => number
  dotRow: (x: number, y: number, n: number) => number

  matmul: Op
  matmulBackwardInput: Op
  matmulBackwardWeight: Op
  linear: (y: number, t: number, x: number, layer: number, N: number, scratch: number) => void
  linearBackward: (dx: number, dy: number, x: number, t: number, layer: number, N: number, accumulate: number, scratch: number) => void
  layerNorm: (out: number, stats: number, x: number, gain: number, bias: number, N: number, C: number, eps: number) => void
  layerNormBackward: (dx: number, dGain: number, dBias: number, dOut: number, stats: number, x: number, gain: number, N: number, C: number, row: number) => void
  gelu: (out: number, x: number, n: number, scratch: number) => void
  geluBackward: (dx: number, dOut: number, x: number, n: number, scratch: number) => void
  softmax: (out: number, x: number, N: number, K: number, scratch: number) => void
  attention: (out: number, q: number, k: number, v: number, offsets: number, S: number, H: number, D: number, T: number, scratch: number) => void
  attentionBackward: Op
  embedding: Op
  embeddingBackward: (dWord: number, dPosition: number, dType: number, dOut: number, ids: number, types: number, offsets: number, S: number, C: number) => void
  tanh: (out: number, x: number, n: number) => void
  tanhBackward: (dx: number, dOut: number, out: number, n: number) => void
  crossEntropy: (losses: number, dLogits: number, logits: number, labels: number, N: number, K: number) => number
  adamw: Op
  averageAdd: (sum: number, x: number, weight: number, n: number) => void
  averageFinish: (out: number, sum: number, total: number, n: number) => void
  widenF16: (out: number, x: number, n: number) => void
  widenBF16: (out: number, x: number, n: number) => void
  narrowF16: (out: number, x: number, n: number) => void
  quantizeRows: (out: number, scales: number, x: number, N: number, C: number) => void
  dequantizeRows: (out: number, x: number, scales: number, N: number, C: number) => void
  crc32cTable: (table: number) => void
  crc32c: (table: number, x: number, n: number, crc: number) => number
  exp32: (x: number) => number
  erf32: (x: number) => number
  tanh32: (x: number) => number
  exp64: (x: number) => number
  log64: (x: number) => number
  peak: (iterations: number) => number

  blockForward: (out: number, saved: number, block: number, offsets: number, N: number, S: number, T: number, scratch: number) => void
  blockBackward: (dx: number, dOut: number, saved: number, block: number, offsets: number, N: number, S: number, T: number, scratch: number) => void

  productScratchBytes: (columns: number) => number
  /** For gelu, geluBackward and softmax. */
  tableScratchBytes: () => number
  linearScratchBytes: (N: number, inputs: number, outputs: number, rank: number) => number
  attentionScratchBytes: (T: number, D: number) => number
  blockScratchBytes: Size

  /** The inner tiles of the product: how many there are to choose from, and this instance's choice. They differ in speed alone. */
  tileCount: () => number
  setTile: (index: number) => void
  /** Rows of a weight in one panel of this instance's tile, and packing so many [tileColumns, depth]; 0 where a build has no panels. */
  tileColumns: () => number
  packPanel: (out: number, x: number, depth: number) => void

  /** Threads on one shared memory; see assembly/team.ts. */
  teamBytes: () => number
  joinTeam: (address: number, index: number, count: number) => void
  work: (seen: number) => number
  dismissTeam: () => void
}
