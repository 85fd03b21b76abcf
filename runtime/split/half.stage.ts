/** A half that is a stage in the calling thread. */
import { refuse } from '../error.ts'
import type { Kernel } from '../kernel/load.ts'
import { profileOf } from '../kernel/load.ts'
import { sumPurposes } from '../kernel/plan.ts'
import type { Optimizer } from '../model/optimizer.ts'
import type { StageSpec } from '../model/plan.ts'
import { Stage } from '../model/stage.ts'
import type { Weights } from '../model/weights.ts'
import type { FinishInput, FinishOutput, Half, Numerics, StepEnd } from './half.ts'

/** Whether the gradients of set `set` and of the input, where it has one, are finite after a backward pass. */
function hasFiniteGradients({ kernel, plan }: Stage, set: number, dInput: Float32Array | null): boolean {
  const strange = dInput ? kernel.countNonFinite(plan.dOut, dInput.length) : 0
  return strange === 0 && kernel.countNonFinite(plan.setGrads, plan.sets[set].layout.count) === 0
}

/** Loss, backward, and the update where all is finite. Refuses `half-finish` for labels or a gradient where the other is needed. */
function finishStep(stage: Stage, set: number, input: FinishInput, optimizer: Optimizer): Omit<FinishOutput, 'beginMs' | 'endMs'> {
  const { head } = stage.plan
  if ('labels' in input !== head) refuse('half-finish', 'half.finish', head ? 'labels' : 'a gradient', 'labels' in input ? 'labels' : 'gradient')
  const loss = 'labels' in input ? stage.loss(input.labels) : null
  stage.clearGradients()
  const gradient = stage.backwardView('gradient' in input ? input.gradient : undefined)
  const finite = Number.isFinite(loss ?? 0) && hasFiniteGradients(stage, set, gradient)
  if (!finite) return unfinished('overflow', stage)
  stage.update(optimizer, input.rate)
  return { end: 'updated', loss, gradient }
}

function unfinished(end: StepEnd, { plan }: Stage) {
  return { end, loss: plan.head ? NaN : null, gradient: null }
}

/** Of a stage that this kernel computes. */
export function numericsOf({ build, selfTest }: Pick<Kernel, 'build' | 'selfTest'>, { format = 'f32' }: Pick<StageSpec, 'format'>): Numerics {
  const { digest: bits, differs } = selfTest ?? {}
  return { dtype: format, profile: profileOf(build), ...(bits !== undefined && { bits }), ...(differs && { differs }) }
}

/** Opens a stage and computes in this thread. `now` as in Clock. */
export async function openStageHalf(
  kernel: Kernel, spec: StageSpec, weights: Weights, optimizer: Optimizer, now: () => number,
): Promise<Half> {
  const stage = await Stage.open(kernel, spec, weights)
  /** Records point to the set selected; a half of one set never writes them again. */
  let selected = 0
  /** The set of the batch that waits for its finish. */
  let pending: number | null = null
  return {
    numerics: numericsOf(kernel, stage.spec),
    async forward({ set, begin, ...batch }) {
      const beginMs = now()
      pending = null
      if (set !== selected) stage.selectSet(set)
      selected = set
      stage.forward(batch, begin)
      pending = set
      return { activation: stage.plan.head ? null : stage.activationView(), beginMs, endMs: now() }
    },
    async finish(input) {
      const beginMs = now()
      const set = pending
      pending = null
      const done = set === null ? unfinished('void', stage) : finishStep(stage, set, input, optimizer)
      return { ...done, beginMs, endMs: now() }
    },
    async read(set) {
      return stage.readSet(set)
    },
    async write(set, state) {
      if (pending === set) pending = null
      stage.writeSet(set, state)
    },
    async memory() {
      const { weights: modelBytes, sets: setBytes } = sumPurposes(stage.plan.memory)
      return { bytes: stage.bytes, modelBytes, setBytes }
    },
    close: () => stage.close(),
  }
}
