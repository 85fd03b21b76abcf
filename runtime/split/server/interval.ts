/**
 * The serving loop: one interval of steps. For each device in turn it runs the remaining blocks forward, the loss, the backward
 * pass and the update on that device's adapter set, and returns the gradient of the activation (section V of the paper). It
 * alone acts on the members: door and intake write down what comes and wake it.
 */
import { KerfError, refuse } from '../../error.ts'
import type { Clock } from '../../host/clock.ts'
import type { SetState } from '../../model/optimizer.ts'
import { sliceState } from '../../model/optimizer.ts'
import { encodeTensor } from '../../wire/codec.ts'
import type { TensorInput } from '../../wire/safetensors.ts'
import type { ActivationBatch } from '../activation.ts'
import type { Contract } from '../contract.ts'
import type { Candidate, Scheduler } from '../schedule.ts'
import { rateAt } from '../rate.ts'
import { schemeOf } from '../scheme.ts'
import type { Signal } from '../signal.ts'
import { stateMessage } from '../state.ts'
import type { Span } from '../stats.ts'
import { timelineRound } from '../stats.ts'
import { vectorTensors } from '../tensors.ts'
import type { Door } from './door.ts'
import type { Intake, Origin } from './intake.ts'
import type { Member } from './member.ts'
import { paceLimitMs, restAfter } from './pace.ts'
import type { Snapshot, Start, States } from './states.ts'

/** Returns of a device within an interval, no new step between them, before it is left out: links that flap hold nobody up for ever. */
export const RETURNS_MAX = 8

export type Interval = {
  clients: readonly number[]
  begin: number
  until: number
  start: Start
  /** What the members' sets are measured from; null for a device alone. */
  origin: Origin | null
  /** The shared server set where it isn't part of the clients' states: an interval gone on with (splitlora). */
  shared: SetState | null
  snapshot: Snapshot
}

type Own = Member<'course'>

export type LoopOptions = {
  contract: Contract
  width: number
  members: readonly Own[]
  door: Door
  intake: Intake
  states: States
  signal: Signal
  clock: Clock
  scheduler: Scheduler
  /** How long the server waits for a silent or absent device before it goes on without it. */
  deadlineMs: number
  /** How many times the others' time a device may take; see pace.ts. */
  patience: number
  /** A step's loss, told once, and what happens to a member. */
  on: { step(client: number, step: number, loss: number): void; member(client: number, what: string): void }
}

/** Since when nothing has been heard that the server waits for. */
function silentSince({ seat, inbox, course }: Member): number {
  return Math.max(seat.leftMs, inbox.heardMs, course.placedMs, course.answeredMs ?? 0)
}

/** Whether the member's device is there again and waits for its order; a step that is still being computed for it ends first. */
function hasReturned({ seat, course }: Member): boolean {
  return course.turn === 'working' && seat.ready && seat.epoch !== course.epoch && !course.served
}

export class ServingLoop {
  readonly spans: Span[] = []
  computeMs = 0
  waitMs = 0
  private readonly options: LoopOptions
  /** The server's halves of states that are being read. */
  private readonly reads = new Set<Promise<void>>()
  /** Why the run can't go on: no device's fault. */
  private failure: { error: unknown } | null = null

  constructor(options: LoopOptions) {
    this.options = options
  }

  /** Runs one interval to its end; gives the members that finished it, with their uploads. */
  async run(interval: Interval): Promise<Member[]> {
    const { intake, members, states } = this.options
    const { begin, until, start, origin, shared } = interval
    const clients = this.chooseFit(interval.clients)
    const working = clients.map((client) => members[client])
    intake.begin(origin, working)
    for (const { seat, course } of members) if (seat.ready || course.turn !== 'left') course.turn = 'idle'
    await states.lay(clients, start, shared)
    if (working.some(({ client }) => start(client))) states.begin(begin)
    for (const member of working) {
      const { seat, course } = member
      course.turn = 'working'
      course.until = until
      course.visits = seat.visits
      this.place(member, begin)
      if (seat.ready) this.sendOrder(member, start(member.client))
    }
    await this.serve(working, interval)
    return working.filter(({ course }) => course.turn === 'done')
  }

  /** Without those that sit out for their pace; all, where nobody would be left to work together. */
  private chooseFit(clients: readonly number[]): readonly number[] {
    const { contract, members } = this.options
    const fit = clients.filter((client) => members[client].course.rest-- <= 0)
    for (const client of clients) members[client].course.rest = Math.max(0, members[client].course.rest)
    return fit.length > 0 || schemeOf(contract).turns ? fit : clients
  }

