/**
 * Where the server's blocks run. One executor holds one model and the adapter sets
 * that share it; `sfl` opens one for each device, perhaps in workers of their own.
 */
import type { Kernel } from '../kernel/load.ts'
import { sumPurposes } from '../kernel/plan.ts'
import type { StageSpec } from '../model/plan.ts'
import type { Optimizer, SetState } from '../model/optimizer.ts'
import { Stage } from '../model/stage.ts'
import type { Weights } from '../model/weights.ts'

/** One server step: blocks [begin, L) on adapter set `set`. activation [N, C]. */
export type StepInput = { set: number; begin: number; offsets: Int32Array; activation: Float32Array; labels: Int32Array }
/**
 * Mean loss in nats, gradient of the activation [N, C], and when the work was done. A step that overflows leaves the set as
 * it was and gives NaN and no gradient: a value rather than an error, so that it comes through a worker as it is.
 */
export type StepOutput = { loss: number; gradient: Float32Array; beginMs: number; endMs: number }

export type ExecutorMemory = { bytes: number; modelBytes: number; setBytes: number }

export type Executor = {
  step(input: StepInput): Promise<StepOutput>
  read(set: number): Promise<SetState>
  write(set: number, state: SetState): Promise<void>
  memory(): Promise<ExecutorMemory>
  /** Ends its threads; it computes nothing afterwards. */
  close(): void
}

/** Whether the gradients of set `set` and of the activation, `count` values, are finite after a backward pass. */
function hasFiniteGradients({ kernel, plan }: Stage, set: number, count: number): boolean {
  return kernel.countNonFinite(plan.dOut, count) === 0 && kernel.countNonFinite(plan.setGrads, plan.sets[set].layout.count) === 0
}

/** Opens a stage and runs it in the calling thread. */
export async function openExecutor(
  kernel: Kernel, spec: StageSpec, weights: Weights, optimizer: Optimizer, clock: () => number,
): Promise<Executor> {
  const stage = await Stage.open(kernel, spec, weights)
  return {
    async step({ set, begin, offsets, activation, labels }) {
      const beginMs = clock()
      stage.selectSet(set)
      stage.forward({ offsets, activation }, begin)
      const loss = stage.loss(labels)
      stage.clearGradients()
      const gradient = stage.backward()!
      const finite = Number.isFinite(loss) && hasFiniteGradients(stage, set, gradient.length)
      if (finite) stage.update(optimizer)
      return { loss: finite ? loss : NaN, gradient: finite ? gradient : new Float32Array(0), beginMs, endMs: clock() }
    },
    async read(set) {
      return stage.readSet(set)
    },
    async write(set, state) {
      stage.writeSet(set, state)
    },
    async memory() {
      const { weights: modelBytes, sets: setBytes } = sumPurposes(stage.plan.memory)
      return { bytes: stage.bytes, modelBytes, setBytes }
    },
    close: () => stage.close(),
  }
}
