/**
 * The edge server: takes connections, and serves one interval of steps at a time.
 * For each device in turn it runs the remaining blocks forward, the loss, the backward
 * pass and the update on that device's adapter set, and returns the gradient of the
 * activation (section V of the paper). A device that lies, leaves or stalls is refused
 * or left out; nothing it sends reaches another's state.
 */
import { KerfError, refuse } from '../error.ts'
import type { ModelConfig } from '../model/config.ts'
import type { Layout } from '../model/layout.ts'
import { prefixCount } from '../model/layout.ts'
import type { SetState } from '../model/optimizer.ts'
import { joinStates, sliceState } from '../model/optimizer.ts'
import { encodeTensor } from '../wire/codec.ts'
import type { Crc32c, Frame } from '../wire/frame.ts'
import type { TensorInput } from '../wire/safetensors.ts'
import { readActivation, readLoss } from './activation.ts'
import type { ActivationBatch } from './activation.ts'
import { Channel } from './channel.ts'
import type { Contract } from './contract.ts'
import { isStateDue, stateFrom, stateMessage } from './device.ts'
import type { Executor } from './executor.ts'
import { RETURNS_MAX, chooseMember, chooseRestart, connectMember, exchangeContract, readHello } from './greeting.ts'
import type { Clock } from '../host/clock.ts'
import type { Link } from './link.ts'
import type { Member } from './member.ts'
import { createMembers, expectFrom, placeMember, takeShare } from './member.ts'
import type { Candidate, Scheduler } from './schedule.ts'
import { schemeOf } from './scheme.ts'
import { createSignal } from './signal.ts'
import type { Span } from './stats.ts'
import { parseStats, timelineRound } from './stats.ts'
import { vectorFrom, vectorTensors } from './tensors.ts'

/** Where a client's server part lives: an executor's set that begins at block `from`. */
export type Place = { executor: Executor; set: number; from: number }

export type ServerOptions = {
  contract: Contract
  config: ModelConfig
  /** The full adapter set. */
  layout: Layout
  run: number
  clock: Clock
  crc32c: Crc32c
  scheduler: Scheduler
  /** How long the server waits for a silent or absent device before it goes on without it. */
  deadlineMs: number
  /** What happens, for logs and metrics. */
  on: {
    step(client: number, step: number, loss: number): void
    member(client: number, what: string): void
    /** The states of all clients at `step` are in; `shared` is the server set's where all devices share one that outlives a turn. */
    snapshot(step: number, shared: SetState | null): Promise<void>
  }
}

export type Interval = {
  clients: readonly number[]
  begin: number
  until: number
  /** What each client starts from: a full set, fresh or with its moments; null: it goes on with what it has. */
  start: (client: number) => SetState | null
  /** The shared server set where it isn't part of the clients' states: an interval gone on with (splitlora). */
  shared: SetState | null
}

export class Server {
  readonly members: readonly Member[]
  readonly spans: Span[] = []
  computeMs = 0
  waitMs = 0
  private readonly options: ServerOptions
  private places: readonly (Place | null)[] = []
  private readonly signal = createSignal()
  private arrivals = 0
  /** The server's halves of states that are being read. */
  private readonly reads = new Set<Promise<void>>()
  private interval: Interval | null = null
  private finished = false
  /** What devices of a run that failed are told. */
  private stopped: KerfError | null = null
  /** The last step whose states are all in, or where the interval began. */
  private saved = 0
  /** Why the run can't go on: no device's fault. */
  private failure: { error: unknown } | null = null

  constructor(options: ServerOptions) {
    this.options = options
    this.members = createMembers(options.config, options.contract)
  }

  /** Serves one connection until it ends. Never throws: what a peer does wrong is answered by an error frame. */
  async attend(link: Link): Promise<void> {
    const channel = new Channel(link, this.options.crc32c)
    let member: Member | null = null
    try {
      member = await this.greet(channel)
      if (member) await this.converse(member, channel)
    } catch (error) {
      this.reject(channel, member, error)
    }
    if (member) this.drop(member, channel)
    channel.close()
  }

