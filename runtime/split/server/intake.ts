/**
 * What a ready device sends: at any moment exactly one kind of frame is expected of it. The intake checks what comes and keeps
 * it in the member's inbox; the serving loop takes it from there when it is its turn. It acts on nothing itself.
 */
import { refuse } from '../../error.ts'
import type { Clock } from '../../host/clock.ts'
import type { SetState } from '../../model/optimizer.ts'
import type { Frame } from '../../wire/frame.ts'
import { readActivation, readLoss } from '../activation.ts'
import type { Channel, Expected } from '../channel.ts'
import type { Contract } from '../contract.ts'
import { activationExpectation } from '../contract.ts'
import { schemeOf } from '../scheme.ts'
import { isStateDue, stateFrom } from '../state.ts'
import { parseStats } from '../stats.ts'
import { vectorFrom } from '../tensors.ts'
import type { Arrived, Member } from './member.ts'

type Own = Member<'inbox'>

export class Intake {
  private readonly contract: Contract
  private readonly width: number
  private readonly clock: Clock
  private arrivals = 0

  constructor(contract: Contract, width: number, clock: Clock) {
    this.contract = contract
    this.width = width
    this.clock = clock
  }

  /** Takes one frame of the member's connection; throws a KerfError for any but the one expected now. */
  take(member: Own, channel: Channel, bytes: Uint8Array): void {
    const { inbox, part } = member
    const frame = channel.decode(bytes, this.expectFrom(member))
    inbox.heardMs = this.clock.now()
    if (frame.type === 'activation' || frame.type === 'report') this.takeWork(member, frame)
    else if (frame.type === 'adapter') inbox.upload = vectorFrom(part.layout, frame)
    else if (frame.type === 'bye') inbox.stats = parseStats(frame.metadata.stats)
    else if (frame.type === 'state') {
      inbox.state = { step: frame.step, device: stateFrom(part.layout, frame) }
      inbox.stateStep = frame.step
    }
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

  private takeWork({ cut, seat, inbox, course }: Own, frame: Frame): void {
    if (inbox.arrived || course.served) refuse('frame-window', 'frame.step', 'one step in flight', `another frame for step ${frame.step}`)
    const work = frame.type === 'report' ? readLoss(frame) : readActivation(frame, this.contract, cut, seat.share!, this.width)
    if (course.answeredMs !== null) {
      const tail = this.clock.now() - course.answeredMs
      inbox.tailMs = inbox.tailMs === null ? tail : (3 * inbox.tailMs + tail) / 4
    }
    inbox.arrived = { order: this.arrivals++, step: frame.step, work }
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
