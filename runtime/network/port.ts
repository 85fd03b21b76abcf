/** The network port as the thread that computes sees it: links whose sockets another thread holds (switchboard.ts). */
import type { Clock } from '../host/clock.ts'
import type { Link, Listener, Network, NoLink } from '../host/network.ts'
import { createInbox } from '../split/link.ts'
import { FINISH_MS } from './limits.ts'
import type { FromSockets, ToSockets } from './message.ts'

/** Beyond the time that links have to close. */
const FINISH_SPARE_MS = 1000

type Listening = { attend(link: Link): void; tell(line: string): void; settle(result: Listener | Error): void; fail(error: Error): void }
type Known = { link: Link; hear(frame: Uint8Array, heardMs: number): void; end(reason: string | null, miss?: NoLink): void; settle?(link: Link | NoLink): void }

/** `post` brings a message to the thread of the sockets; buffers that are named are handed over. */
export type PortOptions = { clock: Clock; post(message: ToSockets, transfer?: ArrayBuffer[]): void }

export class NetworkPort implements Network {
  private readonly options: PortOptions
  private readonly listeners = new Map<number, Listening>()
  private readonly links = new Map<number, Known>()
  private readonly stalls: ((ms: number) => void)[] = []
  private readonly finished = new Set<() => void>()
  private failure: Error | null = null
  private nextListener = 0
  private nextLink = 0

  constructor(options: PortOptions) {
    this.options = options
  }

  /** What the thread of the sockets says. */
  take(message: FromSockets): void {
    if (message.kind === 'frame') this.links.get(message.link)?.hear(message.frame, message.heardMs)
    else if (message.kind === 'open') this.takeLink(message.link, message.listener)
    else if (message.kind === 'ended') this.links.get(message.link)?.end(message.reason)
    else if (message.kind === 'missed') this.links.get(message.link)?.end(null, message.why)
    else if (message.kind === 'stalled') this.stalls.shift()?.(message.ms)
    else if (message.kind === 'finished') for (const done of this.finished) done()
    else this.takePlace(message)
  }

  private takePlace(message: Extract<FromSockets, { listener: number; kind: 'listening' | 'unlistened' | 'told' }>): void {
    const { listener } = message
    const listening = this.listeners.get(listener)
    if (message.kind === 'told') listening?.tell(message.line)
    else if (message.kind === 'unlistened') {
      listening?.settle(Object.assign(new Error(message.code), { code: message.code }))
      this.listeners.delete(listener)
    } else {
      const failed = new Promise<never>((_, reject) => { if (listening) listening.fail = reject })
      failed.catch(() => {})
      const close = () => {
        this.listeners.delete(listener)
        this.options.post({ kind: 'unlisten', listener })
      }
      listening?.settle({ address: message.address, elsewhere: message.elsewhere, failed, close })
    }
  }

  /** A dialled link is known; one that has come is attended once what is behind it has been taken in: it may have ended by then. */
  private takeLink(number: number, listener: number | null): void {
    if (listener === null) {
      const known = this.links.get(number)
      known?.settle?.(known.link)
      return
    }
    const { link } = this.know(number)
    void this.options.clock.turn().then(() => {
      if (this.links.has(number)) this.listeners.get(listener)?.attend(link)
    })
  }

  private know(number: number): Known {
    const { post } = this.options
    // What is sent beyond its credit ends the link where it comes in.
    const inbox = createInbox(() => {})
    /** Of each frame that has not been received yet. */
    const waitingMs: number[] = []
    let heardMs = 0
    let why: string | null = null
    const end = (reason: string | null, miss: NoLink = { miss: 'unreachable', said: reason ?? '' }) => {
      why = reason
      const { settle } = this.links.get(number) ?? {}
      this.links.delete(number)
      inbox.finish()
      settle?.(miss)
    }
    const link: Link = {
      send: (frame) => {
        const own = frame.byteLength === frame.buffer.byteLength ? frame : frame.slice()
        if (this.links.has(number)) post({ kind: 'send', link: number, frame: own }, [own.buffer as ArrayBuffer])
      },
      receive: async () => {
        const frame = await inbox.receive()
        if (frame) {
          heardMs = waitingMs.shift()!
          post({ kind: 'take', link: number })
        }
        return frame
      },
      heardMs: () => heardMs,
      admit: () => post({ kind: 'admit', link: number }),
      close: (reason = '') => {
        if (!this.links.has(number)) return
        post({ kind: 'close', link: number, reason })
        end(null)
      },
      why: () => why,
    }
    const hear: Known['hear'] = (frame, atMs) => {
      waitingMs.push(atMs)
      inbox.push(frame)
    }
    const known: Known = { link, hear, end }
    this.links.set(number, known)
    return known
  }

  listen: Network['listen'] = ({ attend, tell, ...options }) => new Promise((resolve, reject) => {
    if (this.failure) throw this.failure
    const listener = this.nextListener++
    const settle = (result: Listener | Error) => (result instanceof Error ? reject(result) : resolve(result))
    this.listeners.set(listener, { attend, tell, settle, fail: () => {} })
    this.options.post({ kind: 'listen', listener, options })
  })

  dial: Network['dial'] = (url, options) => new Promise((resolve) => {
    if (this.failure) throw this.failure
    const number = this.nextLink
    this.nextLink += 2
    this.know(number).settle = resolve
    this.options.post({ kind: 'dial', link: number, url, options })
  })

  /** A thread that ends by itself ends the program with its error: nothing comes in any more. */
  fail(error: Error): void {
    this.failure ??= error
    for (const { settle, fail } of this.listeners.values()) {
      settle(error)
      fail(error)
    }
    this.listeners.clear()
    for (const { end } of [...this.links.values()]) end(error.message)
    for (const done of this.finished) done()
  }

  /** Begins to measure how long the thread of the sockets is held up; the function gives the longest time since, in milliseconds. */
  watch(): () => Promise<number> {
    this.options.post({ kind: 'watch' })
    return () => new Promise((resolve) => {
      this.stalls.push(resolve)
      this.options.post({ kind: 'stall' })
    })
  }

  /** Writes what is queued and closes all links; the thread is of no use afterwards. */
  async finish(): Promise<void> {
    const { clock, post } = this.options
    let cancel = (): void => {}
    await new Promise<void>((resolve) => {
      this.finished.add(resolve)
      cancel = clock.after(FINISH_MS + FINISH_SPARE_MS, resolve)
      post({ kind: 'finish' })
    })
    cancel()
  }
}
