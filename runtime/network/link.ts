/**
 * One link as the thread of the sockets keeps it: finds out whether its peer lives, and bounds what waits on either side.
 * A link ends with a reason that both sides are told, or without one where it broke.
 */
import type { Clock } from '../host/clock.ts'
import { INBOX_FRAMES_MAX } from '../split/link.ts'
import type { Greeting } from './greeting.ts'
import {
  CLOSE_MS, EXPEL_MS, GREETING_BYTES_MAX, PING_SECONDS, PONGS_MAX, QUEUE_FRAMES_MAX, QUEUE_LENGTHS_MAX, SILENT_PINGS, STUCK_PINGS,
  UNTAKEN_LENGTHS_MAX,
} from './limits.ts'
import type { Socket } from './socket.ts'

/** The payload of a ping that says: your frame waits for a thread that computes. */
const BUSY = new TextEncoder().encode('busy')
/** RFC 6455, section 7.4.1. */
const CODES = { normal: 1000, leaving: 1001, text: 1003, rule: 1008, long: 1009 } as const
const UNSAID = [1000, 1001, 1005, 1006]
const REASON_BYTES_MAX = 123

export type LinkOptions = {
  socket: Socket
  clock: Clock
  frameBytesMax: number
  greeting: Greeting
  /** We dialled: the peer is a server, which is waited for while it says that it computes. */
  dialled: boolean
  deliver(frame: Uint8Array<ArrayBuffer>): void
  /** The link is of no use any more; its socket may need some time to close. */
  ended(reason: string | null): void
  /** Its socket is closed. */
  gone(): void
}

const encoder = new TextEncoder()

/** Without control characters, and so much of it as a closing frame holds. */
function cleanReason(text: string): string {
  const clean = text.replace(/\p{Cc}+/gu, ' ').trim()
  let bytes = 0
  let kept = ''
  for (const character of clean) {
    bytes += encoder.encode(character).length
    if (bytes > REASON_BYTES_MAX) break
    kept += character
  }
  return kept
}

/** What the peer said with its closing frame. */
function readClosing(code: number, words: string): string | null {
  const said = cleanReason(words)
  if (said !== '') return `closed by the other side: ${said}`
  return UNSAID.includes(code) ? null : `closed by the other side with code ${code}`
}

export class KeptLink {
  private readonly options: LinkOptions
  /** Bytes of each frame that the thread that computes has not taken. */
  private readonly untaken: number[] = []
  private untakenBytes = 0
  private queued = 0
  private pongs = 0
  private over = false
  private seconds = 0
  private silent = 0
  private stuck = 0
  private heardBytes = 0
  private waiting = ''
  private greetingBytes = 0
  private broken: string | null = null
  private cancel = (): void => {}
  private graceMs = Infinity
  private uncount = (): void => {}

  constructor(options: LinkOptions) {
    this.options = options
    const { socket, greeting, dialled } = options
    greeting.late = () => this.expel(`${dialled ? 'no answer' : 'a greeting not ended'} within ${greeting.ms / 1000} s`)
    socket.watch({
      message: (data, binary) => this.take(data, binary),
      ping: (payload) => this.answerPing(payload),
      broken: (why) => {
        // What broke the protocol is read no further; its connection closes by itself, or is closed.
        this.broken ??= why === null ? null : cleanReason(why)
        this.finish(this.broken)
        this.endWithin(EXPEL_MS)
      },
      closed: (code, words) => {
        this.cancel()
        this.finish(this.broken ?? readClosing(code, words))
        options.gone()
      },
    })
    if (!dialled) this.uncount = socket.countBytes((bytes) => this.countGreeting(bytes))
  }

  private countGreeting(bytes: number): void {
    this.greetingBytes += bytes
    if (this.greetingBytes > GREETING_BYTES_MAX) this.expel(`a greeting of more than ${GREETING_BYTES_MAX} bytes`, CODES.long)
  }

