/** Connections, as a host gives them. */

/**
 * A link carries whole frames in order, both ways. Message ports and WebSockets give
 * one each; a device and a server can't tell which.
 *
 * A host keeps its links where nothing computes: there it finds dead ones, bounds what waits for a peer that does not read,
 * and closes a greeting that does not go on. How long a device may be silent is not its to say (split/server/interval.ts).
 */
export type Link = {
  send(frame: Uint8Array): void
  /** The next frame, or null once the link has closed. */
  receive(): Promise<Uint8Array | null>
  /** The greeting is over: from here on the peer may take its time. */
  admit(): void
  /** Both sides are told `reason`, a line. */
  close(reason?: string): void
  /** Why the link has ended, in a line: null while it lasts, and where it broke without a word. */
  why(): string | null
}

/** PEM texts. `ca`: who may have signed the peer's certificate; a server that has one lets nobody in without. */
export type Tls = { cert?: string; key?: string; ca?: string }

export type ListenOptions = {
  host: string
  /** 0 takes a free one. */
  port: number
  /** Links that are awaited; strangers have no more connections than those not yet admitted and a few. */
  peers: number
  /** How long a peer may let the other side wait until it is admitted, all its pauses together. */
  greetingMs: number
  /** No frame is longer: a connection that sends more is closed before it is held. */
  frameBytesMax: number
  tls?: Tls
  attend(link: Link): void
  /** Why a connection was closed that was no admitted link, in a line; many are told together. */
  tell(line: string): void
}

/** `address` is what a device dials; `failed` rejects when nobody can be taken in any more. */
export type Listener = { address: string; failed: Promise<never>; close(): void }

/** `greetingMs` as a server has it, but that a server says when it computes, and is waited for. */
export type DialOptions = { frameBytesMax: number; timeoutMs: number; greetingMs: number; tls?: Tls }

export type Network = {
  /** Rejects with POSIX's `code` where there is no such address or port to listen on, and with OpenSSL's for a certificate or key. */
  listen(options: ListenOptions): Promise<Listener>
  /** An open link, or null when nobody answers. */
  dial(url: string, options: DialOptions): Promise<Link | null>
}
