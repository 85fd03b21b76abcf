/** int8: NAME i8 [rows, width], NAME.scale f32 [rows]; value = level · scale of its row. */
import { refuse } from '../error.ts'
import { largestMagnitude, numbersOf, roundEven, scaleName } from './codec.row.ts'
import type { CodecRow } from './codec.row.ts'
import { INT8_SCALE_MAX, INT8_SCALE_MIN } from './limits.ts'

const LEVEL_MAX = 127

export const int8: CodecRow = {
  dtype: 'I8',
  scaleShape: (rows) => [rows],

  encode(data, place) {
    const { rows, width } = place
    const values = new Int8Array(data.length)
    const scale = new Float32Array(rows)
    for (let row = 0; row < rows; row++) {
      const begin = row * width
      const largest = largestMagnitude(data, begin, begin + width, place)
      const step = Math.max(INT8_SCALE_MIN, Math.min(Math.fround(largest / LEVEL_MAX), INT8_SCALE_MAX))
      scale[row] = step
      for (let i = begin; i < begin + width; i++) {
        values[i] = Math.max(-LEVEL_MAX, Math.min(roundEven(Math.fround(data[i] / step)), LEVEL_MAX))
      }
    }
    return { values, scale }
  },

  decode({ data }, scale, { name, width }) {
    const levels = numbersOf(Int8Array, data)
    const values = new Float32Array(levels.length)
    for (let row = 0; row < scale.length; row++) {
      const step = scale[row]
      if (!(step >= INT8_SCALE_MIN && step <= INT8_SCALE_MAX)) {
        refuse('codec-scale', scaleName(name), `from ${INT8_SCALE_MIN} to ${INT8_SCALE_MAX}`, step)
      }
      for (let i = row * width; i < (row + 1) * width; i++) {
        if (levels[i] < -LEVEL_MAX) refuse('codec-level', name, `levels from −${LEVEL_MAX} to ${LEVEL_MAX}`, levels[i])
        values[i] = levels[i] * step
      }
    }
    return values
  },
}