  private async converse(member: Member, channel: Channel): Promise<void> {
    // Listened to from here on without a break: a link that closes is noticed at once, and its device may come back.
    const first = channel.receive()
    void first.then((bytes) => { if (!bytes) this.drop(member, channel) })
    await this.admit(member, channel)
    for (let bytes = await first; bytes && member.channel === channel; bytes = await channel.receive()) this.take(member, channel, bytes)
  }

  private reject(channel: Channel, member: Member | null, error: unknown): void {
    const known = error instanceof KerfError ? error : new KerfError('server', 'server', `server: expected to serve this, got ${String(error)}`)
    if (member) this.options.on.member(member.client, `refused: ${known.message}`)
    channel.sendError(known)
  }

  /** Work of the server's own within a connection: an error there is no device's fault and ends the run. */
  private async own<T>(work: Promise<T>): Promise<T> {
    try {
      return await work
    } catch (error) {
      this.fail(error)
      throw error
    }
  }

  private fail(error: unknown): void {
    this.failure ??= { error }
    this.signal.notify()
  }

  /** The member that a connection is, or null where it ends or is refused before it is ready. */
  private async greet(channel: Channel): Promise<Member | null> {
    const hello = await readHello(channel)
    if (!hello) return null
    if (this.stopped) throw this.stopped
    const { contract, config, run, on } = this.options
    const member = chooseMember(this.members, hello)
    connectMember(member, channel, hello.name, run)
    try {
      const share = await exchangeContract(member, channel, contract)
      if (share) {
        on.member(member.client, member.share ? 'came back' : 'joined')
        takeShare(member, share, contract, config.hiddenSize)
        return member
      }
    } catch (error) {
      this.reject(channel, member, error)
    }
    this.drop(member, channel)
    // A number belongs to the first that is ready for it, not to one that only asked.
    if (!member.share) member.name = null
    return null
  }

  private async admit(member: Member, channel: Channel): Promise<void> {
    member.ready = true
    if (this.finished) this.sendBye(channel)
    else if (this.interval && member.turn === 'working') await this.restart(member, channel, this.interval)
    this.signal.notify()
  }

  private async restart(member: Member, channel: Channel, { begin, start }: Interval): Promise<void> {
    const { contract, clock, on } = this.options
    if (++member.returns > RETURNS_MAX) {
      member.turn = 'left'
      return on.member(member.client, `left out: came back ${RETURNS_MAX} times without a new step`)
    }
    const shared = this.isShared()
    const { step, state } = chooseRestart(member, { begin, start, saved: this.saved }, shared)
    if (!shared) await this.own(this.placeState(member, state))
    // It may have left in the meantime, or been left out.
    if (member.channel !== channel) return
    // A device sends states of steps that it does; of the one that it begins with, this is the state.
    if (shared && isStateDue(contract, step, member.until)) member.snapshots.set(step, state)
    placeMember(member, step, clock.now())
    this.sendOrder(member, step, state)
  }

  private isShared(): boolean {
    return schemeOf(this.options.contract).shared
  }

  private drop(member: Member, channel: Channel): void {
    if (member.channel !== channel) return
    member.upBytes += channel.receivedBytes
    member.downBytes += channel.sentBytes
    // One that only asked has not been heard of: who is waited for is not waited for longer.
    if (member.ready) member.silentSinceMs = this.options.clock.now()
    member.channel = null
    member.ready = false
    member.arrived = null
    if (!this.finished) {
      member.drops++
      this.options.on.member(member.client, 'left')
    }
    this.signal.notify()
  }

  private take(member: Member, channel: Channel, bytes: Uint8Array): void {
    const { clock, contract } = this.options
    const { layout } = member.part
    const frame = channel.decode(bytes, expectFrom(member, contract))
    member.silentSinceMs = clock.now()
    if (frame.type === 'activation' || frame.type === 'report') this.takeWork(member, frame)
    else if (frame.type === 'state') this.keepState(member, frame.step, stateFrom(layout, frame))
    else if (frame.type === 'adapter') {
      member.upload = vectorFrom(layout, frame)
      member.turn = 'done'
    } else if (frame.type === 'bye') {
      member.stats = parseStats(frame.metadata.stats)
      if (this.finished) channel.close()
    }
    this.signal.notify()
  }