  /** Puts a member before `step`, with nothing on its way. */
  private place(member: Own, step: number): void {
    const { clock, intake } = this.options
    const { course } = member
    course.step = step
    course.placedMs = clock.now()
    course.answeredMs = null
    intake.reset(member, step)
  }

  /** Tells a device where it is placed, and from here on listens to it. */
  private sendOrder({ part: { layout }, seat, course }: Own, state: SetState | null): void {
    const { step } = course
    const metadata = { until: String(course.until) }
    course.epoch = seat.epoch
    if (!state) return seat.channel?.send('report', { round: step, step, metadata })
    const part = sliceState(state, 0, layout.count)
    if (state.power1 === 1) seat.channel?.send('adapter', { round: step, step, metadata, tensors: vectorTensors(layout, part.params) })
    else seat.channel?.send('state', stateMessage(layout, part, step, metadata))
  }

  private async serve(working: readonly Own[], interval: Interval): Promise<void> {
    const { clock, contract, states } = this.options
    // With a model for each device nobody waits for a turn.
    const parallel = schemeOf(contract).models !== 'one'
    for (;;) {
      // What came in the meantime is taken in before anybody is found silent.
      await clock.turn()
      await states.save(working, interval.snapshot)
      this.checkFailure()
      // From here to the step served next nothing is waited for: the server's half of a state is read before its member's next step.
      for (const member of working) this.takeIn(member)
      if (working.every(({ course }) => course.turn !== 'working')) break
      const back = working.find(hasReturned)
      const next = back ? null : this.chooseNext(working, parallel)
      if (back) await this.restart(back, interval)
      else if (!next) await this.waitForMembers(working)
      else if (parallel) void this.serveNext(next)
      else await this.serveNext(next)
    }
    await Promise.all(this.reads)
    this.checkFailure()
    await states.save(working, interval.snapshot)
  }

  private checkFailure(): void {
    if (this.failure) throw this.failure.error
    this.options.door.checkFailure()
  }

  private fail(error: unknown): void {
    this.failure ??= { error }
    this.options.signal.notify()
  }

  /** Acts on what has come from a member beside work. */
  private takeIn(member: Own): void {
    const { on } = this.options
    const { seat, inbox, course } = member
    if (inbox.state) this.keepState(member)
    if (course.turn !== 'working') return
    const limitMs = this.limitPace(member)
    if (limitMs !== null && inbox.pace.ms > limitMs) this.leaveSlow(member, limitMs)
    else if (inbox.upload) course.turn = 'done'
    else if (seat.visits - course.visits > RETURNS_MAX) {
      course.turn = 'left'
      on.member(member.client, `left out: came back ${RETURNS_MAX} times without a new step`)
    }
  }

  /** Null where it has been judged already: all others are looked at, which is too much for each turn of the loop. */
  private limitPace({ client, course, inbox: { pace } }: Own): number | null {
    if (pace.ms === course.pacedMs) return null
    course.pacedMs = pace.ms
    // No limit is below the deadline.
    if (pace.ms <= this.options.deadlineMs) return null
    const others = this.options.members.filter((other) => other.client !== client).map(({ inbox }) => inbox.pace)
    return paceLimitMs(pace, others, this.options)
  }

