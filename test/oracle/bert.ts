/**
 * BERT for sequence classification with LoRA, forward, in float64: the plain
 * words of the model, against which every kernel is tested. Slow and meant to
 * be read; gradients come from it by central differences (`gradient.ts`).
 *
 * Sources: Devlin et al. 2019 (BERT), Hu et al. 2021 (LoRA), Ba et al. 2016
 * (LayerNorm), Hendrycks and Gimpel 2016 (GELU), Loshchilov and Hutter 2019
 * (AdamW).
 *
 * A batch is ragged: the rows of all sequences stand one after another, and
 * sequence s owns rows `offsets[s]` to `offsets[s + 1]` (end excluded).
 * Matrices are row-major. A linear layer's weight is [outputs, inputs].
 *
 * N rows of all sequences, S sequences, V vocabulary, C width, H heads, D head
 * width, F hidden width, K labels, R LoRA rank, M masked rows.
 */

export type Tensor = { readonly shape: readonly number[]; readonly data: Float64Array }

/**
 * By Hugging Face name without the `bert.` prefix. An adapter stands beside its
 * layer: `encoder.layer.0.attention.self.query.lora_A` [R, inputs] and `.lora_B`
 * [outputs, R]; a layer without these two runs without an adapter.
 */
export type Weights = ReadonlyMap<string, Tensor>

/** `loraScale` is alpha / rank. */
export type Config = {
  readonly layers: number
  readonly heads: number
  readonly layerNormEps: number
  readonly loraScale: number
}

/** `ids` and `types` [N], `offsets` [S + 1]. */
export type Batch = { readonly ids: Int32Array; readonly types: Int32Array; readonly offsets: Int32Array }

// ---- operations ----

/** y = x Wᵀ + b. x [N, I], weight [O, I], bias [O]; returns [N, O]. */
export function linear(x: Float64Array, weight: Float64Array, bias: Float64Array, N: number, I: number, O: number): Float64Array {
  const y = new Float64Array(N * O)
  for (let n = 0; n < N; n++) {
    for (let o = 0; o < O; o++) {
      let sum = bias[o]
      for (let i = 0; i < I; i++) sum += x[n * I + i] * weight[o * I + i]
      y[n * O + o] = sum
    }
  }
  return y
}

/** scale · (x Aᵀ) Bᵀ, what an adapter adds to its layer. x [N, I], a [R, I], b [O, R]; returns [N, O]. */
export function lora(
  x: Float64Array, a: Float64Array, b: Float64Array, scale: number, N: number, I: number, R: number, O: number,
): Float64Array {
  const low = linear(x, a, new Float64Array(R), N, I, R)
  const delta = linear(low, b, new Float64Array(O), N, R, O)
  return delta.map((value) => scale * value)
}

/** Element by element. */
export function add(x: Float64Array, y: Float64Array): Float64Array {
  return x.map((value, i) => value + y[i])
}

/** y = (x − mean) / √(variance + eps) · gain + bias per row, variance over C (biased). x [N, C], gain and bias [C]. */
export function layerNorm(
  x: Float64Array, gain: Float64Array, bias: Float64Array, eps: number, N: number, C: number,
): Float64Array {
  const y = new Float64Array(N * C)
  for (let n = 0; n < N; n++) {
    const row = x.subarray(n * C, (n + 1) * C)
    const mean = row.reduce((sum, value) => sum + value, 0) / C
    const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / C
    const scale = 1 / Math.sqrt(variance + eps)
    for (let c = 0; c < C; c++) y[n * C + c] = (row[c] - mean) * scale * gain[c] + bias[c]
  }
  return y
}

/** The power series takes fewer terms below this magnitude, the continued fraction above. */
const ERF_SERIES_MAX = 2

/**
 * erf(x) = 2/√π · e^(−x²) · Σ 2ⁿ x^(2n+1) / (2n+1)!! (Abramowitz and Stegun 7.1.6).
 * All terms have one sign, so nothing cancels.
 */
