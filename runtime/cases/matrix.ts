/** A frozen matrix [rows, width] as the kernel holds it, and its values. */
import type { WeightFormat } from '../kernel/format.ts'
import type { Slots } from './case.ts'
import { input } from './case.ts'
import type { Oracle } from './oracle.ts'
import { draw, drawIntegers, read } from './source.ts'

/** `slots`: the matrix by its name, and its rows' scales where the format has them. */
export type Matrix = { slots: Slots; read(oracle: Oracle): Float64Array }

/** Halves below this one are below 2 and finite. */
const HALF_OF_TWO = 0x4000

export function drawMatrix(rows: number, width: number, name: string, format: WeightFormat = 'f32', scalesName = 'scales'): Matrix {
  const count = rows * width
  if (format === 'f32') {
    const values = draw(count, name)
    return { slots: { [name]: input(values) }, read: () => read(values) }
  }
  if (format === 'f16') {
    const halves = drawIntegers(count, HALF_OF_TWO, name)
    return { slots: { [name]: input(halves, 'u16') }, read: (oracle) => read(halves).map((half) => oracle.halfValue(half)) }
  }
  const bytes = drawIntegers(count, 255, name, -127), scales = draw(rows, scalesName, 1 / 256, 1 / 127)
  return {
    slots: { [name]: input(bytes, 'i8'), [scalesName]: input(scales) },
    read() {
      const factors = read(scales)
      return read(bytes).map((value, i) => Math.fround(value * factors[Math.floor(i / width)]))
    },
  }
}
