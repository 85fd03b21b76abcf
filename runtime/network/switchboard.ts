/**
 * The thread of the sockets: owns every one of a process and never computes, so that a ping is answered and judged whatever the
 * others do. Frames are handed over, not copied.
 */
import type { Clock } from '../host/clock.ts'
import type { Board } from './entrance.ts'
import { Entrance } from './entrance.ts'
import { Greeting } from './greeting.ts'
import { FINISH_MS } from './limits.ts'
import { KeptLink } from './link.ts'
import type { FromSockets, ToSockets } from './message.ts'
import type { OpenPlace, Sockets } from './socket.ts'

const TICK_MS = 1000

export type SwitchboardOptions = {
  clock: Clock
  sockets: Sockets
  post(message: FromSockets, transfer?: ArrayBuffer[]): void
  /** Begins to measure how long this thread is held up; the longest time since, in milliseconds. */
  watch(): void
  longestStallMs(): number
}

export class Switchboard {
  private readonly options: SwitchboardOptions
  private readonly board: Board
  private readonly places = new Map<number, { entrance: Entrance; place: OpenPlace }>()
  /** Accepted links have odd numbers, dialled ones even. */
  private accepted = -1
  private finishing = false

  constructor(options: SwitchboardOptions) {
    this.options = options
    const { clock, post } = options
    const links: Board['links'] = new Map()
    this.board = {
      clock, post, links,
      nextLink: () => (this.accepted += 2),
      forget: (link) => {
        links.delete(link)
        this.checkFinished()
      },
    }
    this.tick()
  }

  private tick(): void {
    this.options.clock.after(TICK_MS, () => {
      for (const { link } of this.board.links.values()) link.tick()
      for (const { entrance } of this.places.values()) entrance.tick()
      this.tick()
    })
  }

  /** Does what the thread that computes asks for. */
  answer(message: ToSockets): void {
    const { post, watch, longestStallMs } = this.options
    if (message.kind === 'listen') void this.listen(message)
    else if (message.kind === 'dial') this.dial(message)
    else if (message.kind === 'unlisten') this.unlisten(message.listener)
    else if (message.kind === 'finish') this.finish()
    else if (message.kind === 'watch') watch()
    else if (message.kind === 'stall') post({ kind: 'stalled', ms: longestStallMs() })
    else this.pass(message)
  }

  private pass(message: Extract<ToSockets, { kind: 'send' | 'take' | 'admit' | 'close' }>): void {
    const kept = this.board.links.get(message.link)
    if (message.kind === 'send') kept?.link.send(message.frame)
    else if (message.kind === 'take') kept?.link.release()
    else if (message.kind === 'admit') kept?.admit()
    else kept?.link.close(message.reason)
  }

  private async listen({ listener, options }: Extract<ToSockets, { kind: 'listen' }>): Promise<void> {
    const { board, places } = this
    try {
      const entrance = new Entrance(board, listener, options)
      const place = await this.options.sockets.listen(options, entrance)
      places.set(listener, { entrance, place })
      board.post({ kind: 'listening', listener, address: place.address, elsewhere: place.elsewhere })
    } catch (error) {
      board.post({ kind: 'unlistened', listener, code: (error as { code?: string }).code ?? String(error) })
    }
  }

  private unlisten(listener: number): void {
    const { place, entrance } = this.places.get(listener) ?? {}
    place?.close()
    entrance?.close()
    this.places.delete(listener)
  }

  private dial({ link: number, url, options }: Extract<ToSockets, { kind: 'dial' }>): void {
    const { board } = this
    const { frameBytesMax, greetingMs } = options
    this.options.sockets.dial(url, options, (socket) => {
      const link = new KeptLink({
        socket, clock: board.clock, frameBytesMax, greeting: new Greeting(board.clock, greetingMs, () => {}), dialled: true,
        deliver: (frame) => board.post({ kind: 'frame', link: number, frame, heardMs: board.clock.now() }, [frame.buffer]),
        ended: (reason) => board.post({ kind: 'ended', link: number, reason }),
        gone: () => board.forget(number),
      })
      board.links.set(number, { link, admit: () => link.admit() })
      board.post({ kind: 'open', link: number, listener: null })
    }, (why) => board.post({ kind: 'missed', link: number, why }))
  }

  private finish(): void {
    this.finishing = true
    for (const listener of [...this.places.keys()]) this.unlisten(listener)
    for (const { link } of this.board.links.values()) link.close('', FINISH_MS)
    this.checkFinished()
  }

  private checkFinished(): void {
    if (this.finishing && this.board.links.size === 0) this.board.post({ kind: 'finished' })
  }
}
