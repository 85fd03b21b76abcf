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
import type { SetState } from '../model/stage.ts'
import { joinStates, sliceState } from '../model/stage.ts'
import { decodeTensor, encodeTensor } from '../wire/codec.ts'
import type { Crc32c, Frame } from '../wire/frame.ts'
import type { Expected } from './channel.ts'
import { Channel } from './channel.ts'
import type { Contract } from './contract.ts'
import { activationExpectation, adapterExpectation, deviceLayout, isWhole, parseShare, stateExpectation } from './contract.ts'
import { isStateDue, stateFrom, stateMessage } from './device.ts'
import type { Executor } from './executor.ts'
import type { Host } from './host.ts'
import type { Link } from './link.ts'
import type { Arrived, Member } from './member.ts'
import { createMember } from './member.ts'
import type { Candidate, Scheduler } from './schedule.ts'
import { createSignal } from './signal.ts'
import type { Span } from './stats.ts'
import { parseStats, timelineRound } from './stats.ts'
import { integersFrom, rowsOf, vectorFrom, vectorTensors } from './tensors.ts'

/** Where a client's server part lives: an executor's set that begins at block `from`. */
export type Place = { executor: Executor; set: number; from: number }

export type ServerOptions = {
  contract: Contract
  config: ModelConfig
  /** The full adapter set. */
  layout: Layout
  run: number
  host: Host
  crc32c: Crc32c
  scheduler: Scheduler
  /** How long the server waits for a silent or absent device before it goes on without it. */
  deadlineMs: number
  /** What happens, for logs and metrics. */
  on: {
    step(client: number, step: number, loss: number): void
    member(client: number, what: string): void
    /** Both halves of every working client stand at `step`. */
    snapshot(step: number): Promise<void>
  }
}

