/** A set with its optimiser on the wire: up for a checkpoint, down to go on from. */
import { refuse } from '../error.ts'
import type { Layout } from '../model/layout.ts'
import type { SetState } from '../model/optimizer.ts'
import type { Frame } from '../wire/frame.ts'
import type { Contract } from './contract.ts'
import { STATE_PARTS } from './contract.ts'
import { vectorFrom, vectorTensors } from './tensors.ts'

/** The frame that carries `state` as it is after `step` steps. */
export function stateMessage(layout: Layout, state: SetState, step: number, metadata: Record<string, string> = {}) {
  const vectors = [state.params, state.m, state.v]
  return {
    round: step, step,
    tensors: STATE_PARTS.flatMap((part, index) => vectorTensors(layout, vectors[index], part)),
    metadata: { ...metadata, power1: String(state.power1), power2: String(state.power2) },
  }
}

/** The state back from a checked frame; refuses `state-power`. */
export function stateFrom(layout: Layout, frame: Pick<Frame, 'tensors' | 'metadata'>): SetState {
  const [params, m, v] = STATE_PARTS.map((part) => vectorFrom(layout, frame, part))
  const power1 = Number(frame.metadata.power1), power2 = Number(frame.metadata.power2)
  for (const power of [power1, power2]) if (!(power >= 0 && power <= 1)) refuse('state-power', 'state.power', '0 … 1', power)
  return { params, m, v, power1, power2 }
}

/** Whether a device uploads its state after `step` steps: aggregations need none but in a run of one client, which has no aggregation. */
export function isStateDue({ checkpointEvery, cuts }: Pick<Contract, 'checkpointEvery' | 'cuts'>, step: number, until: number): boolean {
  return checkpointEvery > 0 && step % checkpointEvery === 0 && (step < until || cuts.length === 1)
}