  /** The server's half is read before anything else is done with it, and its answer not waited for. */
  private keepState(member: Member, step: number, device: SetState): void {
    member.stateStep = step
    const read = this.own(this.complete(member, device)).then((state) => { member.snapshots.set(step, state) }, () => {})
    this.reads.add(read)
    void read.then(() => {
      this.reads.delete(read)
      this.signal.notify()
    })
  }

  private takeWork(member: Member, frame: Frame): void {
    const { contract, config, clock } = this.options
    if (member.arrived || member.served) refuse('frame-window', 'frame.step', 'one step in flight', `another frame for step ${frame.step}`)
    const work = frame.type === 'report' ? readLoss(frame) : readActivation(frame, contract, member.cut, member.share!, config.hiddenSize)
    if (member.gradientSentMs !== null) {
      const tail = clock.now() - member.gradientSentMs
      member.tailMs = member.tailMs === null ? tail : (3 * member.tailMs + tail) / 4
    }
    member.arrived = { order: this.arrivals++, step: frame.step, work }
  }

  /** Waits until every client is ready; refuses `join-deadline` when some still are not after `deadlineMs`. */
  async gather(deadlineMs: number): Promise<void> {
    const { clock } = this.options
    const end = clock.now() + deadlineMs
    for (;;) {
      const missing = this.members.filter(({ ready }) => !ready)
      if (missing.length === 0) return
      const left = end - clock.now()
      if (left <= 0) {
        const names = missing.map(({ client }) => client).join(', ')
        refuse('join-deadline', 'serve.join', `${this.members.length} devices within ${deadlineMs / 1000} s`, `none for client ${names}`)
      }
      await this.rest(left)
    }
  }

  /** Gives the server parts their places, once the shares and so the memory are known. */
  setPlaces(places: readonly (Place | null)[]): void {
    this.places = places
  }

  /** The full state of a client from its device's part and the server's. */
  async complete(member: Member, device: SetState): Promise<SetState> {
    const place = this.places[member.client]
    if (!place) return device
    const { layout } = this.options
    const server = await place.executor.read(place.set)
    return joinStates(device, sliceState(server, member.part.layout.count - prefixCount(layout, place.from)))
  }

  /** Runs one interval to its end. Afterwards each member's turn is `done`, with its upload, or `left`. */
  async runInterval(interval: Interval): Promise<void> {
    const { clients, begin, until, start } = interval
    const working = clients.map((client) => this.members[client])
    for (const member of this.members) if (member.ready || member.turn !== 'left') member.turn = 'idle'
    await this.placeStates(interval)
    // Nothing is waited for from here to the orders: a device that came back in between would get two.
    if (working.some(({ client }) => start(client))) {
      this.saved = begin
      for (const { snapshots } of this.members) snapshots.clear()
    }
    this.interval = interval
    const now = this.options.clock.now()
    for (const member of working) {
      Object.assign(member, { turn: 'working', until, returns: 0 })
      placeMember(member, begin, now)
      if (member.ready) this.sendOrder(member, begin, start(member.client))
    }
    await this.serve(working)
    this.interval = null
  }

  private async placeStates({ clients, start, shared }: Interval): Promise<void> {
    for (const client of clients) {
      const state = start(client)
      if (state) await this.placeState(this.members[client], state)
    }
    const place = shared ? this.places[clients[0]] : null
    if (shared && place) await place.executor.write(place.set, shared)
  }

  /** Writes a client's server part. A shared set begins below some cuts; the blocks between hold what the full set says. */
  private async placeState(member: Member, state: SetState): Promise<void> {
    const place = this.places[member.client]
    if (place) await place.executor.write(place.set, sliceState(state, prefixCount(this.options.layout, place.from)))
  }

