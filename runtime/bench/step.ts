/**
 * Whole steps of one device: blocks [0, cut) of a model with adapters, forward, and backward with the update, as a
 * run takes them. N rows of S sequences, C width.
 */
import { offsetsOf } from '../cases/attention.ts'
import { initialVector } from '../model/initial.ts'
import type { Kernel } from '../kernel/load.ts'
import type { ModelConfig } from '../model/config.ts'
import type { AdapterConfig } from '../model/peft.ts'
import type { StageOptions, StageSpec } from '../model/plan.ts'
import type { StepTime } from '../model/profile.ts'
import { ADAMW, freshState } from '../model/optimizer.ts'
import { Stage } from '../model/stage.ts'
import type { Weights } from '../model/weights.ts'
import { countWork } from '../model/work.ts'
import { cutRows, drawIds } from './operations.ts'
import { drawGradient } from './presets.ts'

export type StepShape = {
  config: ModelConfig
  /** Blocks [0, cut); all of them bring the head and the loss. */
  cut: number
  /** K. */
  labels: number
  adapter: AdapterConfig
  /** Sequences of a step, and the rows of each. */
  batch: number
  length: number
  /** How the stage is held and computed. */
  stage?: StageOptions
}

/** The update computes all and changes nothing, so that a step can be taken again and again. */
const STILL = { ...ADAMW, learningRate: 0 }

export function stepSpec({ config, cut, labels, adapter, batch, length, stage }: StepShape, reserveBytes = 0): StageSpec {
  return {
    config, from: 0, to: cut, labels, adapter, training: 'adapters', setsFrom: [0],
    rows: batch * length, sequences: batch, longest: length, reserveBytes, ...stage,
  }
}

/** A step's stage, to be closed after its last step. Refuses `plan.bytes` for one over 4 GiB. */
export async function openStep(kernel: Kernel, shape: StepShape, weights: Weights, reserveBytes = 0): Promise<Stage> {
  const stage = await Stage.open(kernel, stepSpec(shape, reserveBytes), weights)
  stage.writeSet(0, freshState(initialVector(stage.plan.sets[0].layout, 1, kernel.exports)))
  return stage
}

/** The two halves of a step over sequences of `lengths`; `backward` uses up what `forward` left. */
export function stepCalls(stage: Stage, lengths: readonly number[]): Record<'forward' | 'backward', () => void> {
  const { config, labels: K } = stage.spec
  const offsets = offsetsOf(lengths), N = offsets[lengths.length]
  const batch = { offsets, ids: drawIds(N, config.vocabSize) }
  const labels = Int32Array.from(lengths, (_, s) => s % K)
  const dOut = stage.plan.head ? undefined : drawGradient(N * config.hiddenSize)
  return {
    forward: () => stage.forward(batch),
    backward() {
      stage.clearGradients()
      if (stage.plan.head) stage.loss(labels)
      stage.backward(dOut)
      stage.update(STILL)
    },
  }
}

export const gflopsOf = (flops: number, ms: number): number => flops / ms / 1e6

export function rateStep(stage: Stage, lengths: readonly number[], forwardMs: number, backwardMs: number): StepTime {
  const work = countWork(stage.spec, lengths)
  return {
    rows: lengths.reduce((sum, length) => sum + length, 0), forwardMs, backwardMs,
    forwardGflops: gflopsOf(2 * work.forward, forwardMs), backwardGflops: gflopsOf(2 * work.backward, backwardMs),
  }
}

/** Row counts up to a whole batch, each as sequences of at most `length`. */
export function stepSizes({ batch, length }: StepShape, rows: readonly number[]): number[][] {
  const distinct = new Set([...rows, batch * length])
  return [...distinct].filter((count) => count <= batch * length).sort((a, b) => a - b).map((count) => cutRows(count, length))
}
