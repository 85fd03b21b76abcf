/** What the thread that computes and the thread that holds the sockets (io.ts) tell each other, and the bounds of that one. */
import type { DialOptions, ListenOptions, NoLink } from '../../runtime/host/network.ts'

/** A ping to each peer so often; a link that brings not one byte for so many of them is dead. */
export const PING_SECONDS = 5
export const SILENT_PINGS = 5
/** A peer that takes not one byte of what is queued for it for so many pings does not read. */
export const STUCK_PINGS = 12
/** Frames that wait to be written. A peer has one step in flight: a gradient, or an order, and an error behind it. */
export const QUEUE_FRAMES_MAX = 3
/** Pongs that wait to be written; further pings get none. */
export const PONGS_MAX = 16
/** Of the longest frame: what may be queued for a peer, and what may wait for the thread that computes. */
export const QUEUE_LENGTHS_MAX = 2
export const UNTAKEN_LENGTHS_MAX = 3
/** All that a peer sends until it is admitted: a hello, a ready and their wrapping. */
export const GREETING_BYTES_MAX = 256 << 10
/** Connections of one address, and of all, beside those of peers that are still awaited. */
export const SPARE_PER_ADDRESS = 16
export const SPARE_IN_ALL = 64
/** How long a closing handshake may take: of a peer that broke a rule, of any other, and where this process wants to end. */
export const EXPEL_MS = 2000
export const CLOSE_MS = 30_000
export const FINISH_MS = 2000
/** The payload of a ping that says: your frame waits for a thread that computes. */
export const BUSY = 'busy'

export type ToIo =
  | { kind: 'listen'; listener: number; options: Omit<ListenOptions, 'attend' | 'tell'> }
  | { kind: 'unlisten'; listener: number }
  | { kind: 'dial'; link: number; url: string; options: DialOptions }
  | { kind: 'send'; link: number; frame: Uint8Array }
  /** The oldest frame that was delivered has been taken. */
  | { kind: 'take'; link: number }
  | { kind: 'admit'; link: number }
  | { kind: 'close'; link: number; reason: string }
  /** Begins to measure how long this thread is held up, and asks for the longest time since. */
  | { kind: 'watch' } | { kind: 'stall' }
  /** Closes everything; `finished` answers. */
  | { kind: 'finish' }

export type FromIo =
  | { kind: 'listening'; listener: number; address: string; elsewhere: readonly string[] }
  | { kind: 'unlistened'; listener: number; code: string }
  | { kind: 'told'; listener: number; line: string }
  /** A dialled link, or one that has come to a listener with its first frame behind this. */
  | { kind: 'open'; link: number; listener: number | null }
  | { kind: 'frame'; link: number; frame: Uint8Array }
  | { kind: 'ended'; link: number; reason: string | null }
  /** A dialled link never opened. */
  | { kind: 'missed'; link: number; why: NoLink }
  | { kind: 'stalled'; ms: number }
  | { kind: 'finished' }
