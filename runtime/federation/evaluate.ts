/** A whole model in inference over a dataset in file order: logits, accuracy, loss, macro-F1, confusion. */
import type { Kernel } from '../kernel/load.ts'
import type { ModelConfig } from '../model/config.ts'
import type { TokenizedDataset } from '../model/dataset.ts'
import type { AdapterConfig } from '../model/peft.ts'
import { Stage, freshState } from '../model/stage.ts'
import type { Weights } from '../model/weights.ts'
import { collectBatch } from '../split/sampler.ts'

/** Sequences of one evaluation batch. */
export const EVALUATION_BATCH = 32

export type Evaluation = {
  rows: number
  accuracy: number
  /** Mean cross-entropy in nats. */
  loss: number
  macroF1: number
  /** confusion[truth][answer], counts. */
  confusion: number[][]
  /** [rows, labels]. */
  logits: Float32Array
}

export type Evaluator = {
  /** With `vector` as the full adapter set; without, the stage's own classifier. */
  run(data: TokenizedDataset, vector?: Float32Array): Promise<Evaluation>
  /** Softmax of one text's logits. */
  classify(ids: Int32Array, vector?: Float32Array): Float32Array
  stage: Stage
}

/** `adapter` null: a model with its classifier among its weights. `turn` lets other work in between batches. */
export async function openEvaluator(
  kernel: Kernel, config: ModelConfig, weights: Weights, adapter: AdapterConfig | null, labels: number, longest: number,
  turn: () => Promise<void> = async () => {},
): Promise<Evaluator> {
  const stage = await Stage.open(kernel, {
    config, from: 0, to: config.layers, labels, adapter, training: 'none', setsFrom: [0],
    rows: EVALUATION_BATCH * longest, sequences: EVALUATION_BATCH, longest,
  }, weights)
  const place = (vector?: Float32Array) => { if (vector) stage.writeSet(0, freshState(vector)) }
  return {
    stage,
    async run(data, vector) {
      place(vector)
      const rows = data.sequences.length
      const logits = new Float32Array(rows * labels)
      let loss = 0
      for (let first = 0; first < rows; first += EVALUATION_BATCH) {
        const indices = Array.from({ length: Math.min(EVALUATION_BATCH, rows - first) }, (_, index) => first + index)
        const batch = collectBatch(data, indices)
        stage.forward(batch)
        logits.set(stage.logits(), first * labels)
        loss += stage.loss(batch.labels) * indices.length
        await turn()
      }
      return { ...score(logits, data.labels, labels), rows, loss: rows > 0 ? loss / rows : 0, logits }
    },
    classify(ids, vector) {
      place(vector)
      stage.forward({ offsets: Int32Array.of(0, ids.length), ids })
      return stage.probabilities()
    },
  }
}

/** The answer with the largest logit of each row, the first of equals. */
function answerOf(logits: Float32Array, row: number, labels: number): number {
  let best = 0
  for (let label = 1; label < labels; label++) if (logits[row * labels + label] > logits[row * labels + best]) best = label
  return best
}

function score(logits: Float32Array, truth: Int32Array, labels: number): Pick<Evaluation, 'accuracy' | 'macroF1' | 'confusion'> {
  const confusion = Array.from({ length: labels }, () => new Array<number>(labels).fill(0))
  truth.forEach((label, row) => confusion[label][answerOf(logits, row, labels)]++)
  const right = confusion.reduce((sum, counts, label) => sum + counts[label], 0)
  const f1 = confusion.map((counts, label) => {
    const actual = counts.reduce((sum, count) => sum + count, 0)
    const answered = confusion.reduce((sum, other) => sum + other[label], 0)
    return actual + answered > 0 ? (2 * counts[label]) / (actual + answered) : 0
  })
  // A label that neither stands in the data nor was answered says nothing.
  const seen = f1.filter((_, label) => confusion[label].some((count) => count > 0) || confusion.some((counts) => counts[label] > 0))
  return { accuracy: truth.length > 0 ? right / truth.length : 0, macroF1: seen.reduce((sum, value) => sum + value, 0) / Math.max(1, seen.length), confusion }
}
