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
  /** When the frame last received came in, by the host's clock; none where nothing takes frames in while this thread computes. */
  heardMs?(): number
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

/**
 * `address` is what a device on this machine dials; `elsewhere` what devices on others do, where that differs. `failed` rejects
 * when nobody can be taken in any more.
 */
export type Listener = { address: string; elsewhere: readonly string[]; failed: Promise<never>; close(): void }

/** `greetingMs` as a server has it, but that a server says when it computes, and is waited for. */
export type DialOptions = { frameBytesMax: number; timeoutMs: number; greetingMs: number; tls?: Tls }

/**
 * Why there is no link. Nobody listens there, or the way there is broken; no answer in time; the name does not exist, or
 * cannot be looked up now; the certificate is not trusted; an HTTP answer instead of a link; something that speaks otherwise.
 */
export type Miss = 'unreachable' | 'silent' | 'name-unknown' | 'name-unresolved' | 'certificate' | 'status' | 'protocol'

/** `said`: the host's own words for it; `status`: the HTTP answer's. */
export type NoLink = { miss: Miss; said: string; status?: number }

export type Network = {
  /** Rejects with POSIX's `code` where there is no such address or port to listen on, and with OpenSSL's for a certificate or key. */
  listen(options: ListenOptions): Promise<Listener>
  dial(url: string, options: DialOptions): Promise<Link | NoLink>
}
