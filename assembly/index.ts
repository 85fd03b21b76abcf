/**
 * The kernel's ABI: addresses are bytes into the host's memory, sizes are elements.
 * Both builds, scalar and SIMD, export exactly this.
 */
export { sumRow, dotRow } from './lanes'
export { exp32, erf32, tanh32, exp64, log64 } from './math'
export { fill, add, addTo, scale, broadcastRow, biasBackward, countNonFinite, gatherRows, gatherRowsBackward } from './elementwise'
export {
  matmul, matmulBackwardInput, matmulBackwardWeight, productScratchBytes, setTile, tileCount, tileColumns, packPanel,
} from './matmul'
export { linear, linearBackward, linearScratchBytes } from './linear'
export { layerNorm, layerNormBackward } from './norm'
export { gelu, geluBackward } from './gelu'
export { tableScratchBytes } from './math'
export { softmax } from './softmax'
export { attention, attentionBackward, attentionScratchBytes } from './attention'
export { embedding, embeddingBackward } from './embedding'
export { tanh, tanhBackward } from './tanh'
export { crossEntropy } from './loss'
export { adamw } from './adamw'
export { averageAdd, averageFinish } from './average'
export { widenF16, narrowF16, widenBF16, quantizeRows, dequantizeRows } from './convert'
export { crc32c, crc32cTable } from './crc32c'
export { peak } from './peak'
export { blockForward, blockBackward, blockScratchBytes, work } from './block'
export { joinTeam, dismissTeam, teamBytes } from './team'

const ABI_VERSION: i32 = 3

/** Changes whenever a signature or a record here does. */
export function abiVersion(): i32 {
  return ABI_VERSION
}
