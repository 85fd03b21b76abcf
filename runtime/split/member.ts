/** A client as the server knows it, whether or not it is connected. */
import type { Channel } from './channel.ts'
import type { Share } from './contract.ts'
import type { SetState } from '../model/stage.ts'
import type { ActivationBatch } from './activation.ts'
import type { StatsReport } from './stats.ts'

/** What waits for the server: a batch to compute on or, from a device with the whole model, its loss. */
export type Arrived = { order: number; step: number; work: ActivationBatch | number }

export type Member = {
  readonly client: number
  readonly cut: number
  name: string | null
  channel: Channel | null
  /** Rises at each connection; frames of older ones are refused. */
  epoch: number
  share: Share | null
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

export function createMember(client: number, cut: number): Member {
  return {
    client, cut, name: null, channel: null, epoch: 0, share: null, ready: false, turn: 'idle', step: 0, until: 0, told: 0, returns: 0,
    arrived: null, served: false, upload: null, snapshots: new Map(), stateStep: 0, silentSinceMs: 0, gradientSentMs: null, tailMs: null,
    upBytes: 0, downBytes: 0, drops: 0, stats: null,
  }
}
