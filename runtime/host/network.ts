/** Connections, as a host gives them. */

/**
 * A link carries whole frames in order, both ways. Message ports and WebSockets give
 * one each; a device and a server can't tell which.
 */
export type Link = {
  send(frame: Uint8Array): void
  /** The next frame, or null once the link has closed. */
  receive(): Promise<Uint8Array | null>
  close(): void
}

export type ListenOptions = {
  host: string
  /** 0 takes a free one. */
  port: number
  /** Connections of any kind that are open at once; further ones are closed. */
  connectionsMax: number
  /** A connection that has sent nothing by then is closed. */
  silenceMs: number
  /** No frame is longer: a connection that sends more is closed before it is held. */
  frameBytesMax: number
  attend(link: Link): void
}

/** `address` is what a device on this machine dials; `elsewhere` what devices on others do, where that differs. */
export type Listener = { address: string; elsewhere: readonly string[]; close(): void }

export type DialOptions = { frameBytesMax: number; timeoutMs: number }

/**
 * Why there is no link. Nobody listens there, or the way there is broken; no answer in time; the name does not exist, or
 * cannot be looked up now; the certificate is not trusted; an HTTP answer instead of a link; something that speaks otherwise.
 */
export type Miss = 'unreachable' | 'silent' | 'name-unknown' | 'name-unresolved' | 'certificate' | 'status' | 'protocol'

/** `said`: the host's own words for it; `status`: the HTTP answer's. */
export type NoLink = { miss: Miss; said: string; status?: number }

export type Network = {
  /** Rejects with POSIX's `code` where there is no such address or port to listen on. */
  listen(options: ListenOptions): Promise<Listener>
  dial(url: string, options: DialOptions): Promise<Link | NoLink>
}
