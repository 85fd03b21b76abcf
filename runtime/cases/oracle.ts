/** What the table's expectations ask of a reference in float64. The tests bring one; conformance alone compares bits and needs none. */

export type Tensor = { readonly shape: readonly number[]; readonly data: Float64Array }
export type OracleWeights = ReadonlyMap<string, Tensor>
/** All elements of a tensor, or some of them. */
export type Expected = ArrayLike<number> | { readonly indices: Int32Array; readonly values: Float64Array }
export type Tensors = Readonly<Record<string, Float64Array>>

/** Arrays in float64; N rows, I inputs, O outputs, C width, H heads, K labels, R rank. */
export type Oracle = {
  exp(x: number): number
  log(x: number): number
  tanhOf(x: number): number
  erf(x: number): number
  gelu(x: Float64Array): Float64Array
  tanh(x: Float64Array): Float64Array
  /** f′(x) element by element. */
  slopes(f: (x: Float64Array) => Float64Array, x: Float64Array): Float64Array
  softmax(x: Float64Array, N: number, K: number): Float64Array
  layerNorm(x: Float64Array, gain: Float64Array, bias: Float64Array, eps: number, N: number, C: number): Float64Array
  attention(q: Float64Array, k: Float64Array, v: Float64Array, offsets: Int32Array, C: number, H: number): Float64Array
  linear(x: Float64Array, weight: Float64Array, bias: Float64Array, N: number, I: number, O: number): Float64Array
  lora(x: Float64Array, a: Float64Array, b: Float64Array, scale: number, N: number, I: number, R: number, O: number): Float64Array
  add(x: Float64Array, y: Float64Array): Float64Array
  embed(
    word: Float64Array, position: Float64Array, type: Float64Array, batch: { ids: Int32Array; types: Int32Array; offsets: Int32Array }, C: number,
  ): Float64Array
  crossEntropy(logits: Float64Array, labels: Int32Array, N: number, K: number): number
  stepAdamW(
    p: Float64Array, m: Float64Array, v: Float64Array, g: Float64Array, step: number,
    config: { learningRate: number; beta1: number; beta2: number; eps: number; weightDecay: number },
  ): void
  runLinear(weights: OracleWeights, name: string, x: Float64Array, loraScale: number): Float64Array
  runLayerNorm(weights: OracleWeights, name: string, x: Float64Array, eps: number): Float64Array
  runBlock(
    weights: OracleWeights, config: { layers: number; heads: number; layerNormEps: number; loraScale: number }, layer: number,
    hidden: Float64Array, offsets: Int32Array,
  ): Float64Array
  /** The value of a half's 16 bits, and the half nearest to a value. */
  halfValue(half: number): number
  nearestHalf(value: number): number
  crc32c(bytes: Uint8Array): number
  /**
   * Gradients of forward()·dOut by central differences, in up to `count` elements of each
   * tensor. `of` gives each gradient's source, `start` what a running gradient holds before.
   */
  gradients(forward: () => Float64Array, dOut: Float64Array, of: Tensors, start?: Tensors, count?: number): Record<string, Expected>
}
