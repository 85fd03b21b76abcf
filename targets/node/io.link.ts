/**
 * One WebSocket as the thread of the sockets keeps it: finds out whether its peer lives, and bounds what waits on either side.
 * A link ends with a reason that both sides are told, or without one where it broke.
 */
import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import { INBOX_FRAMES_MAX } from '../../runtime/split/link.ts'
import type { Greeting } from './io.greeting.ts'
import {
  BUSY, CLOSE_MS, EXPEL_MS, GREETING_BYTES_MAX, PING_SECONDS, PONGS_MAX, QUEUE_FRAMES_MAX, QUEUE_LENGTHS_MAX, SILENT_PINGS, STUCK_PINGS,
  UNTAKEN_LENGTHS_MAX,
} from './io.message.ts'

const OPEN = 1
/** RFC 6455, section 7.4.1. */
const CODES = { normal: 1000, leaving: 1001, text: 1003, rule: 1008, long: 1009 } as const
const UNSAID = [1000, 1001, 1005, 1006]
const REASON_BYTES_MAX = 123
/** Buffers up to this may be shared. */
const SHARED_BYTES_MAX = 8192
/** A peer that is gone, as its system says it. */
const VANISHED = ['ECONNRESET', 'EPIPE', 'ECONNABORTED']

export type LinkOptions = {
  socket: WebSocket
  connection: Socket
  frameBytesMax: number
  greeting: Greeting
  /** We dialled: the peer is a server, which is waited for while it says that it computes. */
  dialled: boolean
  deliver(frame: Uint8Array): void
  /** The link is of no use any more; its socket may need some time to close. */
  ended(reason: string | null): void
  /** Its socket is closed. */
  gone(): void
}

/** Without control characters, and so much of it as a closing frame holds. */
function cleanReason(text: string): string {
  const clean = text.replace(/\p{Cc}+/gu, ' ').trim()
  let bytes = 0
  let kept = ''
  for (const character of clean) {
    bytes += Buffer.byteLength(character)
    if (bytes > REASON_BYTES_MAX) break
    kept += character
  }
  return kept
}

/** What the peer said with its closing frame. */
function readClosing(code: number, words: Buffer): string | null {
  const said = cleanReason(words.toString())
  if (said !== '') return `closed by the other side: ${said}`
  return UNSAID.includes(code) ? null : `closed by the other side with code ${code}`
}

export function describeError(error: Error & { code?: string }): string | null {
  const { code = '', message } = error
  if (VANISHED.includes(code)) return null
  return cleanReason(code === '' || code.startsWith('WS_') ? message : code)
}

export class KeptLink {
  admitted = false
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
  private timer: NodeJS.Timeout | undefined
  private graceMs = Infinity

  constructor(options: LinkOptions) {
    this.options = options
    const { socket, connection, greeting, dialled } = options
    greeting.late = () => this.expel(`${dialled ? 'no answer' : 'a greeting not ended'} within ${greeting.ms / 1000} s`)
    socket.on('message', (data: Buffer, binary: boolean) => this.take(data, binary))
    socket.on('ping', (data: Buffer) => this.answerPing(data))
    socket.on('error', (error) => {
      // What broke the protocol is read no further; its connection closes by itself, or is closed.
      this.broken ??= describeError(error)
      this.finish(this.broken)
      this.endWithin(EXPEL_MS)
    })
    socket.on('close', (code, words: Buffer) => {
      clearTimeout(this.timer)
      this.finish(this.broken ?? readClosing(code, words))
      options.gone()
    })
    // Before ws makes messages of it.
    if (!dialled) connection.prependListener('data', this.countGreeting)
  }

  private readonly countGreeting = ({ length }: Buffer): void => {
    this.greetingBytes += length
    if (this.greetingBytes > GREETING_BYTES_MAX) this.expel(`a greeting of more than ${GREETING_BYTES_MAX} bytes`, CODES.long)
  }

  private take(data: Buffer, binary: boolean): void {
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
    // A large message has a buffer of its own, aligned; a small one is a piece of what was read, or of what ws has once for all.
    const own = data.byteLength === data.buffer.byteLength && data.byteLength > SHARED_BYTES_MAX
    deliver(own ? new Uint8Array(data.buffer) : new Uint8Array(data))
  }

  /** The oldest frame is no longer here. */
  release(): void {
    this.untakenBytes -= this.untaken.shift() ?? 0
  }

  private answerPing(data: Buffer): void {
    const { socket, greeting, dialled } = this.options
    if (dialled && data.toString() === BUSY) greeting.refill()
    if (this.pongs >= PONGS_MAX || socket.readyState !== OPEN) return
    this.pongs++
    socket.pong(data, undefined, () => { this.pongs-- })
  }

  send(frame: Uint8Array): void {
    const { socket, frameBytesMax, greeting } = this.options
    if (socket.readyState !== OPEN || this.over) return
    const full = this.queued > 0 && socket.bufferedAmount + frame.length > QUEUE_LENGTHS_MAX * frameBytesMax
    if (full || this.queued >= QUEUE_FRAMES_MAX) return this.expel(`${this.queued} frames that were not read`)
    this.queued++
    greeting.run()
    socket.send(frame, () => { this.queued-- })
  }

  admit(): void {
    this.admitted = true
    this.options.greeting.end()
    this.options.connection.off('data', this.countGreeting)
  }

  /** Each second. */
  tick(): void {
    const { socket, connection, greeting, dialled } = this.options
    if (socket.readyState === OPEN && !dialled && !greeting.over && this.untaken.length > 0) socket.ping(BUSY)
    this.seconds++
    if (this.seconds % PING_SECONDS !== 0) return
    // Counted in our own ticks: a thread that was stopped itself finds nobody dead when it wakes.
    this.silent = connection.bytesRead === this.heardBytes ? this.silent + 1 : 0
    this.heardBytes = connection.bytesRead
    if (this.silent >= SILENT_PINGS) return this.lose(`no sign of life for ${SILENT_PINGS * PING_SECONDS} s`)
    const waiting = this.describeWaiting()
    this.stuck = waiting !== '' && waiting === this.waiting ? this.stuck + 1 : 0
    this.waiting = waiting
    if (this.stuck >= STUCK_PINGS) return this.lose(`nothing read for ${STUCK_PINGS * PING_SECONDS} s`)
    if (socket.readyState === OPEN && this.stuck === 0) socket.ping()
  }

  /** What is still to be written, to the byte where the system tells; empty where nothing is. */
  private describeWaiting(): string {
    const { socket, connection } = this.options
    const { _handle: handle } = connection as Socket & { _handle?: { writeQueueSize?: number } | null }
    return socket.bufferedAmount === 0 ? '' : `${socket.bufferedAmount} ${handle?.writeQueueSize ?? ''}`
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
    clearTimeout(this.timer)
    this.timer = setTimeout(() => this.options.socket.terminate(), graceMs)
  }

  private finish(reason: string | null): void {
    if (this.over) return
    this.over = true
    this.options.greeting.end()
    this.options.ended(reason)
  }
}