function erfSeries(x: number): number {
  let term = x
  let sum = x
  for (let n = 1; Math.abs(term) > Math.abs(sum) * 1e-17; n++) {
    term *= (2 * x * x) / (2 * n + 1)
    sum += term
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum
}

/**
 * √π · e^(x²) · erfc(x) = 1/(x + (1/2)/(x + 1/(x + (3/2)/(x + …)))), evaluated from
 * the inside out, for x ≥ 2 (Abramowitz and Stegun 7.1.14).
 */
function erfcFraction(x: number): number {
  let fraction = x
  for (let n = 100; n >= 1; n--) fraction = x + n / 2 / fraction
  return Math.exp(-x * x) / (Math.sqrt(Math.PI) * fraction)
}

/** The error function, absolute error below 1e-15. */
export function erf(x: number): number {
  if (Math.abs(x) <= ERF_SERIES_MAX) return erfSeries(x)
  return Math.sign(x) * (1 - erfcFraction(Math.abs(x)))
}

/** 1 − erf(x), with its relative digits where erf(x) is nearly 1: relative error below 1e-13 up to x = 10. */
export function erfc(x: number): number {
  return x > ERF_SERIES_MAX ? erfcFraction(x) : 1 - erf(x)
}

/** The exact GELU, x · Φ(x) with Φ the normal distribution: x/2 · erfc(−x/√2), element by element. */
export function gelu(x: Float64Array): Float64Array {
  return x.map((value) => (value / 2) * erfc(-value / Math.SQRT2))
}

export function tanh(x: Float64Array): Float64Array {
  return x.map(Math.tanh)
}

/** Softmax of each row. x [N, C]. */
export function softmax(x: Float64Array, N: number, C: number): Float64Array {
  const y = new Float64Array(N * C)
  for (let n = 0; n < N; n++) {
    const row = x.subarray(n * C, (n + 1) * C)
    const max = Math.max(...row)
    const exps = row.map((value) => Math.exp(value - max))
    const sum = exps.reduce((total, value) => total + value, 0)
    for (let c = 0; c < C; c++) y[n * C + c] = exps[c] / sum
  }
  return y
}

/**
 * softmax(Q Kᵀ / √D) V within each sequence and head. query, key, value [N, C]
 * with head h in columns h·D to (h + 1)·D, D = C / H; returns [N, C].
 */
export function attention(
  query: Float64Array, key: Float64Array, value: Float64Array, offsets: Int32Array, C: number, H: number,
): Float64Array {
  const D = C / H
  const context = new Float64Array(query.length)
  for (let s = 0; s + 1 < offsets.length; s++) {
    const begin = offsets[s]
    const rows = offsets[s + 1] - begin
    for (let h = 0; h < H; h++) {
      const at = (row: number, d: number) => (begin + row) * C + h * D + d
      const scores = new Float64Array(rows * rows)
      for (let i = 0; i < rows; i++) {
        for (let j = 0; j < rows; j++) {
          let dot = 0
          for (let d = 0; d < D; d++) dot += query[at(i, d)] * key[at(j, d)]
          scores[i * rows + j] = dot / Math.sqrt(D)
        }
      }
      const weights = softmax(scores, rows, rows)
      for (let i = 0; i < rows; i++) {
        for (let d = 0; d < D; d++) {
          let sum = 0
          for (let j = 0; j < rows; j++) sum += weights[i * rows + j] * value[at(j, d)]
          context[at(i, d)] = sum
        }
      }
    }
  }
  return context
}

/** word + position + type, before the LayerNorm. Tables [V, C], [positions, C], [types, C]; returns [N, C]. */
export function embed(word: Float64Array, position: Float64Array, type: Float64Array, batch: Batch, C: number): Float64Array {
  const { ids, types, offsets } = batch
  const rows = new Float64Array(ids.length * C)
  for (let s = 0; s + 1 < offsets.length; s++) {
    for (let n = offsets[s]; n < offsets[s + 1]; n++) {
      for (let c = 0; c < C; c++) {
        rows[n * C + c] = word[ids[n] * C + c] + position[(n - offsets[s]) * C + c] + type[types[n] * C + c]
      }
    }
  }
  return rows
}

/** The named rows, one after another. x [N, C]; returns [rows.length, C]. */
export function gatherRows(x: Float64Array, rows: Int32Array, C: number): Float64Array {
  const gathered = new Float64Array(rows.length * C)
  rows.forEach((row, i) => gathered.set(x.subarray(row * C, (row + 1) * C), i * C))
  return gathered
}

/** mean over rows of log Σ e^logit − logit[label]. logits [N, K], labels [N]. */
export function crossEntropy(logits: Float64Array, labels: Int32Array, N: number, K: number): number {
  let total = 0
  for (let n = 0; n < N; n++) {
    const row = logits.subarray(n * K, (n + 1) * K)
    const max = Math.max(...row)
    const sum = row.reduce((partial, logit) => partial + Math.exp(logit - max), 0)
    total += max + Math.log(sum) - row[labels[n]]
  }
  return total / N
}

// ---- model: the operations above, with weights found by name ----

function weightOf(weights: Weights, name: string): Tensor {
  const tensor = weights.get(name)
  if (tensor === undefined) throw new Error(`weights.${name}: expected a tensor, got none`)
  return tensor
}

/** Linear layer `name` with its adapter, if it has one. x [N, inputs]; returns [N, outputs]. */
export function runLinear(weights: Weights, name: string, x: Float64Array, loraScale: number): Float64Array {
  const weight = weightOf(weights, `${name}.weight`)
  const [O, I] = weight.shape
  const N = x.length / I
  const y = linear(x, weight.data, weightOf(weights, `${name}.bias`).data, N, I, O)
  const a = weights.get(`${name}.lora_A`)
  if (a === undefined) return y
  return add(y, lora(x, a.data, weightOf(weights, `${name}.lora_B`).data, loraScale, N, I, a.shape[0], O))
}

/** LayerNorm `name`. x [N, C]. */
export function runLayerNorm(weights: Weights, name: string, x: Float64Array, eps: number): Float64Array {
  const gain = weightOf(weights, `${name}.weight`).data
  const C = gain.length
  return layerNorm(x, gain, weightOf(weights, `${name}.bias`).data, eps, x.length / C, C)
}

/** Hidden state at cut 0, [N, C]. */
export function runEmbeddings(weights: Weights, config: Config, batch: Batch): Float64Array {
  const word = weightOf(weights, 'embeddings.word_embeddings.weight')
  const position = weightOf(weights, 'embeddings.position_embeddings.weight')
  const type = weightOf(weights, 'embeddings.token_type_embeddings.weight')
  const rows = embed(word.data, position.data, type.data, batch, word.shape[1])
  return runLayerNorm(weights, 'embeddings.LayerNorm', rows, config.layerNormEps)
}

/** Block `layer`: hidden state at cut `layer` in, at cut `layer + 1` out, both [N, C]. */
export function runBlock(weights: Weights, config: Config, layer: number, hidden: Float64Array, offsets: Int32Array): Float64Array {
  const { heads: H, layerNormEps: eps, loraScale } = config
  const name = `encoder.layer.${layer}`
  const apply = (part: string, x: Float64Array) => runLinear(weights, `${name}.${part}`, x, loraScale)
  const C = hidden.length / offsets[offsets.length - 1]

  const query = apply('attention.self.query', hidden)
  const key = apply('attention.self.key', hidden)
  const value = apply('attention.self.value', hidden)
  const context = attention(query, key, value, offsets, C, H)
  const attended = add(apply('attention.output.dense', context), hidden)
  const middle = runLayerNorm(weights, `${name}.attention.output.LayerNorm`, attended, eps)

  const inner = gelu(apply('intermediate.dense', middle))
  return runLayerNorm(weights, `${name}.output.LayerNorm`, add(apply('output.dense', inner), middle), eps)
}

/** Blocks `from` to `to` (end excluded): the hidden states at cuts `from` to `to`, both included, each [N, C]. */
export function runBlocks(
  weights: Weights, config: Config, from: number, to: number, hidden: Float64Array, offsets: Int32Array,
): Float64Array[] {
  const states = [hidden]
  for (let layer = from; layer < to; layer++) {
    states.push(runBlock(weights, config, layer, states[states.length - 1], offsets))
  }
  return states
}

export type Classification = { pooled: Float64Array; logits: Float64Array; loss: number }

/**
 * Pooler over the first row of each sequence, classifier, mean loss. hidden
 * [N, C], labels [S]; pooled [S, C], logits [S, K].
 */
export function classify(
  weights: Weights, config: Config, hidden: Float64Array, offsets: Int32Array, labels: Int32Array,
): Classification {
  const C = weightOf(weights, 'pooler.dense.weight').shape[1]
  const K = weightOf(weights, 'classifier.weight').shape[0]
  const first = gatherRows(hidden, offsets.subarray(0, -1), C)
  const pooled = tanh(runLinear(weights, 'pooler.dense', first, config.loraScale))
  const logits = runLinear(weights, 'classifier', pooled, config.loraScale)
  return { pooled, logits, loss: crossEntropy(logits, labels, labels.length, K) }
}

export type MaskedPrediction = { logits: Float64Array; loss: number }

/**
 * Masked-language-model head on the given rows: dense, GELU, LayerNorm, then a
 * decoder whose weight is the word embedding. hidden [N, C], rows and targets
 * [M]; logits [M, V].
 */
export function predictMasked(
  weights: Weights, config: Config, hidden: Float64Array, rows: Int32Array, targets: Int32Array,
): MaskedPrediction {
  const word = weightOf(weights, 'embeddings.word_embeddings.weight')
  const [V, C] = word.shape
  const masked = gatherRows(hidden, rows, C)
  const inner = gelu(runLinear(weights, 'cls.predictions.transform.dense', masked, config.loraScale))
  const normed = runLayerNorm(weights, 'cls.predictions.transform.LayerNorm', inner, config.layerNormEps)
  const logits = linear(normed, word.data, weightOf(weights, 'cls.predictions.bias').data, rows.length, C, V)
  return { logits, loss: crossEntropy(logits, targets, rows.length, V) }
}

// ---- optimiser ----

export type AdamWConfig = {
  readonly learningRate: number
  readonly beta1: number
  readonly beta2: number
  readonly eps: number
  readonly weightDecay: number
}

/**
 * One AdamW step, step = 1, 2, …; overwrites `parameter` and both moments (all
 * of one length). Decay is decoupled: it shrinks the parameter by
 * learningRate · weightDecay and never enters the moments.
 */
export function stepAdamW(
  parameter: Float64Array, firstMoment: Float64Array, secondMoment: Float64Array,
  gradient: Float64Array, step: number, config: AdamWConfig,
): void {
  const { learningRate, beta1, beta2, eps, weightDecay } = config
  for (let i = 0; i < parameter.length; i++) {
    firstMoment[i] = beta1 * firstMoment[i] + (1 - beta1) * gradient[i]
    secondMoment[i] = beta2 * secondMoment[i] + (1 - beta2) * gradient[i] ** 2
    const mean = firstMoment[i] / (1 - beta1 ** step)
    const square = secondMoment[i] / (1 - beta2 ** step)
    parameter[i] -= learningRate * weightDecay * parameter[i]
    parameter[i] -= (learningRate * mean) / (Math.sqrt(square) + eps)
  }
}
