/**
 * Connections: greets a device, seats it on its number, and hands what it sends to the intake until the connection ends. What a
 * device does wrong is answered by an error frame and ends its connection, never another's. Who comes after the run's end is told.
 */
import { KerfError, refuse } from '../../error.ts'
import type { Clock } from '../../host/clock.ts'
import type { Profile } from '../../kernel/load.ts'
import type { Crc32c } from '../../wire/frame.ts'
import { Channel } from '../channel.ts'
import type { Contract } from '../contract.ts'
import type { Link } from '../../host/network.ts'
import type { Signal } from '../signal.ts'
import type { Admission } from './admission.ts'
import type { Hello } from './greeting.ts'
import { Guest, admitKey, chooseMember, exchangeContract, readHello, refuseStranger } from './greeting.ts'
import type { Intake } from './intake.ts'
import type { Member } from './member.ts'
import { SignatureCheck } from './signature.ts'

type Own = Member<'seat'>

/** A goodbye takes no computing: nobody's account is waited for longer. */
const FAREWELL_MS = 30_000
/** Between two lines of the log about strangers: they may come as often as they like. */
const STRANGER_MS = 10_000

const REPLACED = new KerfError('client-replaced', 'hello.key', 'hello.key: expected one connection of this key, got a newer one')
const PASSED_OVER = new KerfError(
  'client-taken', 'hello.client', 'hello.client: expected a free client of this run, got one for a device with a key')
const STRANGER = new KerfError('client-refused', 'hello', 'hello: expected a device that this run takes, got another')

const whyOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

function toldOf(error: unknown): KerfError {
  return error instanceof KerfError ? error : new KerfError('server', 'server', `server: expected to serve this, got ${String(error)}`)
}

export type DoorOptions = {
  contract: Contract
  /** What the server computes by. */
  profile: Profile
  members: readonly Own[]
  intake: Intake
  signal: Signal
  run: number
  clock: Clock
  crc32c: Crc32c
  /** Without it every link is the run's own, and keys mean nothing. */
  admission?: Admission
  on: {
    /** What happens to a member, for logs. */
    member(client: number, what: string): void
    /** Why somebody was refused who is no member. */
    stranger?(why: string): void
  }
}

export class Door {
  private readonly options: DoorOptions
  private readonly signatures: SignatureCheck
  /** The run has reached its end, or failed: what devices are told then. */
  private end: 'bye' | KerfError | null = null
  private failure: { error: unknown } | null = null
  /** Keys whose numbers are being written down. */
  private readonly enrolling = new Map<string, Promise<void>>()
  private quietUntilMs = -Infinity
  private untold = 0

  constructor(options: DoorOptions) {
    this.options = options
    this.signatures = new SignatureCheck(options.clock)
  }

  /**
   * Serves one connection until it ends. Never throws: what a peer does wrong is answered by an error frame, and what fails
   * here ends this connection alone.
   */
  async attend(link: Link): Promise<void> {
    const channel = new Channel(link, this.options.crc32c)
    const guest = new Guest(channel)
    let member: Own | null = null
    let reason: string | undefined
    try {
      member = await this.greet(guest)
      if (member) await this.listen(member, channel)
    } catch (error) {
      reason = member ? this.sendRefusal(channel, member, error) : this.refuseGuest(guest, error)
    }
    if (member) this.leave(member, channel)
    channel.close(reason)
  }

  /** The member that a connection is, or null where it ends or is refused before it is ready. */
  private async greet(guest: Guest): Promise<Own | null> {
    const { channel } = guest
    const hello = await this.admit(guest)
    if (!hello) return null
    guest.admitted = true
    if (this.end instanceof KerfError) throw this.end
    const member = chooseMember(this.options.members, hello)
    const { seat } = member
    // A key needs nobody to notice that its older link is dead; a name can't end another's.
    if (seat.channel) this.dismiss(member, seat.claim === hello.key ? REPLACED : PASSED_OVER)
    this.sit(member, channel, hello)
    try {
      if (await this.prepare(member, guest, hello)) return member
    } catch (error) {
      this.sendRefusal(channel, member, error)
    }
    this.leave(member, channel)
    return null
  }

  /** Who a device is, proven where it has a key; null where it has gone. */
  private async admit(guest: Guest): Promise<Hello | null> {
    const { admission, members, run } = this.options
    const hello = await readHello(guest)
    if (!hello || !admission) return hello && { ...hello, key: null }
    if (!hello.key) return admission.open ? hello : refuseStranger('a key', 'none')
    const { signatures } = this
    return (await admitKey(guest, hello.key, { admission, signatures, run, members })) ? hello : null
  }

