/**
 * Connections: greets a device, seats it on its number, and hands what it sends to the intake until the connection ends. What a
 * device does wrong is answered by an error frame and ends its connection, never another's. Who comes after the run's end is told.
 */
import { KerfError, refuse } from '../../error.ts'
import type { Clock } from '../../host/clock.ts'
import type { Crc32c } from '../../wire/frame.ts'
import { Channel } from '../channel.ts'
import type { Contract } from '../contract.ts'
import type { Link } from '../../host/network.ts'
import type { Signal } from '../signal.ts'
import { chooseMember, exchangeContract, readHello } from './greeting.ts'
import type { Intake } from './intake.ts'
import type { Member } from './member.ts'

type Own = Member<'seat'>

/** A goodbye takes no computing: nobody's account is waited for longer. */
const FAREWELL_MS = 30_000

export type DoorOptions = {
  contract: Contract
  members: readonly Own[]
  intake: Intake
  signal: Signal
  run: number
  clock: Clock
  crc32c: Crc32c
  /** What happens to a member, for logs. */
  tell(client: number, what: string): void
}

export class Door {
  private readonly options: DoorOptions
  /** The run has reached its end, or failed: what devices are told then. */
  private end: 'bye' | KerfError | null = null
  private failure: { error: unknown } | null = null

  constructor(options: DoorOptions) {
    this.options = options
  }

  /**
   * Serves one connection until it ends. Never throws: what a peer does wrong is answered by an error frame, and what fails
   * here ends this connection alone.
   */
  async attend(link: Link): Promise<void> {
    const channel = new Channel(link, this.options.crc32c)
    let member: Own | null = null
    let reason: string | undefined
    try {
      member = await this.greet(channel)
      if (member) await this.listen(member, channel)
    } catch (error) {
      reason = this.sendRefusal(channel, member, error)
    }
    if (member) this.leave(member, channel)
    channel.close(reason)
  }

  /** The member that a connection is, or null where it ends or is refused before it is ready. */
  private async greet(channel: Channel): Promise<Own | null> {
    const hello = await readHello(channel)
    if (!hello) return null
    if (this.end instanceof KerfError) throw this.end
    const { contract, members } = this.options
    const member = chooseMember(members, hello)
    const { client, seat } = member
    this.sit(member, channel, hello.name)
    try {
      const share = await exchangeContract(seat.share, channel, contract)
      if (share) {
        channel.link.admit()
        this.tell(client, seat.share ? 'came back' : 'joined')
        seat.share = share
        return member
      }
    } catch (error) {
      this.sendRefusal(channel, member, error)
    }
    this.leave(member, channel)
    return null
  }

  /** Gives a member this connection: frames of an older one are refused from here on. */
  private sit({ client, seat }: Own, channel: Channel, name: string): void {
    seat.name = name
    seat.channel = channel
    seat.epoch++
    seat.ready = false
    channel.identity = { run: this.options.run, client, epoch: seat.epoch }
  }

  private async listen(member: Own, channel: Channel): Promise<void> {
    const { intake, signal } = this.options
    const { seat } = member
    seat.ready = true
    seat.visits++
    if (this.end === 'bye') this.sendBye(channel)
    signal.notify()
    for (let bytes = await channel.receive(); bytes && seat.channel === channel; bytes = await channel.receive()) {
      intake.take(member, channel, bytes)
      // After the end nothing is expected but goodbye.
      if (this.end === 'bye') channel.close()
      signal.notify()
    }
  }

  private leave(member: Own, channel: Channel): void {
    const { client, seat } = member
    if (seat.channel !== channel) return
    const { intake, signal } = this.options
    seat.upBytes += channel.receivedBytes
    seat.downBytes += channel.sentBytes
    // One that only asked has not been heard of: who is waited for is not waited for longer.
    if (seat.ready) seat.leftMs = this.now()
    seat.channel = null
    seat.ready = false
    // A number belongs to the first that is ready for it, not to one that only asked.
    if (!seat.share) seat.name = null
    intake.forgetWork(member)
    if (!this.end) {
      seat.drops++
      const why = channel.link.why()
      this.tell(client, why === null ? 'left' : `left: ${why}`)
    }
    signal.notify()
  }

