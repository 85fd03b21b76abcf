/**
 * Masked-language modelling (Devlin et al. 2018, section 3.1) over a whole stage whose
 * weights are all trained. The decoder is tied to the word embeddings:
 *   h = norm(gelu(dense(x[masked]))),  logits = h·wordᵀ + bias
 * M masked rows, C width, V vocabulary.
 */
import { createPlanner } from '../../runtime/kernel/plan.ts'
import type { Kernel } from '../../runtime/kernel/load.ts'
import type { ModelConfig } from '../../runtime/model/config.ts'
import { mlmTensors } from '../../runtime/model/names.ts'
import type { Batch } from '../../runtime/model/stage.ts'
import { Stage } from '../../runtime/model/stage.ts'
import type { Random } from '../../runtime/random.ts'
import { permute } from '../../runtime/random.ts'

const MASKED_SHARE = 0.2
const KEEP_THRESHOLD = 1e-4
const HEAD = 'cls.predictions.transform'

export type Summary = { words: number; keep: Float32Array /* [V] */ }

/** Chances by which word2vec thins common words out (Mikolov et al. 2013, section 2.3): √(threshold / frequency); 0 below `firstPiece`. */
export function keepChances(ids: Int32Array, vocabSize: number, firstPiece: number): Float32Array {
  const counts = new Float64Array(vocabSize)
  for (const id of ids) counts[id]++
  return Float32Array.from(counts, (count, id) => (
    id < firstPiece || count === 0 ? 0 : Math.min(1, Math.sqrt((KEEP_THRESHOLD * ids.length) / count))))
}

export type MaskedBatch = Batch & { rows: Int32Array /* [M] */; targets: Int32Array /* [M] */ }

/**
 * Draws the masked rows of a batch: 80 % become [MASK], 10 % a random piece, 10 % stay;
 * [CLS] and [SEP] are never drawn. The row of [CLS] then predicts up to `summary.words`
 * pieces of its sentence, masked or not, so that it learns to sum the sentence up; each is
 * drawn with the chance `summary.keep` of its piece, small for common ones.
 */
export function maskBatch(
  sequences: readonly Int32Array[], random: Random, mask: number, firstPiece: number, vocabSize: number, summary: Summary,
): MaskedBatch {
  const offsets = new Int32Array(sequences.length + 1)
  sequences.forEach((sequence, index) => { offsets[index + 1] = offsets[index] + sequence.length })
  const ids = new Int32Array(offsets[sequences.length])
  const rows: number[] = [], targets: number[] = []
  sequences.forEach((sequence, index) => {
    ids.set(sequence, offsets[index])
    for (let at = 1; at < sequence.length - 1; at++) {
      if (random.uniform() >= MASKED_SHARE) continue
      const row = offsets[index] + at
      rows.push(row)
      targets.push(ids[row])
      const draw = random.uniform()
      if (draw < 0.8) ids[row] = mask
      else if (draw < 0.9) ids[row] = firstPiece + random.below(vocabSize - firstPiece)
    }
    let left = summary.words
    for (const at of left > 0 ? permute(sequence.length, random) : []) {
      if (left === 0 || random.uniform() >= summary.keep[sequence[at]]) continue
      rows.push(offsets[index])
      targets.push(sequence[at])
      left--
    }
  })
  return { offsets, ids, rows: Int32Array.from(rows), targets: Int32Array.from(targets) }
}

export class MaskedModel {
  readonly stage: Stage
  private readonly places: HeadPlan

  private constructor(stage: Stage, places: HeadPlan) {
    this.stage = stage
    this.places = places
  }

  static async open(
    kernel: Kernel, config: ModelConfig, limits: { rows: number; sequences: number; longest: number },
  ): Promise<MaskedModel> {
    const stage = await Stage.blank(kernel, {
      config, from: 0, to: config.layers, labels: 1, adapter: null, training: 'all', setsFrom: [],
      ...limits, head: false, extra: mlmTensors(config), reserveBytes: planHead(kernel, config, limits.rows, 0).bytes,
    })
    return new MaskedModel(stage, planHead(kernel, config, limits.rows, stage.plan.reserve))
  }

