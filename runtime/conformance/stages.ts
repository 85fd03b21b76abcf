/** Whole models: from the embedding to the loss, and three training steps with AdamW, by the stage that every party of a run has. */
import type { Kernel } from '../kernel/load.ts'
import type { ModelConfig } from '../model/config.ts'
import { LINEARS } from '../model/names.ts'
import type { StageSpec } from '../model/plan.ts'
import { ADAMW, Stage } from '../model/stage.ts'
import { offsetsOf } from '../cases/attention.ts'
import { draw, drawIntegers, readIntegers, writeSource } from '../cases/source.ts'
import type { Finding, Result } from '../cases/tally.ts'

const SMALL: ModelConfig = {
  vocabSize: 50, hiddenSize: 60, layers: 3, heads: 5, intermediateSize: 91, positionsMax: 300, typesMax: 2, layerNormEps: 1e-12, labels: [],
}
/** BERT-mini's blocks (Turc et al. 2019), two of them. */
const MINI: ModelConfig = {
  vocabSize: 997, hiddenSize: 256, layers: 2, heads: 4, intermediateSize: 1024, positionsMax: 64, typesMax: 2, layerNormEps: 1e-12, labels: [],
}
const LABELS = 5
const STEPS = 3
/** Of a uniform draw, so that its deviation is about 0.15: with BERT's own 0.02 so small a width would leave little of the input. */
const SPREAD = 0.26

const SMALL_BASE = {
  config: SMALL, labels: LABELS, setsFrom: [0], rows: 310, sequences: 5, longest: 300, training: 'adapters', from: 0, to: 3,
  adapter: { rank: 3, alpha: 7, targets: ['query', 'value'] },
} as const
const MINI_BASE = {
  config: MINI, labels: LABELS, setsFrom: [0], rows: 64, sequences: 4, longest: 40, training: 'adapters', from: 0, to: 2,
  adapter: { rank: 8, alpha: 16, targets: ['query', 'value'] },
} as const

/** One batch sums over more than 256 rows, one holds a long text, one a single short one. */
const SMALL_BATCHES = [[7, 290, 13], [1, 2, 40, 33, 5], [3]]
const MINI_BATCHES = [[9, 21, 6], [40], [2, 3, 17, 11]]

export type StageCase = { name: string; spec: StageSpec; batches: readonly (readonly number[])[]; steps: number; large: boolean }

const small = (name: string, changes: Partial<StageSpec>, steps = STEPS): StageCase =>
  ({ name: `model ${name}`, spec: { ...SMALL_BASE, ...changes }, batches: SMALL_BATCHES, steps, large: false })

/** What a device of a run trains. */
export const DEVICE_CASE = small('three steps, device', { to: 1 })

export const STAGE_CASES: readonly StageCase[] = [
  small('embedding to loss', {}, 0),
  small('embedding to loss, f16 weights', { format: 'f16' }, 0),
  small('embedding to loss, int8 weights', { format: 'int8' }, 0),
  DEVICE_CASE,
  small('three steps, server', { from: 1, setsFrom: [1] }),
  small('three steps, whole', {}),
  small('three steps, whole, recomputed', { recompute: true }),
  small('three steps, adapters on all layers', { adapter: { ...SMALL_BASE.adapter, targets: LINEARS.map(({ key }) => key) } }),
  small('three steps, f16 weights', { format: 'f16' }),
  small('three steps, int8 weights', { format: 'int8' }),
  small('three steps, every weight', { adapter: null, training: 'all', setsFrom: [] }),
  { name: 'model three steps, BERT-mini', spec: MINI_BASE, batches: MINI_BATCHES, steps: STEPS, large: true },
]


function drawFloats(count: number, name: string, scale: number, offset = 0): Float32Array {
  const values = new Float32Array(count)
  writeSource(draw(count, name, scale, offset), values)
  return values
}

/** Weights as files give them: in f32, whatever the stage holds them in. */
async function openDrawn(kernel: Kernel, spec: StageSpec): Promise<Stage> {
  const stage = await Stage.open(kernel, spec, {
    names: [], has: () => true,
    async read(name, shape) {
      const count = shape.reduce((product, size) => product * size, 1)
      const values = drawFloats(count, name, SPREAD, name.endsWith('LayerNorm.weight') ? 1 : 0)
      return { dtype: 'F32', data: new Uint8Array(values.buffer) }
    },
  })
  stage.plan.sets.forEach(({ layout: { count } }, index) => {
    stage.writeSet(index, { params: drawFloats(count, `set ${index}`, 0.35), m: new Float32Array(count), v: new Float32Array(count), power1: 1, power2: 1 })
  })
  return stage
}

/** Values one behind another. */
function collect(parts: readonly ArrayLike<number>[], element: 'f32' | 'f64'): Result {
  const count = parts.reduce((sum, part) => sum + part.length, 0)
  const all = element === 'f32' ? new Float32Array(count) : new Float64Array(count)
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return { element, bytes: new Uint8Array(all.buffer) }
}

/** The stage of a case, its weights and adapter sets drawn. */
export function openStageCase(kernel: Kernel, { spec }: StageCase, threads = 1): Promise<Stage> {
  return openDrawn(kernel, threads > 1 ? { ...spec, threads } : spec)
}

export async function runStageCase(kernel: Kernel, it: StageCase, threads = 1): Promise<Finding> {
  return trainStage(await openStageCase(kernel, it, threads), it)
}

/** Runs forward over each batch, and with `steps` the backward pass and an update behind it; closes the stage. */
export function trainStage(stage: Stage, { name, spec, batches, steps }: StageCase): Finding {
  const { config: { hiddenSize: C, vocabSize, typesMax }, from } = spec
  const activations: Float32Array[] = [], logits: Float32Array[] = [], losses: number[] = [], gradients: Float32Array[] = []
  for (let step = 0; step < Math.max(steps, batches.length); step++) {
    const lengths = batches[step % batches.length]
    const offsets = offsetsOf(lengths)
    const N = offsets[lengths.length]
    const ids = readIntegers(drawIntegers(N, vocabSize, `ids ${step}`))
    const types = step === 1 ? readIntegers(drawIntegers(N, typesMax, `types ${step}`)) : undefined
    stage.forward(from === 0 ? { offsets, ids, types } : { offsets, activation: drawFloats(N * C, `activation ${step}`, 1) })
    activations.push(stage.activation())
    if (stage.plan.head) {
      logits.push(stage.logits())
      losses.push(stage.loss(readIntegers(drawIntegers(lengths.length, LABELS, `labels ${step}`))))
    }
    if (steps === 0) continue
    stage.clearGradients()
    const dx = stage.backward(stage.plan.head ? undefined : drawFloats(N * C, `gradient ${step}`, 1))
    if (dx) gradients.push(dx)
    stage.update(ADAMW)
  }
  const results: Record<string, Result> = { activations: collect(activations, 'f32') }
  if (logits.length > 0) {
    results.logits = collect(logits, 'f32')
    results.losses = collect([losses], 'f64')
  }
  if (gradients.length > 0) results.gradients = collect(gradients, 'f32')
  if (steps > 0) {
    const set = spec.training === 'all' ? null : stage.readSet(0)
    results.trained = collect(set ? [set.params] : stage.plan.weights.tensors.map((tensor) => stage.weight(tensor.name)), 'f32')
    if (set) results.moments = collect([set.m, set.v], 'f32')
  }
  stage.close()
  return { name, results, damage: null }
}
