/** One step on the wire: an activation goes up as int8, its gradient comes down; each frame is read only as what is expected now. */
import { crc32c, decodeFrame, decodeTensor, encodeFrame, encodeTensor, tensorExpectation } from 'kerf/wire'

const rows = 3, width = 8, run = 77
const anywhere = { min: 0, max: 10 }

/** @param {'activation' | 'gradient'} type @param {Float32Array} values [rows, width] */
function send(type, values) {
  const tensors = encodeTensor('int8', type, rows, width, values)
  const frame = encodeFrame({ type, run, client: 1, round: 0, step: 0, sequence: 0, epoch: 1, tensors }, crc32c)
  const { tensors: received } = decodeFrame(frame, {
    types: { [type]: { tensors: tensorExpectation('int8', type, rows, width) } }, run, client: 1, epoch: 1,
    round: anywhere, step: anywhere, sequence: 0,
  }, crc32c)
  return { frame, values: decodeTensor('int8', type, received, rows, width) }
}

export function exchange() {
  const up = send('activation', Float32Array.from({ length: rows * width }, (_, index) => ((index * 5) % 17) / 8 - 1))
  // Of half the sum of squares: what the server computes of it is the activation itself.
  const down = send('gradient', up.values)
  const bytes = new Uint8Array(up.frame.length + down.frame.length)
  bytes.set(up.frame)
  bytes.set(down.frame, up.frame.length)
  return { values: down.values, bytes }
}