export type Interval = {
  clients: readonly number[]
  begin: number
  until: number
  /** What each client starts from: a full set, fresh or with its moments; null: it goes on with what it has. */
  start: (client: number) => SetState | null
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
  private interval: Interval | null = null
  private finished = false
  /** The last step whose states are all in, or where the interval began. */
  private saved = 0

  constructor(options: ServerOptions) {
    this.options = options
    this.members = options.contract.cuts.map((cut, client) => createMember(client, cut))
  }

  /** Serves one connection until it ends. Never throws: what a peer does wrong is answered by an error frame. */
  async attend(link: Link): Promise<void> {
    const channel = new Channel(link, this.options.crc32c)
    let member: Member | null = null
    try {
      member = await this.greet(channel)
      while (member) {
        const bytes = await channel.receive()
        if (!bytes || member.channel !== channel) break
        await this.take(member, channel, bytes)
      }
    } catch (error) {
      this.reject(channel, member, error)
    }
    if (member) this.drop(member, channel)
    channel.close()
  }

  private reject(channel: Channel, member: Member | null, error: unknown): void {
    const { code, field, message } = error instanceof KerfError ? error : new KerfError('server', 'server', String(error))
    if (member) this.options.on.member(member.client, `refused: ${message}`)
    channel.send('error', { metadata: { code, field, message: message.slice(0, 1024) } })
  }

  private async greet(channel: Channel): Promise<Member | null> {
    const first = await channel.receive()
    if (!first) return null
    const { contract, run, on } = this.options
    const { metadata } = channel.decode(first, { types: { hello: [] }, step: 0 })
    const member = this.chooseMember(metadata.client ?? 'any', metadata.name ?? '')
    member.name = metadata.name
    member.channel = channel
    member.epoch++
    member.ready = false
    channel.identity = { run, client: member.client, epoch: member.epoch }
    try {
      channel.send('welcome', { metadata: { contract: JSON.stringify(contract) } })
      const second = await channel.receive()
      if (second) {
        const share = parseShare(channel.decode(second, { types: { ready: [] } }).metadata.share ?? '', contract)
        if (member.share && JSON.stringify(member.share) !== JSON.stringify(share)) {
          refuse('share-changed', 'ready.share', JSON.stringify(member.share), JSON.stringify(share))
        }
        member.share = share
        await this.admit(member)
        on.member(member.client, member.epoch > 1 ? 'came back' : 'joined')
        return member
      }
    } catch (error) {
      this.reject(channel, member, error)
    }
    this.drop(member, channel)
    return null
  }

  private chooseMember(wanted: string, name: string): Member {
    const free = this.members.filter(({ channel }) => channel === null)
    const taken = this.members.find((member) => member.name === name && member.channel !== null)
    if (name === '' || taken) refuse('client-taken', 'hello.name', 'a name that no connected device bears', name)
    const known = this.members.find((member) => member.name === name)
    const chosen = wanted === 'any' ? known ?? free.find((member) => member.name === null) : this.members[Number(wanted)]
    if (!chosen) return refuse('client-unknown', 'hello.client', `a free client of 0 … ${this.members.length - 1}`, wanted)
    if (chosen.channel !== null || (chosen.name !== null && chosen.name !== name)) {
      refuse('client-taken', 'hello.client', `a client that no other device holds; ${chosen.client} is ${chosen.name}`, wanted)
    }
    return chosen
  }

  /** A device that comes back within an interval starts again from the last state both halves are known to have had. */
  private async admit(member: Member): Promise<void> {
    member.ready = true
    if (this.interval && member.turn === 'working') {
      const { begin, start } = this.interval
      const saved = member.snapshots.get(this.saved)
      const state = saved ?? start(member.client)
      if (!state) refuse('client-lost', 'hello.client', 'a device that still holds its own state', member.client)
      const shared = this.options.contract.scheme === 'splitlora'
      await this.order(member, shared ? member.step : saved ? this.saved : begin, state, !shared)
    }
    this.signal.notify()
  }

  private drop(member: Member, channel: Channel): void {
    if (member.channel !== channel) return
    member.upBytes += channel.receivedBytes
    member.downBytes += channel.sentBytes
    member.channel = null
    member.ready = false
    member.arrived = null
    member.silentSinceMs = this.options.host.clock()
    if (!this.finished) {
      member.drops++
      this.options.on.member(member.client, 'left')
    }
    this.signal.notify()
  }

  /** What a member may send now: exactly one kind of frame. */
  private expected(member: Member): Expected {
    const { contract, config } = this.options
    const { step, until, turn, stateStep } = member
    if (turn !== 'working') return { types: { bye: [] } }
    const layout = deviceLayout(config, contract, member.client)
    if (step > stateStep && isStateDue(contract, step, until)) return { types: { state: stateExpectation(layout) }, step }
    if (step === until) return { types: { adapter: adapterExpectation(layout) }, step }
    if (isWhole(contract.scheme)) return { types: { report: [] }, step }
    return { types: { activation: activationExpectation(contract, member.share!, config.hiddenSize) }, step }
  }

  private async take(member: Member, channel: Channel, bytes: Uint8Array): Promise<void> {
    const { host, on, contract, config } = this.options
    const frame = channel.decode(bytes, this.expected(member))
    member.silentSinceMs = host.clock()
    if (frame.type === 'activation') this.takeActivation(member, frame)
    else if (frame.type === 'report') {
      on.step(member.client, frame.step, Number(frame.metadata.loss))
      member.step++
      channel.send('report', { round: frame.step, step: frame.step })
    } else if (frame.type === 'state') {
      const device = stateFrom(deviceLayout(config, contract, member.client), frame)
      member.stateStep = frame.step
      member.snapshots.set(frame.step, await this.complete(member, device))
      await this.saveRound(frame.step)
    } else if (frame.type === 'adapter') {
      member.upload = vectorFrom(deviceLayout(config, contract, member.client), frame)
      member.turn = 'done'
    } else if (frame.type === 'bye') member.stats = parseStats(frame.metadata.stats)
    this.signal.notify()
  }

  private takeActivation(member: Member, frame: Frame): void {
    const { contract, config, host } = this.options
    const now = host.clock()
    if (member.gradientSentMs !== null) {
      const tail = now - member.gradientSentMs
      member.tailMs = member.tailMs === null ? tail : (3 * member.tailMs + tail) / 4
    }
    if (frame.metadata.cut !== String(member.cut)) refuse('activation-cut', 'activation.cut', String(member.cut), frame.metadata.cut ?? 'none')
    const rows = rowsOf(frame, 'activation')
    const offsets = integersFrom(frame, 'offsets'), labels = integersFrom(frame, 'labels')
    checkRagged(offsets, labels, rows, member.share!.longest, contract.labels.length)
    const activation = decodeTensor(contract.codec, 'activation', frame.tensors, rows, config.hiddenSize)
    member.arrived = { order: this.arrivals++, step: frame.step, offsets, activation, labels }
  }

  /** Waits until every client is ready; refuses `join-deadline` when some still are not after `deadlineMs`. */
  async gather(deadlineMs: number): Promise<void> {
    const { host } = this.options
    const end = host.clock() + deadlineMs
    for (;;) {
      const missing = this.members.filter(({ ready }) => !ready)
      if (missing.length === 0) return
      const left = end - host.clock()
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
    return joinStates(device, sliceState(server, prefixCount(layout, member.cut) - prefixCount(layout, place.from)))
  }

  /** Runs one interval to its end. Afterwards each member's turn is `done`, with its upload, or `left`. */
  async runInterval(interval: Interval): Promise<void> {
    this.interval = interval
    this.saved = interval.begin
    const working = interval.clients.map((client) => this.members[client])
    const now = this.options.host.clock()
    for (const member of this.members) if (member.ready || member.turn !== 'left') member.turn = 'idle'
    for (const member of working) {
      Object.assign(member, {
        turn: 'working', step: interval.begin, until: interval.until, stateStep: interval.begin,
        arrived: null, upload: null, gradientSentMs: null, silentSinceMs: now,
      })
      if (interval.start(member.client)) member.snapshots.clear()
    }
    for (const member of working) {
      const state = interval.start(member.client)
      if (state) await this.placeState(member, state)
      if (member.ready) this.sendOrder(member, interval.begin, state)
    }
    await this.serve(working)
    this.interval = null
  }

  private async order(member: Member, step: number, state: SetState, place: boolean): Promise<void> {
    if (place) await this.placeState(member, state)
    Object.assign(member, { step, stateStep: step, arrived: null, upload: null, gradientSentMs: null, silentSinceMs: this.options.host.clock() })
    this.sendOrder(member, step, state)
  }

  /** Writes a client's server part. A shared set begins below some cuts; the blocks between hold what the full set says. */
  private async placeState(member: Member, state: SetState): Promise<void> {
    const place = this.places[member.client]
    if (place) await place.executor.write(place.set, sliceState(state, prefixCount(this.options.layout, place.from)))
  }

  private sendOrder(member: Member, step: number, state: SetState | null): void {
    const { contract, config, layout } = this.options
    const metadata = { until: String(member.until) }
    if (!state) return member.channel?.send('report', { round: step, step, metadata })
    const device = deviceLayout(config, contract, member.client)
    const part = sliceState(state, 0, prefixCount(layout, member.cut))
    if (state.power1 === 1) member.channel?.send('adapter', { round: step, step, metadata, tensors: vectorTensors(device, part.params) })
    else member.channel?.send('state', stateMessage(device, part, step, metadata))
  }

  private candidates(working: readonly Member[]): Candidate[] {
    const busy = working.filter(({ turn, step, until, served }) => turn === 'working' && step < until && !served)
    return busy.map(({ client, step, arrived, cut, tailMs }) => ({ client, step, arrival: arrived?.order ?? null, backwardWork: cut, tailMs }))
  }

  private async serve(working: readonly Member[]): Promise<void> {
    const { host, contract } = this.options
    const parallel = contract.scheme === 'sfl'
    while (working.some(({ turn }) => turn === 'working')) {
      await host.turn()
      if (working.every(({ turn }) => turn !== 'working')) break
      const next = this.chooseNext(working, parallel)
      if (next && parallel) void this.serveStep(next).catch((error) => this.failStep(next, error))
      else if (next) await this.serveStep(next).catch((error) => this.failStep(next, error))
      else await this.waitForMembers(working)
    }
  }

  private chooseNext(working: readonly Member[], parallel: boolean): Member | null {
    const { scheduler } = this.options
    const candidates = this.candidates(working).filter(({ step }) => this.isWithinSaved(step))
    if (candidates.length === 0) return null
    // With a model for each device nobody waits for a turn.
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
    return step < nextDue + (contract.scheme === 'splitlora' ? 0 : 2 * every)
  }

  /** When the states of all working members for `step` are in, the round is saved and older states go. */
  private async saveRound(step: number): Promise<void> {
    const working = this.members.filter(({ turn }) => turn === 'working')
    if (step <= this.saved || !working.every(({ snapshots }) => snapshots.has(step))) return
    this.saved = step
    for (const { snapshots } of this.members) for (const older of snapshots.keys()) if (older < step) snapshots.delete(older)
    await this.options.on.snapshot(step)
  }

  private async serveStep(member: Member): Promise<void> {
    const { contract, config, host, on } = this.options
    const { executor, set } = this.places[member.client]!
    const { step, offsets, activation, labels } = member.arrived as Arrived
    const epoch = member.epoch
    member.served = true
    member.arrived = null
    try {
      const { loss, gradient, beginMs, endMs } = await executor.step({ set, begin: member.cut, offsets, activation, labels })
      this.account(member, step, beginMs, endMs)
      if (member.epoch !== epoch || member.channel === null) return
      const rows = offsets[offsets.length - 1]
      member.step = step + 1
      member.channel.send('gradient', { round: step, step, tensors: encodeTensor(contract.codec, 'gradient', rows, config.hiddenSize, gradient) })
      member.gradientSentMs = member.silentSinceMs = host.clock()
      on.step(member.client, step, loss)
    } finally {
      member.served = false
      this.signal.notify()
    }
  }

  /** A step that can't be computed is its device's fault: it is told so and dropped. */
  private failStep(member: Member, error: unknown): void {
    if (!(error instanceof KerfError)) throw error
    const { channel } = member
    if (!channel) return
    this.reject(channel, member, error)
    this.drop(member, channel)
    channel.close()
  }

  private account(member: Member, step: number, beginMs: number, endMs: number): void {
    this.computeMs += endMs - beginMs
    if (step !== timelineRound(this.options.contract.steps)) return
    const party = this.options.contract.scheme === 'sfl' ? `server ${member.client}` : 'server'
    this.spans.push({ party, kind: 'server', beginMs, endMs })
  }

  private async waitForMembers(working: readonly Member[]): Promise<void> {
    const { host, deadlineMs } = this.options
    const beginMs = host.clock()
    const silent = working.filter(({ turn, arrived, served }) => turn === 'working' && arrived === null && !served)
    const waitsMs = silent.map(({ silentSinceMs }) => silentSinceMs + deadlineMs - beginMs)
    silent.forEach((member, index) => { if (waitsMs[index] <= 0) this.leaveOut(member) })
    if (waitsMs.every((ms) => ms > 0)) await this.rest(Math.min(...waitsMs, deadlineMs))
    this.waitMs += host.clock() - beginMs
  }

  private leaveOut(member: Member): void {
    const { deadlineMs, on } = this.options
    member.turn = 'left'
    on.member(member.client, `left out: silent for ${deadlineMs / 1000} s`)
    const { channel } = member
    if (!channel) return
    const message = `device: expected a frame within ${deadlineMs} ms, got none`
    channel.send('error', { metadata: { code: 'deadline', field: 'device', message } })
    this.drop(member, channel)
    channel.close()
  }

  private async rest(ms: number): Promise<void> {
    const cancel = this.options.host.after(ms, () => this.signal.notify())
    await this.signal.wait()
    cancel()
  }

  /** Ends the run: says bye to every device and takes its account of itself. */
  async finish(): Promise<void> {
    const { contract, host } = this.options
    this.finished = true
    for (const member of this.members) {
      member.turn = 'idle'
      member.channel?.send('bye', { round: contract.steps, step: contract.steps })
    }
    const end = host.clock() + this.options.deadlineMs
    while (this.members.some(({ channel, stats }) => channel && !stats) && host.clock() < end) await this.rest(end - host.clock())
    for (const member of this.members) {
      const { channel } = member
      if (!channel) continue
      this.drop(member, channel)
      channel.close()
    }
  }
}

/** A ragged batch as received: refused before it is queued, so that a bad one costs nobody else. */
function checkRagged(offsets: Int32Array, labels: Int32Array, rows: number, longest: number, labelCount: number): void {
  if (offsets[0] !== 0 || offsets[offsets.length - 1] !== rows) refuse('activation-offsets', 'activation.offsets', `0 … ${rows}`, `${offsets[0]} … ${offsets[offsets.length - 1]}`)
  for (let s = 1; s < offsets.length; s++) {
    const length = offsets[s] - offsets[s - 1]
    if (length < 1 || length > longest) refuse('activation-offsets', `activation.offsets[${s}]`, `1 … ${longest} rows`, length)
  }
  if (labels.length !== offsets.length - 1) refuse('activation-labels', 'activation.labels', `${offsets.length - 1} labels`, labels.length)
  const strange = labels.findIndex((label) => label < 0 || label >= labelCount)
  if (strange >= 0) refuse('activation-labels', `activation.labels[${strange}]`, `0 … ${labelCount - 1}`, labels[strange])
}

