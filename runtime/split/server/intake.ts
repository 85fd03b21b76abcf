/**
 * What a ready device sends: at any moment exactly one kind of frame is expected of it. The intake checks what comes and keeps
 * it in the member's inbox; the serving loop takes it from there when it is its turn. It acts on nothing itself.
 */
import { refuse } from '../../error.ts'
import type { Clock } from '../../host/clock.ts'
import type { Optimizer, SetState } from '../../model/optimizer.ts'
import type { Frame } from '../../wire/frame.ts'
import type { ActivationBatch } from '../activation.ts'
import { readActivation, readLoss } from '../activation.ts'
import type { Channel, Expected } from '../channel.ts'
import type { Contract } from '../contract.ts'
import { activationExpectation, optimizerOf } from '../contract.ts'
import { checkMoments, checkReach, reachOf } from '../reach.ts'
import { schemeOf } from '../scheme.ts'
import { isStateDue, stateFrom } from '../state.ts'
import { parseStats } from '../stats.ts'
import { vectorFrom } from '../tensors.ts'
import type { Arrived, Member } from './member.ts'
import { paceOf } from './pace.ts'

type Own = Member<'inbox'>

/** The full set that all began from with their moments zero, and after how many steps of the run that was. */
export type Origin = { base: Float32Array; step: number }

export type IntakeOptions = {
  contract: Contract
  width: number
  clock: Clock
  /** For each client, what no value of a true activation exceeds; not looked at unless given. */
  activationMax?: readonly number[]
}

export class Intake {
  private readonly contract: Contract
  private readonly width: number
  private readonly clock: Clock
  private readonly activationMax: readonly number[] | undefined
  private readonly optimizer: Optimizer
  private origin: Origin | null = null
  private arrivals = 0

  constructor({ contract, width, clock, activationMax }: IntakeOptions) {
    this.contract = contract
    this.width = width
    this.clock = clock
    this.activationMax = activationMax
    this.optimizer = optimizerOf(contract)
  }

  /** What members send from here on must be within reach of there; null: a device alone, whose moments go on, harms nobody else. */
  begin(origin: Origin | null, working: readonly Own[]): void {
    this.origin = origin
    for (const { inbox } of working) inbox.pace = { ms: 0, steps: 0, before: paceOf(inbox.pace) }
  }

  /** Takes one frame of the member's connection; throws a KerfError for any but the one expected now. */
  take(member: Own, channel: Channel, bytes: Uint8Array): void {
    const { inbox } = member
    const frame = channel.decode(bytes, this.expectFrom(member))
    // What came while this thread computed came then, and is nobody's delay.
    inbox.heardMs = channel.link.heardMs?.() ?? this.clock.now()
    if (frame.type === 'activation' || frame.type === 'report') this.takeWork(member, frame)
    else if (frame.type === 'adapter') {
      inbox.upload = this.readUpload(member, frame)
      inbox.pace.ms += this.tookMs(member)
    }
    else if (frame.type === 'bye') inbox.stats = parseStats(frame.metadata.stats)
    else if (frame.type === 'state') {
      inbox.state = { step: frame.step, device: this.readState(member, frame) }
      inbox.stateStep = frame.step
    }
  }

  /** From what the device had to wait for, its order or the last answer, to its frame. */
  private tookMs({ course, inbox }: Member): number {
    return Math.max(0, inbox.heardMs - (course.answeredMs ?? course.placedMs))
  }

  private readUpload({ part: { layout } }: Member, frame: Frame): Float32Array {
    const { origin, optimizer } = this
    const params = vectorFrom(layout, frame)
    if (origin) checkReach(layout, params, origin.base, reachOf(optimizer, frame.step - origin.step))
    return params
  }

  private readState({ part: { layout } }: Member, frame: Frame): SetState {
    const { origin, optimizer } = this
    const state = stateFrom(layout, frame)
    if (origin) checkReach(layout, state.params, origin.base, reachOf(optimizer, frame.step - origin.step))
    checkMoments(layout, state, optimizer, frame.step - (origin?.step ?? 0), schemeOf(this.contract).shared)
    return state
  }

  /** Without work a device has nothing to say but goodbye, and so it is until this connection has its order. */
  private expectFrom({ part, seat, inbox, course }: Member): Expected {
    const { contract } = this
    const { turn, step, until, epoch } = course
    if (turn !== 'working' || epoch !== seat.epoch || inbox.upload) return { types: { bye: [] } }
    if (step > inbox.stateStep && isStateDue(contract, step, until)) return { types: { state: part.state }, step }
    if (step === until) return { types: { adapter: part.adapter }, step }
    if (schemeOf(contract).whole) return { types: { report: [] }, step }
    return { types: { activation: activationExpectation(contract, seat.share!, this.width) }, step }
  }

  private takeWork(member: Own, frame: Frame): void {
    const { inbox, course } = member
    if (inbox.arrived || course.served) refuse('frame-window', 'frame.step', 'one step in flight', `another frame for step ${frame.step}`)
    const work = frame.type === 'report' ? readLoss(frame) : this.readBatch(member, frame)
    const took = this.tookMs(member)
    inbox.pace.ms += took
    inbox.pace.steps++
    if (course.answeredMs !== null) inbox.tailMs = inbox.tailMs === null ? took : (3 * inbox.tailMs + took) / 4
    inbox.arrived = { order: this.arrivals++, step: frame.step, work }
  }

  private readBatch({ client, cut, seat }: Member, frame: Frame): ActivationBatch {
    const { contract, width, activationMax } = this
    return readActivation(frame, contract, { cut, share: seat.share!, width, largest: activationMax?.[client] ?? Infinity })
  }

  /** The member is placed before `step`: what it sent until now counts no more. */
  reset({ inbox }: Own, step: number): void {
    inbox.arrived = inbox.state = inbox.upload = null
    inbox.stateStep = step
  }

  /** Work of a connection that has ended is not served. */
  forgetWork({ inbox }: Own): void {
    inbox.arrived = null
  }

  /** Hands the member's work over to who serves it. */
  claimWork({ inbox }: Own): Arrived {
    const arrived = inbox.arrived!
    inbox.arrived = null
    return arrived
  }

  /** Hands over the device's half of a state, if one has come. */
  claimState({ inbox }: Own): { step: number; device: SetState } | null {
    const { state } = inbox
    inbox.state = null
    return state
  }
}