  private sendOrder(member: Member, step: number, state: SetState | null): void {
    const { layout } = member.part
    const metadata = { until: String(member.until) }
    if (!state) return member.channel?.send('report', { round: step, step, metadata })
    const part = sliceState(state, 0, layout.count)
    if (state.power1 === 1) member.channel?.send('adapter', { round: step, step, metadata, tensors: vectorTensors(layout, part.params) })
    else member.channel?.send('state', stateMessage(layout, part, step, metadata))
  }

  private candidates(working: readonly Member[]): Candidate[] {
    const busy = working.filter(({ turn, step, until, served }) => turn === 'working' && step < until && !served)
    return busy.map(({ client, step, arrived, cut, tailMs }) => ({ client, step, arrival: arrived?.order ?? null, backwardWork: cut, tailMs }))
  }

  private async serve(working: readonly Member[]): Promise<void> {
    const { clock, contract } = this.options
    // With a model for each device nobody waits for a turn.
    const parallel = schemeOf(contract).models !== 'one'
    for (;;) {
      await this.saveRound(working)
      // What came in the meantime is taken in before anybody is found silent.
      await clock.turn()
      this.checkFailure()
      if (working.every(({ turn }) => turn !== 'working')) break
      const next = this.chooseNext(working, parallel)
      if (!next) await this.waitForMembers(working)
      else if (parallel) void this.serveNext(next)
      else await this.serveNext(next)
    }
    await Promise.all(this.reads)
    this.checkFailure()
    await this.saveRound(working)
  }

  private checkFailure(): void {
    if (this.failure) throw this.failure.error
  }

  private chooseNext(working: readonly Member[], parallel: boolean): Member | null {
    const { scheduler } = this.options
    const candidates = this.candidates(working).filter(({ step }) => this.isWithinSaved(step))
    if (candidates.length === 0) return null
    if (parallel) return this.members[candidates.find(({ arrival }) => arrival !== null)?.client ?? -1] ?? null
    const client = scheduler(candidates)
    return client === null ? null : this.members[client]
  }

  /** How far a member may run ahead of the last saved round: a shared set not at all, others two rounds, so that states don't pile up. */
  private isWithinSaved(step: number): boolean {
    const { contract } = this.options
    const every = contract.checkpointEvery
    if (every === 0) return true
    const nextDue = this.saved + every - (this.saved % every)
    return step < nextDue + (this.isShared() ? 0 : 2 * every)
  }

  /** The newest step for which the states of all who haven't been left out are in is saved, and older states go. */
  private async saveRound(working: readonly Member[]): Promise<void> {
    const [first, ...others] = working.filter(({ turn }) => turn !== 'left')
    const complete = [...(first?.snapshots.keys() ?? [])].filter((step) => others.every(({ snapshots }) => snapshots.has(step)))
    const step = Math.max(this.saved, ...complete)
    if (step === this.saved) return
    this.saved = step
    for (const { snapshots } of working) for (const older of snapshots.keys()) if (older < step) snapshots.delete(older)
    // Nobody has gone beyond this step on a shared set, so that it is now as all states know it.
    const place = this.isShared() ? this.places[first.client] : null
    await this.options.on.snapshot(step, place ? await place.executor.read(place.set) : null)
  }

  /** Serves what has arrived from a member. Never throws: a step that can't be computed is its device's fault, any other error ends the run. */
  private async serveNext(member: Member): Promise<void> {
    const { channel } = member
    const { step, work } = member.arrived!
    member.served = true
    member.arrived = null
    try {
      if (typeof work === 'number') this.answer(member, 'report', step, work)
      else await this.serveStep(member, step, work)
    } catch (error) {
      if (!(error instanceof KerfError)) this.fail(error)
      if (channel && member.channel === channel) {
        this.reject(channel, member, error)
        this.drop(member, channel)
        channel.close()
      }
    } finally {
      member.served = false
      this.signal.notify()
    }
  }