  private take(data: Uint8Array<ArrayBuffer>, binary: boolean): void {
    const { frameBytesMax, greeting, deliver } = this.options
    if (this.over) return
    if (!binary) return this.expel('binary frames only', CODES.text)
    const { untaken } = this
    if (untaken.length >= INBOX_FRAMES_MAX || this.untakenBytes + data.length > UNTAKEN_LENGTHS_MAX * frameBytesMax) {
      return this.expel(`frames that nobody asked for: ${untaken.length} wait to be read`)
    }
    greeting.rest()
    untaken.push(data.length)
    this.untakenBytes += data.length
    deliver(data)
  }

  /** The oldest frame is no longer here. */
  release(): void {
    this.untakenBytes -= this.untaken.shift() ?? 0
  }

  private answerPing(payload: Uint8Array): void {
    const { socket, greeting, dialled } = this.options
    if (dialled && payload.length === BUSY.length && payload.every((byte, index) => byte === BUSY[index])) greeting.refill()
    if (this.pongs >= PONGS_MAX || !socket.isOpen()) return
    this.pongs++
    socket.pong(payload, () => { this.pongs-- })
  }

  send(frame: Uint8Array): void {
    const { socket, frameBytesMax, greeting } = this.options
    if (!socket.isOpen() || this.over) return
    const full = this.queued > 0 && socket.queuedBytes() + frame.length > QUEUE_LENGTHS_MAX * frameBytesMax
    if (full || this.queued >= QUEUE_FRAMES_MAX) return this.expel(`${this.queued} frames that were not read`)
    this.queued++
    greeting.run()
    socket.send(frame, () => { this.queued-- })
  }

  admit(): void {
    this.options.greeting.end()
    this.uncount()
  }

  /** Each second. */
  tick(): void {
    const { socket, greeting, dialled } = this.options
    if (socket.isOpen() && !dialled && !greeting.over && this.untaken.length > 0) socket.ping(BUSY)
    this.seconds++
    if (this.seconds % PING_SECONDS !== 0) return
    // Counted in our own ticks: a thread that was stopped itself finds nobody dead when it wakes.
    const heardBytes = socket.receivedBytes()
    this.silent = heardBytes === this.heardBytes ? this.silent + 1 : 0
    this.heardBytes = heardBytes
    if (this.silent >= SILENT_PINGS) return this.lose(`no sign of life for ${SILENT_PINGS * PING_SECONDS} s`)
    const waiting = socket.describeWaiting()
    this.stuck = waiting !== '' && waiting === this.waiting ? this.stuck + 1 : 0
    this.waiting = waiting
    if (this.stuck >= STUCK_PINGS) return this.lose(`nothing read for ${STUCK_PINGS * PING_SECONDS} s`)
    if (socket.isOpen() && this.stuck === 0) socket.ping()
  }

  /** A link on which nothing passes needs no closing frame. */
  private lose(reason: string): void {
    this.finish(reason)
    this.options.socket.terminate()
  }

  /** Ends the link of a peer that broke a rule. */
  private expel(reason: string, code: number = CODES.rule): void {
    this.finish(reason)
    this.shut(code, reason, EXPEL_MS)
    // What else it sends is not read.
    this.options.socket.pause()
  }

  /** Ends the link once what is queued has been written. */
  close(reason: string, graceMs = CLOSE_MS): void {
    this.finish(reason === '' ? null : reason)
    this.shut(graceMs === CLOSE_MS ? CODES.normal : CODES.leaving, reason, graceMs)
  }

  private shut(code: number, reason: string, graceMs: number): void {
    this.endWithin(graceMs)
    this.options.socket.close(code, cleanReason(reason))
  }

  /** Whoever closes later gives no more time: a peer that was expelled is read no further, and its answer never comes. */
  private endWithin(graceMs: number): void {
    if (graceMs >= this.graceMs) return
    this.graceMs = graceMs
    this.cancel()
    this.cancel = this.options.clock.after(graceMs, () => this.options.socket.terminate())
  }

  private finish(reason: string | null): void {
    if (this.over) return
    this.over = true
    this.options.greeting.end()
    this.options.ended(reason)
  }
}
