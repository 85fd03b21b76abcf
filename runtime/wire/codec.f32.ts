/** f32: NAME f32 [rows, width], exact. */
import { checkValues, numbersOf } from './codec.row.ts'
import type { CodecRow } from './codec.row.ts'

export const f32: CodecRow = {
  dtype: 'F32',

  /** Passes the values through and does not look at them: the receiver has to, whatever the sender did. */
  encode: (values) => ({ values }),

  /** A view of the bytes. */
  decode(tensor, _scale, place) {
    checkValues(tensor, place)
    const { data } = tensor
    // A view keeps all of its buffer: where that is mostly other bytes, a copy costs less than they do.
    const small = 2 * data.length < data.buffer.byteLength
    return numbersOf(Float32Array, small ? new Uint8Array(data) : data)
  },
}
