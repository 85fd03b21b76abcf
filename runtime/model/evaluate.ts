/** A whole model in inference over a dataset in file order: logits, accuracy, loss, macro-F1, confusion. */
import type { Kernel } from '../kernel/load.ts'
import type { ModelConfig } from './config.ts'
import type { TokenizedDataset } from '../data/dataset.ts'
import type { AdapterConfig } from './peft.ts'
import type { StageOptions } from './plan.ts'
import { freshState } from './optimizer.ts'
import { Stage } from './stage.ts'
import type { Weights } from './weights.ts'
import { collectBatch } from '../data/sampler.ts'
import type { Scores } from './scores.ts'
import { scoreAll } from './scores.ts'

/** Sequences of one evaluation batch. */
export const EVALUATION_BATCH = 32

export type Evaluation = Scores & {
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

/** `turn` lets other work in between batches. */
export type EvaluatorOptions = StageOptions & { turn?: () => Promise<void> }

/** `adapter` null: a model with its classifier among its weights. */
export async function openEvaluator(
  kernel: Kernel, config: ModelConfig, weights: Weights, adapter: AdapterConfig | null, labels: number, longest: number,
  { turn = async () => {}, ...options }: EvaluatorOptions = {},
): Promise<Evaluator> {
  const stage = await Stage.open(kernel, {
    ...options, packed: true, config, from: 0, to: config.layers, labels, adapter, training: 'none', setsFrom: [0],
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
      const confusion = confuse(logits, data.labels, labels)
      return { ...scoreAll(confusion), confusion, rows, loss: rows > 0 ? loss / rows : 0, logits }
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

function confuse(logits: Float32Array, truth: Int32Array, labels: number): number[][] {
  const confusion = Array.from({ length: labels }, () => new Array<number>(labels).fill(0))
  truth.forEach((label, row) => confusion[label][answerOf(logits, row, labels)]++)
  return confusion
}