  /** Mean cross-entropy over the masked rows, in nats; with `train`, the gradients of all weights are added. */
  run({ rows, targets, ...batch }: MaskedBatch, train: boolean): number {
    const { stage, places: at } = this
    const { kernel: k, plan, spec } = stage
    const C = spec.config.hiddenSize, V = spec.config.vocabSize, M = rows.length
    const i32 = new Int32Array(stage.memory.buffer)
    const weight = (name: string) => stage.weight(name).byteOffset, gradient = (name: string) => stage.gradient(name).byteOffset
    const word = 'embeddings.word_embeddings.weight'
    stage.forward(batch)
    i32.set(rows, at.rows >> 2)
    i32.set(targets, at.targets >> 2)

    k.gatherRows(at.x, plan.out, at.rows, M, C)
    k.broadcastRow(at.dense, weight(`${HEAD}.dense.bias`), M, C)
    k.matmul(at.dense, at.x, weight(`${HEAD}.dense.weight`), M, C, C, 1, at.scratch)
    k.gelu(at.gelu, at.dense, M * C, at.scratch)
    const gain = weight(`${HEAD}.LayerNorm.weight`), bias = weight(`${HEAD}.LayerNorm.bias`)
    k.layerNorm(at.h, at.stats, at.gelu, gain, bias, M, C, spec.config.layerNormEps)
    k.broadcastRow(at.logits, weight('cls.predictions.bias'), M, V)
    k.matmul(at.logits, at.h, weight(word), M, V, C, 1, at.scratch)
    const loss = k.crossEntropy(at.losses, at.logits, at.logits, at.targets, M, V)
    if (!train) return loss

    k.biasBackward(gradient('cls.predictions.bias'), at.logits, M, V, V)
    k.matmulBackwardInput(at.dh, at.logits, weight(word), M, V, C, 0, at.scratch)
    k.matmulBackwardWeight(gradient(word), at.logits, at.h, M, V, C, 1, at.scratch)
    k.layerNormBackward(at.dh, gradient(`${HEAD}.LayerNorm.weight`), gradient(`${HEAD}.LayerNorm.bias`), at.dh, at.stats, at.gelu,
      weight(`${HEAD}.LayerNorm.weight`), M, C, at.scratch)
    k.geluBackward(at.dh, at.dh, at.dense, M * C, at.scratch)
    k.biasBackward(gradient(`${HEAD}.dense.bias`), at.dh, M, C, C)
    k.matmulBackwardWeight(gradient(`${HEAD}.dense.weight`), at.dh, at.x, M, C, C, 1, at.scratch)
    k.matmulBackwardInput(at.gelu, at.dh, weight(`${HEAD}.dense.weight`), M, C, C, 0, at.scratch)
    k.fill(plan.dOut, 0, batch.offsets[batch.offsets.length - 1] * C)
    k.gatherRowsBackward(plan.dOut, at.gelu, at.rows, M, C)
    stage.backward()
    return loss
  }
}

type HeadPlan = ReturnType<typeof planHead>

function planHead(kernel: Kernel, config: ModelConfig, rows: number, base: number) {
  const C = config.hiddenSize, V = config.vocabSize, M = rows
  const planner = createPlanner()
  const floats = (name: string, count: number) => base + planner.place(name, 'activations', 'step', 4 * count)
  return {
    rows: floats('rows', M), targets: floats('targets', M), x: floats('x', M * C), dense: floats('dense', M * C),
    gelu: floats('gelu', M * C),
    stats: floats('stats', 2 * M), h: floats('h', M * C), dh: floats('dh', M * C), logits: floats('logits', M * V),
    losses: floats('losses', M),
    scratch: base + planner.place('scratch', 'scratch', 'call', Math.max(kernel.exports.productScratchBytes(V), 4 * C)),
    bytes: planner.finish().bytes,
  }
}
