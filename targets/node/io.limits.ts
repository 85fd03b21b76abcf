/** What ws holds of a message that is not yet whole. */

/** Pieces are no smaller than this in the mean, but for the first thousand: each costs more memory than it carries. */
const PIECE_BYTES_MIN = 512
const PIECES_MIN = 1024

export function socketLimits(frameBytesMax: number): { maxPayload: number; maxFragments: number; maxBufferedChunks: number } {
  const pieces = PIECES_MIN + Math.ceil(frameBytesMax / PIECE_BYTES_MIN)
  return { maxPayload: frameBytesMax, maxFragments: pieces, maxBufferedChunks: pieces }
}
