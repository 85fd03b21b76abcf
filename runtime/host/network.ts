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

/** `address` is what a device dials. */
export type Listener = { address: string; close(): void }

export type DialOptions = { frameBytesMax: number; timeoutMs: number }

export type Network = {
  /** Rejects with POSIX's `code` where there is no such address or port to listen on. */
  listen(options: ListenOptions): Promise<Listener>
  /** An open link, or null when nobody answers. */
  dial(url: string, options: DialOptions): Promise<Link | null>
}
