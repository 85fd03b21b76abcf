/** Who comes to a listening place: bounded in number, given so much time, asked what for, then a link; one of them for each place. */
import type { Clock } from '../host/clock.ts'
import { Greeting } from './greeting.ts'
import { FINISH_MS } from './limits.ts'
import { KeptLink } from './link.ts'
import type { FromSockets, PlaceOptions } from './message.ts'
import type { Peer, Socket, Upgrade, Visits } from './socket.ts'
import { Strangers, judgeUpgrade, placeOf } from './stranger.ts'
import { Tally } from './tally.ts'

/** What the thread of the sockets has once for all its links. */
export type Board = {
  clock: Clock
  post(message: FromSockets, transfer?: ArrayBuffer[]): void
  /** Links by number; a number of its own for each that is accepted. */
  links: Map<number, { link: KeptLink; admit(): void }>
  nextLink(): number
  /** A link's socket is closed. */
  forget(link: number): void
}

/** A connection that is no link yet, or one that has become it. */
type Entry = { greeting: Greeting; place: string; admitted: boolean; link: KeptLink | null; destroy(): void }

const keyOf = ({ address, port }: Peer): string => `${address} ${port}`

export class Entrance implements Visits {
  private readonly board: Board
  private readonly listener: number
  private readonly options: PlaceOptions
  private readonly strangers: Strangers
  private readonly tally: Tally
  private readonly entries = new Map<string, Entry>()

  constructor(board: Board, listener: number, options: PlaceOptions) {
    this.board = board
    this.listener = listener
    this.options = options
    this.strangers = new Strangers(options.peers)
    this.tally = new Tally((line) => board.post({ kind: 'told', listener, line }))
  }

  enter(peer: Peer, destroy: () => void): boolean {
    const { board: { clock }, strangers, tally, options: { greetingMs } } = this
    const place = placeOf(peer.address)
    if (!strangers.enter(place)) {
      tally.add('too many at once', place)
      return false
    }
    const greeting = new Greeting(clock, greetingMs, () => {
      tally.add(`nothing asked for within ${greetingMs / 1000} s`, place)
      destroy()
    })
    this.entries.set(keyOf(peer), { greeting, place, admitted: false, link: null, destroy })
    greeting.run()
    return true
  }

  left(peer: Peer): void {
    const entry = this.entries.get(keyOf(peer))
    if (!entry) return
    entry.greeting.end()
    this.entries.delete(keyOf(peer))
    if (entry.admitted) this.strangers.dismiss()
    else this.strangers.leave(entry.place)
  }

  fail({ address }: Peer, why: string): void {
    this.tally.add(why, placeOf(address))
  }

  judge(peer: Peer, request: Upgrade): 403 | 404 | null {
    const status = judgeUpgrade(request, this.options.tls !== undefined)
    if (status) this.fail(peer, status === 403 ? 'an upgrade of a foreign origin' : 'an upgrade of a path that is none')
    return status
  }

  /** Told of with its first frame. */
  meet(peer: Peer, socket: Socket): void {
    const { board, listener, strangers, tally } = this
    const entry = this.entries.get(keyOf(peer))
    if (!entry) return socket.terminate()
    const number = board.nextLink()
    let opened = false
    const link = new KeptLink({
      socket, clock: board.clock, frameBytesMax: this.options.frameBytesMax, greeting: entry.greeting, dialled: false,
      deliver(frame) {
        if (!opened) board.post({ kind: 'open', link: number, listener })
        opened = true
        board.post({ kind: 'frame', link: number, frame, heardMs: board.clock.now() }, [frame.buffer])
      },
      ended(reason) {
        if (opened) board.post({ kind: 'ended', link: number, reason })
        if (!entry.admitted && reason !== null) tally.add(reason, entry.place)
      },
      gone: () => board.forget(number),
    })
    entry.link = link
    board.links.set(number, {
      link,
      admit() {
        if (!entry.admitted) strangers.admit(entry.place)
        entry.admitted = true
        link.admit()
      },
    })
  }

  /** Each second. */
  tick(): void {
    this.tally.tick()
  }

  /** Links have a moment to close; what is none ends at once. */
  close(): void {
    for (const { link, destroy } of [...this.entries.values()]) {
      if (link) link.close('the run is over', FINISH_MS)
      else destroy()
    }
  }
}