  /** Whether a device that sits has become ready. */
  private async prepare(member: Own, guest: Guest, { key = null }: Hello): Promise<boolean> {
    const { channel } = guest
    const { client, seat } = member
    const { admission, contract, profile } = this.options
    const brought = seat.share ?? seat.brought
    const known = brought && { brought, proven: key === null ? !admission : seat.key === key }
    const share = await exchangeContract(guest, { contract, profile }, known, ({ name, before, now }) => (
      this.tell(client, `brings another ${name} than before: ${now} for ${before}`)))
    if (!share || seat.channel !== channel) return false
    if (key !== null) await this.enrol(member, key)
    if (seat.channel !== channel) return false
    channel.link.admit()
    const otherwise = profile === 'strict' && share.profile === 'fast' ? '; it computes in the fast profile, whose bits are its own' : ''
    this.tell(client, `${seat.share ? 'came back' : 'joined'}${otherwise}`)
    seat.share = share
    return true
  }

  /** From here on the number is the key's, whatever happens to either side. */
  private async enrol({ seat }: Own, key: string): Promise<void> {
    const { admission, members } = this.options
    // An older link of the same key may have begun it.
    if (seat.key === key || !admission) return this.enrolling.get(key)
    seat.key = key
    const roll = new Map(members.flatMap(({ client, seat: { key: holder } }) => (holder === null ? [] : [[holder, client] as const])))
    const kept = admission.keep(roll).catch((error: unknown) => {
      seat.key = null
      throw error
    }).finally(() => this.enrolling.delete(key))
    this.enrolling.set(key, kept)
    await kept
  }

  /** Gives a member this connection: frames of an older one are refused from here on. */
  private sit({ client, seat }: Own, channel: Channel, { name, key = null }: Hello): void {
    seat.name = name
    seat.claim = key
    seat.channel = channel
    seat.epoch++
    seat.ready = false
    channel.identity = { run: this.options.run, client, epoch: seat.epoch }
  }

  private async listen(member: Own, channel: Channel): Promise<void> {
    const { intake, signal } = this.options
    const { seat } = member
    // The same key may have come again in the meantime.
    if (seat.channel !== channel) return
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
    const { admission, intake, signal } = this.options
    const { ready } = seat
    // One that only asked has not been heard of: who is waited for is not waited for longer.
    if (ready) seat.leftMs = this.now()
    seat.channel = null
    seat.ready = false
    // A number belongs to the first that is ready for it, not to one that only asked.
    if (!seat.share) seat.name = null
    signal.notify()
    // Where others than the run's own may ask, what they sent is in no device's account.
    if (!ready && admission) return
    seat.upBytes += channel.receivedBytes
    seat.downBytes += channel.sentBytes
    intake.forgetWork(member)
    if (!this.end) {
      seat.drops++
      const why = channel.link.why()
      this.tell(client, why === null ? 'left' : `left: ${why}`)
    }
  }

  /** Says to the log what is wrong, and to the device what it may know; the latter's words. */
  private sendRefusal(channel: Channel, { client }: Member, error: unknown): string {
    this.tell(client, `refused: ${whyOf(error)}`)
    return channel.sendError(toldOf(error))
  }

  /** Whoever has not been admitted is told no more than that, where not everybody is; the log has the reason. */
  private refuseGuest({ channel, admitted }: Guest, error: unknown): string {
    const { admission } = this.options
    this.tellStranger(whyOf(error))
    return channel.sendError(!admitted && admission?.open === false ? STRANGER : toldOf(error))
  }

  private tellStranger(why: string): void {
    const { on } = this.options
    const nowMs = this.now()
    this.untold++
    if (nowMs < this.quietUntilMs) return
    const others = this.untold > 1 ? `, ${this.untold - 1} others before it` : ''
    this.quietUntilMs = nowMs + STRANGER_MS
    this.untold = 0
    this.attempt(() => on.stranger?.(`${why}${others}`))
  }

  private tell(client: number, what: string): void {
    this.attempt(() => this.options.on.member(client, what))
  }

  private now(): number {
    return this.attempt(() => this.options.clock.now()) ?? 0
  }

  /** A log that can't be written and a clock that fails are the run's own failure, and no connection's. */
  private attempt<T>(what: () => T): T | undefined {
    try {
      return what()
    } catch (error) {
      this.failure ??= { error }
      this.options.signal.notify()
      return undefined
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
    const told = reason ? channel.sendError(reason) : undefined
    this.leave(member, channel)
    channel.close(told)
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