  /** The error's words. */
  private sendRefusal(channel: Channel, member: Member | null, error: unknown): string {
    const why = `server: expected to serve this, got ${String(error)}`
    const known = error instanceof KerfError ? error : new KerfError('server', 'server', why)
    if (member) this.tell(member.client, `refused: ${known.message}`)
    this.sendError(channel, known)
    return known.message
  }

  /** A connection to which not even this can be said just ends. */
  private sendError(channel: Channel, error: KerfError): void {
    try {
      channel.sendError(error)
    } catch {
      channel.close()
    }
  }

  /** A log that can't be written is the run's own failure, and no connection's. */
  private tell(client: number, what: string): void {
    try {
      this.options.tell(client, what)
    } catch (error) {
      this.failure ??= { error }
      this.options.signal.notify()
    }
  }

  /** A clock that fails is as much the run's own failure. */
  private now(): number {
    try {
      return this.options.clock.now()
    } catch (error) {
      this.failure ??= { error }
      return 0
    }
  }

  /** Throws what has failed here through no connection's fault. */
  checkFailure(): void {
    if (this.failure) throw this.failure.error
  }

  private sendBye(channel: Channel): void {
    const { steps } = this.options.contract
    channel.send('bye', { round: steps, step: steps })
  }

  /** Ends `channel` with the error that its device met, if the member still has it. */
  refuse(member: Own, channel: Channel | null, error: unknown): void {
    if (!channel || member.seat.channel !== channel) return
    const reason = this.sendRefusal(channel, member, error)
    this.leave(member, channel)
    channel.close(reason)
  }

  /** Ends the member's connection, if it has one. */
  dismiss(member: Own, reason: KerfError | null): void {
    const { channel } = member.seat
    if (!channel) return
    if (reason) this.sendError(channel, reason)
    this.leave(member, channel)
    channel.close(reason?.message)
  }

  /** Waits until every client is ready; refuses `join-deadline` when some still are not after `deadlineMs`. */
  async gather(deadlineMs: number): Promise<void> {
    const { clock, members, signal } = this.options
    const end = clock.now() + deadlineMs
    for (;;) {
      this.checkFailure()
      const missing = members.filter(({ seat }) => !seat.ready)
      if (missing.length === 0) return
      const left = end - clock.now()
      if (left <= 0) {
        const names = missing.map(({ client }) => client).join(', ')
        refuse('join-deadline', 'serve.join', `${members.length} devices within ${deadlineMs / 1000} s`, `none for client ${names}`)
      }
      await signal.wait(left)
    }
  }

  /** The run has reached its end: says bye to every device and takes its account of itself, for `deadlineMs` and FAREWELL_MS at most. */
  async finish(deadlineMs: number): Promise<void> {
    const patienceMs = Math.min(deadlineMs, FAREWELL_MS)
    const { clock, members, signal } = this.options
    this.end = 'bye'
    // One that isn't ready yet gets its bye when it is.
    for (const { seat } of members) if (seat.ready) this.sendBye(seat.channel!)
    const end = clock.now() + patienceMs
    while (members.some(({ seat, inbox }) => seat.channel && !inbox.stats) && clock.now() < end) {
      this.checkFailure()
      await signal.wait(end - clock.now())
    }
    for (const member of members) this.dismiss(member, null)
    this.checkFailure()
  }

  /** The run has failed: tells every device why, and those that come later. */
  stop(error: unknown): void {
    const why = error instanceof Error ? error.message : String(error)
    this.end = new KerfError('run-stopped', 'run', `run: expected to reach its end, got ${why}`)
    for (const member of this.options.members) this.dismiss(member, this.end)
  }
}