  private async serveStep(member: Member, step: number, batch: ActivationBatch): Promise<void> {
    const { contract, config } = this.options
    const { executor, set } = this.places[member.client]!
    const { epoch } = member
    const { loss, gradient, beginMs, endMs } = await executor.step({ set, begin: member.cut, ...batch })
    this.account(member, step, beginMs, endMs)
    // A device that came back in the meantime has begun again from an earlier state.
    if (member.epoch !== epoch) return
    if (!Number.isFinite(loss)) refuse('step-finite', 'activation', 'values of which loss and gradients are finite', 'an overflow')
    const rows = batch.labels.length > 0 ? batch.offsets[batch.labels.length] : 0
    this.answer(member, 'gradient', step, loss, encodeTensor(contract.codec, 'gradient', rows, config.hiddenSize, gradient))
  }

  /** The answer to a step, which is also the credit for the next. */
  private answer(member: Member, type: 'gradient' | 'report', step: number, loss: number, tensors: readonly TensorInput[] = []): void {
    const { clock, on } = this.options
    member.step = step + 1
    member.channel?.send(type, { round: step, step, tensors })
    member.gradientSentMs = member.silentSinceMs = clock.now()
    if (step < member.told) return
    member.told = step + 1
    member.returns = 0
    try {
      on.step(member.client, step, loss)
    } catch (error) {
      this.fail(error)
    }
  }

  private account(member: Member, step: number, beginMs: number, endMs: number): void {
    this.computeMs += endMs - beginMs
    if (step !== timelineRound(this.options.contract.steps)) return
    const party = schemeOf(this.options.contract).models === 'each' ? `server ${member.client}` : 'server'
    this.spans.push({ party, kind: 'server', beginMs, endMs })
  }

  private async waitForMembers(working: readonly Member[]): Promise<void> {
    const { clock, deadlineMs } = this.options
    const beginMs = clock.now()
    const silent = working.filter(({ turn, arrived, served }) => turn === 'working' && arrived === null && !served)
    const waitsMs = silent.map(({ silentSinceMs }) => silentSinceMs + deadlineMs - beginMs)
    silent.forEach((member, index) => { if (waitsMs[index] <= 0) this.leaveOut(member) })
    if (waitsMs.every((ms) => ms > 0)) await this.rest(Math.min(...waitsMs, deadlineMs))
    this.waitMs += clock.now() - beginMs
  }

  private leaveOut(member: Member): void {
    const { deadlineMs, on } = this.options
    member.turn = 'left'
    on.member(member.client, `left out: silent for ${deadlineMs / 1000} s`)
    const message = `device: expected a frame within ${deadlineMs} ms, got none`
    this.dismiss(member, new KerfError('deadline', 'device', message))
  }

  private dismiss(member: Member, reason: KerfError | null): void {
    const { channel } = member
    if (!channel) return
    if (reason) channel.sendError(reason)
    this.drop(member, channel)
    channel.close()
  }

  private async rest(ms: number): Promise<void> {
    const cancel = this.options.clock.after(ms, () => this.signal.notify())
    await this.signal.wait()
    cancel()
  }

  /** Ends the run: says bye to every device and takes its account of itself. */
  async finish(): Promise<void> {
    const { clock } = this.options
    this.finished = true
    for (const member of this.members) {
      member.turn = 'idle'
      // One that isn't ready yet gets its bye when it is.
      if (member.ready) this.sendBye(member.channel!)
    }
    const end = clock.now() + this.options.deadlineMs
    while (this.members.some(({ channel, stats }) => channel && !stats) && clock.now() < end) await this.rest(end - clock.now())
    for (const member of this.members) this.dismiss(member, null)
  }

  private sendBye(channel: Channel): void {
    const { steps } = this.options.contract
    channel.send('bye', { round: steps, step: steps })
  }

  /** Ends a run that failed: tells every device why, and those that come later. */
  stop(error: unknown): void {
    this.finished = true
    this.stopped = new KerfError('run-stopped', 'run', `run: expected to reach its end, got ${error instanceof Error ? error.message : String(error)}`)
    for (const member of this.members) this.dismiss(member, this.stopped)
  }
}
