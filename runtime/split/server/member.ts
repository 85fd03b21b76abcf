/**
 * A client as the server knows it, whether or not it is connected: one record for each room of the server, which alone may
 * change it. The others read them.
 */
import type { ModelConfig } from '../../model/config.ts'
import type { Layout } from '../../model/layout.ts'
import type { SetState } from '../../model/optimizer.ts'
import type { TensorExpectation } from '../../wire/expectation.ts'
import type { ActivationBatch } from '../activation.ts'
import type { Channel } from '../channel.ts'
import type { Contract } from '../contract.ts'
import { adapterExpectation, deviceLayout, stateExpectation } from '../contract.ts'
import type { Brought, Share } from '../share.ts'
import type { StatsReport } from '../stats.ts'
import type { Roll } from './admission.ts'
import type { Pace } from './pace.ts'

/** Of the door: who sits on this number. */
export type Seat = {
  /** What logs call it; without a key, also what it is known by. */
  name: string | null
  /** The key that holds this number for good: its device has been ready, or the roll of an earlier start says so. */
  key: string | null
  /** The key whose device sits here or last asked for this number. */
  claim: string | null
  channel: Channel | null
  /** Rises at each connection; frames of older ones are refused. */
  epoch: number
  /** What its device has told since this server started; null until it has been ready. */
  share: Share | null
  /** What its device brought to an earlier start, by the checkpoint, and must bring again. */
  brought: Brought | null
  /** The present connection has said what it brings. */
  ready: boolean
  /** Connections that did. */
  visits: number
  /** When the last of those ended. */
  leftMs: number
  upBytes: number
  downBytes: number
  drops: number
}

/** What waits for the server: a batch to compute on or, from a device with the whole model, its loss. */
export type Arrived = { order: number; step: number; work: ActivationBatch | number }

/** Of the intake: what the device has sent since it was last placed. */
export type Inbox = {
  arrived: Arrived | null
  /** The device's half of the state after `step` steps, until the server's is read. */
  state: { step: number; device: SetState } | null
  /** The last step whose state has been sent, or where the device was placed. */
  stateStep: number
  /** The device's part of the adapters after the interval. */
  upload: Float32Array | null
  heardMs: number
  /** From an answer to the next work, smoothed; null until measured. */
  tailMs: number | null
  /** What the device has taken for the interval's steps, without the server's part. */
  pace: Pace
  /** What the device has told of itself with its goodbye. */
  stats: StatsReport | null
}

/** Of the serving loop: where the device is in its interval. */
export type Course = {
  /** Part in the current interval: none, at work, finished, or given up until the next. */
  turn: 'idle' | 'working' | 'done' | 'left'
  /** The step expected next, and where the interval ends. */
  step: number
  until: number
  /** The connection that has its order; another one waits for it. */
  epoch: number
  /** The server is computing this member's step. */
  served: boolean
  /** The first step whose loss has not been told; a device that begins again computes old ones anew. */
  told: number
  /** Visits up to the interval's beginning or the last new step. */
  visits: number
  placedMs: number
  /** When the last answer went out; null when none has since the member was placed. */
  answeredMs: number | null
  /** Intervals that the device has still to sit out for its pace, and those of the last time; null before the first. */
  rest: number
  rested: number | null
  /** The pace that was last held against the others'. */
  pacedMs: number
}

/** Full states by step, from the last that all members reached on; empty where no states are uploaded. */
export type Snapshots = Map<number, SetState>

type Records = { seat: Seat; inbox: Inbox; course: Course; snapshots: Snapshots }
type Views = { seat: Readonly<Seat>; inbox: Readonly<Inbox>; course: Readonly<Course>; snapshots: ReadonlyMap<number, SetState> }

/** The device's part of the adapters and the frames that carry it: the same for all members of one cut. */
export type DevicePart = { layout: Layout; adapter: readonly TensorExpectation[]; state: readonly TensorExpectation[] }

/** A member as the owner of its records `Own` has it. */
export type Member<Own extends keyof Records = never> = { readonly client: number; readonly cut: number; readonly part: DevicePart } &
  { readonly [Name in Own]: Records[Name] } & Readonly<Omit<Views, Own>>

function createMember(client: number, cut: number, part: DevicePart): Member<keyof Records> {
  return {
    client, cut, part,
    seat: {
      name: null, key: null, claim: null, channel: null, epoch: 0, share: null, brought: null, ready: false, visits: 0, leftMs: 0,
      upBytes: 0, downBytes: 0, drops: 0,
    },
    inbox: { arrived: null, state: null, stateStep: 0, upload: null, heardMs: 0, tailMs: null, pace: { ms: 0, steps: 0, before: null }, stats: null },
    course: {
      turn: 'idle', step: 0, until: 0, epoch: 0, served: false, told: 0, visits: 0, placedMs: 0, answeredMs: null, rest: 0, rested: null, pacedMs: 0,
    },
    snapshots: new Map(),
  }
}

/** The members of a run, none of them connected; those that the roll names are held by their keys. `brought`: of each, where it is known. */
export function createMembers(
  config: ModelConfig, contract: Contract, roll: Roll = new Map(), brought: readonly Brought[] = [],
): Member<keyof Records>[] {
  const parts = new Map<number, DevicePart>()
  for (const cut of new Set(contract.cuts)) {
    const layout = deviceLayout(config, contract, cut)
    parts.set(cut, { layout, adapter: adapterExpectation(layout), state: stateExpectation(layout) })
  }
  const members = contract.cuts.map((cut, client) => createMember(client, cut, parts.get(cut)!))
  for (const { client, seat } of members) seat.brought = brought[client] ?? null
  for (const [key, client] of roll) if (client < members.length) members[client].seat.key = key
  return members
}
