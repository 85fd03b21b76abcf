/**
 * What a host gives to the thread of the sockets: WebSockets (RFC 6455) that answer no ping by themselves, places that listen,
 * and a way to dial. Who may connect, what may wait and when a link is dead is decided above it, alike on every host.
 */
import type { DialOptions, Listener, NoLink } from '../host/network.ts'
import type { PlaceOptions } from './message.ts'

export type SocketEvents = {
  /** A whole message, in a buffer of its own. */
  message(data: Uint8Array<ArrayBuffer>, binary: boolean): void
  ping(payload: Uint8Array): void
  /** The protocol was broken, or the connection was: with the host's words for it, null where the peer is simply gone. */
  broken(why: string | null): void
  /** Nothing comes after it. */
  closed(code: number, words: string): void
}

export type Socket = {
  watch(events: SocketEvents): void
  /** Tells of all bytes that come in, before they are a message; the returned function ends it. */
  countBytes(count: (bytes: number) => void): () => void
  isOpen(): boolean
  /** `written` is called once the bytes have left this process. */
  send(frame: Uint8Array, written: () => void): void
  ping(payload?: Uint8Array): void
  pong(payload: Uint8Array, written: () => void): void
  /** Writes what is queued, then a closing frame, and waits for the peer's; nothing where it closes already. */
  close(code: number, reason: string): void
  /** Ends it at once. */
  terminate(): void
  /** Reads no further. */
  pause(): void
  /** All that the peer has sent. */
  receivedBytes(): number
  /** What is still to be written. */
  queuedBytes(): number
  /** The same to the byte, in a form that changes when a byte of it leaves; empty where nothing waits. */
  describeWaiting(): string
}

/** A connection's peer, which it and the TLS upon it share. */
export type Peer = { address: string; port: number }

/** What an HTTP request for a link says of itself. */
export type Upgrade = { url?: string; headers: { origin?: string; host?: string } }

/** Who asks and is told as connections come to a listening place, in this order. */
export type Visits = {
  /** Whether a connection is taken in: ended by the host where it is not, told of by `left` once it has closed where it is. */
  enter(peer: Peer, destroy: () => void): boolean
  /** TLS or HTTP ended it. */
  fail(peer: Peer, why: string): void
  /** The status that refuses a request for a link, or null. */
  judge(peer: Peer, request: Upgrade): 403 | 404 | null
  /** It has become a link. */
  meet(peer: Peer, socket: Socket): void
  left(peer: Peer): void
}

/** A place that listens; `close` takes nobody in any more. */
export type OpenPlace = Pick<Listener, 'address' | 'elsewhere'> & { close(): void }

export type Sockets = {
  /** Rejects with an error whose `code` is POSIX's, or OpenSSL's. */
  listen(options: PlaceOptions, visits: Visits): Promise<OpenPlace>
  /** Calls one of the two, once. */
  dial(url: string, options: DialOptions, opened: (socket: Socket) => void, missed: (why: NoLink) => void): void
}