  private leaveSlow(member: Own, limitMs: number): void {
    const { course, inbox: { pace } } = member
    course.rest = course.rested = restAfter(course.rested)
    const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`
    const rest = course.rest === 0 ? '' : `, and of the next ${course.rest}`
    const reason = `device: expected at most ${seconds(limitMs)} for ${pace.steps} steps beside the others, got ${seconds(pace.ms)}`
    this.leaveOut(member, `too slow: ${seconds(pace.ms)} for ${pace.steps} steps, at most ${seconds(limitMs)} beside the others${rest}`, reason)
  }

  /** The server's half is read before anything else is done with it, and its answer not waited for. */
  private keepState(member: Own): void {
    const { intake, signal, states } = this.options
    const read = states.keep(member, intake.claimState(member)!).catch((error: unknown) => this.fail(error)).then(() => {
      this.reads.delete(read)
      signal.notify()
    })
    this.reads.add(read)
  }

  /** A device that comes back begins again where both halves of its state are known. */
  private async restart(member: Own, { begin, start }: Interval): Promise<void> {
    const { door, states } = this.options
    const { channel } = member.seat
    try {
      const { step, state } = states.chooseRestart(member, begin, start)
      await states.restore(member, step, state).catch((error: unknown) => {
        this.fail(error)
        throw error
      })
      // It may have left in the meantime.
      if (member.seat.channel !== channel) return
      this.place(member, step)
      this.sendOrder(member, state)
    } catch (error) {
      door.refuse(member, channel, error)
    }
  }

  private chooseNext(working: readonly Own[], parallel: boolean): Own | null {
    const { members, scheduler, states } = this.options
    const candidates: Candidate[] = []
    for (const member of working) {
      const { inbox: { arrived, tailMs }, course: { turn, step, until, served } } = member
      if (turn !== 'working' || step >= until || served || !states.isWithinSaved(step)) continue
      if (!parallel) candidates.push({ client: member.client, step, arrival: arrived?.order ?? null, backwardWork: member.cut, tailMs })
      else if (arrived) return member
    }
    const client = parallel ? null : scheduler(candidates)
    return client === null ? null : members[client]
  }

  /** Serves what has arrived. Never throws: a step that can't be computed is its device's fault, any other error ends the run. */
  private async serveNext(member: Own): Promise<void> {
    const { door, intake, signal } = this.options
    const { course, seat: { channel } } = member
    const { step, work } = intake.claimWork(member)
    course.served = true
    try {
      if (typeof work === 'number') this.answer(member, 'report', step, work)
      else await this.serveStep(member, step, work)
    } catch (error) {
      if (!(error instanceof KerfError)) this.fail(error)
      door.refuse(member, channel, error)
    } finally {
      course.served = false
      signal.notify()
    }
  }

  private async serveStep(member: Own, step: number, { labels, ...batch }: ActivationBatch): Promise<void> {
    const { contract, states, width } = this.options
    const { half, set } = states.places[member.client]!
    const { epoch } = member.seat
    const { beginMs, endMs: forwardMs } = await half.forward({ set, begin: member.cut, ...batch })
    const { end, loss, gradient, beginMs: finishMs, endMs } = await half.finish({ labels, rate: rateAt(contract, step) })
    this.account(member, step, { beginMs, endMs }, forwardMs - beginMs + endMs - finishMs)
    // A device that came back in the meantime begins again from an earlier state.
    if (member.seat.epoch !== epoch) return
    if (end === 'void') throw new Error(`client ${member.client}, step ${step}: its set was written while the step was computed`)
    if (end === 'overflow') refuse('step-finite', 'activation', 'values of which loss and gradients are finite', 'an overflow')
    const rows = batch.offsets[labels.length]
    this.answer(member, 'gradient', step, loss!, encodeTensor(contract.codec, 'gradient', rows, width, gradient!))
  }

  /** The answer to a step, which is also the credit for the next. */
  private answer(
    { client, seat, course }: Own, type: 'gradient' | 'report', step: number, loss: number, tensors: readonly TensorInput[] = [],
  ): void {
    const { clock, on } = this.options
    course.step = step + 1
    seat.channel?.send(type, { round: step, step, tensors })
    course.answeredMs = clock.now()
    if (step < course.told) return
    course.told = step + 1
    course.visits = seat.visits
    try {
      on.step(client, step, loss)
    } catch (error) {
      this.fail(error)
    }
  }

  private account({ client }: Member, step: number, span: { beginMs: number; endMs: number }, computeMs: number): void {
    const { contract } = this.options
    this.computeMs += computeMs
    if (step !== timelineRound(contract.steps)) return
    const party = schemeOf(contract).models === 'each' ? `server ${client}` : 'server'
    this.spans.push({ party, kind: 'server', ...span })
  }

  private async waitForMembers(working: readonly Own[]): Promise<void> {
    const { clock, deadlineMs, signal } = this.options
    const beginMs = clock.now()
    const silent = working.filter(({ inbox, course }) => course.turn === 'working' && !inbox.arrived && !course.served)
    const waitsMs = silent.map((member) => silentSince(member) + deadlineMs - beginMs)
    silent.forEach((member, index) => { if (waitsMs[index] <= 0) this.leaveSilent(member) })
    if (waitsMs.every((ms) => ms > 0)) await signal.wait(Math.min(...waitsMs, deadlineMs))
    this.waitMs += clock.now() - beginMs
  }

  private leaveSilent(member: Own): void {
    const { deadlineMs } = this.options
    this.leaveOut(member, `silent for ${deadlineMs / 1000} s`, `device: expected a frame within ${deadlineMs} ms, got none`)
  }

  /** Goes on without the member until the next interval; a device that is there is told why, and may come again. */
  private leaveOut(member: Own, why: string, reason: string): void {
    const { door, on } = this.options
    member.course.turn = 'left'
    on.member(member.client, `left out: ${why}`)
    door.dismiss(member, new KerfError('deadline', 'device', reason))
  }
}
