/** f16: NAME f16 [rows, width], NAME.scale f32 [1]; value = half · scale, scale a power of two. */
import { refuse } from '../error.ts'
import { checkValues, largestMagnitude, numbersOf, roundEven, scaleName } from './codec.row.ts'
import type { CodecRow } from './codec.row.ts'
import { F16_SCALE_EXPONENT_MAX, F16_SCALE_EXPONENT_MIN } from './limits.ts'

/** The largest magnitude goes into [2^14, 2^15): rounding up cannot overflow. */
const TOP_EXPONENT = 14
const LARGEST = 65504
/** 2^-14, the smallest normal half, and 2^-24, the step below it. */
const NORMAL_MIN = 0.00006103515625
const STEP = 5.9604644775390625e-8

export const f16: CodecRow = {
  dtype: 'F16',
  scaleShape: () => [1],

  encode(data, place) {
    const exponent = (floatBits(largestMagnitude(data, 0, data.length, place)) >>> 23) - 127
    const clamped = Math.max(F16_SCALE_EXPONENT_MIN, Math.min(exponent - TOP_EXPONENT, F16_SCALE_EXPONENT_MAX))
    const inverse = powerOfTwo(-clamped)
    const values = new Uint16Array(data.length)
    for (let i = 0; i < data.length; i++) values[i] = halfFromFloat(Math.fround(data[i] * inverse))
    return { values, scale: Float32Array.of(powerOfTwo(clamped)) }
  },

  decode(tensor, [scale], place) {
    const exponent = (floatBits(scale) >>> 23) - 127
    if (exponent < F16_SCALE_EXPONENT_MIN || exponent > F16_SCALE_EXPONENT_MAX || scale !== powerOfTwo(exponent)) {
      const wanted = `a power of two from 2^${F16_SCALE_EXPONENT_MIN} to 2^${F16_SCALE_EXPONENT_MAX}`
      refuse('codec-scale', scaleName(place.name), wanted, scale)
    }
    checkValues(tensor, place)
    const halves = numbersOf(Uint16Array, tensor.data)
    const values = new Float32Array(halves.length)
    for (let i = 0; i < halves.length; i++) values[i] = floatFromHalf(halves[i]) * scale
    return values
  },
}

/** The f16 bits nearest to an f32 `value`, ties to even; magnitudes from 65520 on give 65504. */
export function halfFromFloat(value: number): number {
  const magnitude = Math.min(Math.abs(value), LARGEST)
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0
  // A subnormal's bit pattern counts its steps.
  if (magnitude < NORMAL_MIN) return sign | roundEven(magnitude / STEP)
  const bits = floatBits(magnitude)
  // 13 mantissa bits go; 112 is the difference of the exponent biases.
  return sign | (((bits + 0xfff + ((bits >>> 13) & 1)) >>> 13) - (112 << 10))
}

/** The exact value of finite f16 bits. */
export function floatFromHalf(half: number): number {
  const magnitude = half & 0x7fff
  const value = magnitude < 0x400 ? magnitude * STEP : bitsFloat((magnitude << 13) + (112 << 23))
  return half & 0x8000 ? -value : value
}

const FLOAT = new Float32Array(1)
const BITS = new Uint32Array(FLOAT.buffer)

function floatBits(value: number): number {
  FLOAT[0] = value
  return BITS[0]
}

function bitsFloat(bits: number): number {
  BITS[0] = bits
  return FLOAT[0]
}

/** 2^exponent for normal f32 exponents. */
function powerOfTwo(exponent: number): number {
  return bitsFloat((exponent + 127) << 23)
}
