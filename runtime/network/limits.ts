/** What a peer may pile up, and how long it may be silent: every bound of the thread that holds the sockets. */

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

/** Pieces of a message are no smaller than this in the mean, but for the first thousand: each costs more memory than it carries. */
const PIECE_BYTES_MIN = 512
const PIECES_MIN = 1024

/** In how many pieces a message may come that is not yet whole. */
export function piecesMax(frameBytesMax: number): number {
  return PIECES_MIN + Math.ceil(frameBytesMax / PIECE_BYTES_MIN)
}
