/** What every shard of pretraining must agree on: the first weights and the learning rate of a step. */
import type { Kernel } from '../../runtime/kernel/load.ts'
import type { Stage } from '../../runtime/model/stage.ts'
import { createRandom, drawNormal } from '../../runtime/random.ts'

export type Options = {
  seed: number
  steps: number
  batch: number
  learningRate: number
  warmup: number
  saveEvery: number
  summary: number
}

/** Standard deviation of the first matrices: BERT's 0.02 scaled from width 768 to this narrower model. */
const MATRIX_DEVIATION = 0.04

/** Linear warm-up to the peak, then linear decay to zero. */
export function learningRateAt(step: number, { learningRate, warmup, steps }: Options): number {
  return step < warmup ? (learningRate * (step + 1)) / warmup : (learningRate * (steps - step)) / (steps - warmup)
}

/** Matrices normal, gains one, biases zero. */
export function initialWeights(stage: Stage, seed: number, kernel: Kernel): void {
  stage.plan.weights.tensors.forEach(({ name, shape }, index) => {
    const values = stage.weight(name)
    if (shape.length === 2) {
      const random = createRandom(seed, 'weights', index)
      for (let i = 0; i < values.length; i++) values[i] = MATRIX_DEVIATION * drawNormal(random, kernel.exports.log64)
    } else values.fill(name.endsWith('LayerNorm.weight') ? 1 : 0)
  })
}
