/** A client as the server knows it, whether or not it is connected. */
import type { ModelConfig } from '../model/config.ts'
import type { Layout } from '../model/layout.ts'
import type { SetState } from '../model/optimizer.ts'
import type { TensorExpectation } from '../wire/expectation.ts'
import type { ActivationBatch } from './activation.ts'
import type { Channel, Expected } from './channel.ts'
import type { Contract, Share } from './contract.ts'
import { activationExpectation, adapterExpectation, deviceLayout, stateExpectation } from './contract.ts'
import { isStateDue } from './device.ts'
import { schemeOf } from './scheme.ts'
import type { StatsReport } from './stats.ts'

/** The device's part of the adapters and the frames that carry it: the same for all members of one cut. */
export type DevicePart = { layout: Layout; adapter: readonly TensorExpectation[]; state: readonly TensorExpectation[] }

/** What waits for the server: a batch to compute on or, from a device with the whole model, its loss. */
export type Arrived = { order: number; step: number; work: ActivationBatch | number }

export type Member = {
  readonly client: number
  readonly cut: number
  readonly part: DevicePart
  name: string | null
  channel: Channel | null
  /** Rises at each connection; frames of older ones are refused. */
  epoch: number
  share: Share | null
  /** The activation frame of that share. */
  activation: readonly TensorExpectation[]
  /** The present connection has said what it brings. */
  ready: boolean
  /** Part in the current interval: none, at work, finished, or given up until the next. */
  turn: 'idle' | 'working' | 'done' | 'left'
  /** The step expected next, and where the interval ends. */
  step: number
  until: number
  /** The first step whose loss has not been told; a device that begins again computes old ones anew. */
  told: number
  /** Connections since then, within an interval. */
  returns: number
  arrived: Arrived | null
  /** The server is computing this member's step. */
  served: boolean
  /** The device's part of the adapters after the interval. */
  upload: Float32Array | null
  /** Full states by step, from the last that all members reached on; empty where no states are uploaded. */
  snapshots: Map<number, SetState>
  /** The last step whose state this connection has sent, or where it began. */
  stateStep: number
  /** Since when nothing has been heard that the server waits for. */
  silentSinceMs: number
  gradientSentMs: number | null
  tailMs: number | null
  upBytes: number
  downBytes: number
  drops: number
  stats: StatsReport | null
}

function createMember(client: number, cut: number, part: DevicePart): Member {
  return {
    client, cut, part, name: null, channel: null, epoch: 0, share: null, activation: [], ready: false, turn: 'idle', step: 0, until: 0, told: 0, returns: 0,
    arrived: null, served: false, upload: null, snapshots: new Map(), stateStep: 0, silentSinceMs: 0, gradientSentMs: null, tailMs: null,
    upBytes: 0, downBytes: 0, drops: 0, stats: null,
  }
}

/** The members of a run, none of them connected. */
export function createMembers(config: ModelConfig, contract: Contract): Member[] {
  const parts = new Map<number, DevicePart>()
  for (const cut of new Set(contract.cuts)) {
    const layout = deviceLayout(config, contract, cut)
    parts.set(cut, { layout, adapter: adapterExpectation(layout), state: stateExpectation(layout) })
  }
  return contract.cuts.map((cut, client) => createMember(client, cut, parts.get(cut)!))
}

/** Takes what a device brings. */
export function takeShare(member: Member, share: Share, contract: Contract, width: number): void {
  member.share = share
  member.activation = activationExpectation(contract, share, width)
}

/** Puts a member before `step`, with nothing on its way. */
export function placeMember(member: Member, step: number, nowMs: number): void {
  Object.assign(member, { step, stateStep: step, arrived: null, upload: null, gradientSentMs: null, silentSinceMs: nowMs })
}

/** What a member may send now: exactly one kind of frame. */
export function expectFrom({ part, activation, step, until, turn, stateStep }: Member, contract: Contract): Expected {
  if (turn !== 'working') return { types: { bye: [] } }
  if (step > stateStep && isStateDue(contract, step, until)) return { types: { state: part.state }, step }
  if (step === until) return { types: { adapter: part.adapter }, step }
  return { types: schemeOf(contract).whole ? { report: [] } : { activation }, step }
}
