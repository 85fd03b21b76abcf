/**
 * Codecs for activations and gradients, [rows, width] f32 ↔ tensors of a frame:
 *
 *   f32    NAME f32 [rows, width], exact
 *   f16    NAME f16 [rows, width], NAME.scale f32 [1]:    value = half · scale, scale a power of two
 *   int8   NAME i8  [rows, width], NAME.scale f32 [rows]: value = level · scale of its row
 *
 * Every step is one f32 operation or exact, rounding to nearest, ties to even:
 * SPEC.md, section 5. The host is little-endian, as wasm memory is.
 */
import { refuse } from '../error.ts'
import type { TensorExpectation } from './expectation.ts'
import { F16_SCALE_EXPONENT_MAX, F16_SCALE_EXPONENT_MIN, INT8_SCALE_MAX, INT8_SCALE_MIN } from './limits.ts'
import type { Dtype, TensorInput } from './safetensors.ts'

export const CODECS = ['f32', 'f16', 'int8'] as const
export type Codec = (typeof CODECS)[number]

const DTYPE_OF: Readonly<Record<Codec, Dtype>> = { f32: 'F32', f16: 'F16', int8: 'I8' }
/** f16 maps the largest magnitude into [2^14, 2^15): rounding up cannot overflow. */
const F16_TOP_EXPONENT = 14
const F16_LARGEST = 65504
/** 2^-14, the smallest normal half, and 2^-24, the step below it. */
const F16_NORMAL_MIN = 0.00006103515625
const F16_STEP = 5.9604644775390625e-8
const LEVEL_MAX = 127

/** Refuses an unknown codec name with `codec-name`. */
export function parseCodec(name: string, field = 'codec'): Codec {
  return CODECS.find((codec) => codec === name) ?? refuse('codec-name', field, CODECS.join(', '), name)
}

/**
 * Encodes `data` [rows, width] as one or two tensors.
 * Refuses `codec-shape` (data of another size) and `codec-not-finite` (NaN or infinity).
 */
export function encodeTensor(codec: Codec, name: string, rows: number, width: number, data: Float32Array): TensorInput[] {
  if (data.length !== rows * width) refuse('codec-shape', name, `${rows}×${width} values`, data.length)
  checkValues(data, name)
  const scaled = { f32: keepValues, f16: scaleHalves, int8: scaleRows }[codec](rows, width, data)
  const tensors: TensorInput[] = [{ name, dtype: DTYPE_OF[codec], shape: [rows, width], data: toBytes(scaled.values) }]
  if (scaled.scale !== undefined) {
    tensors.push({ name: scaleName(name), dtype: 'F32', shape: [scaled.scale.length], data: toBytes(scaled.scale) })
  }
  return tensors
}

/**
 * Decodes to f32 [rows, width], a new array; finite for every input it accepts.
 * Refuses `codec-shape` (a tensor missing or of another dtype or shape), `codec-scale` (a scale that
 * encodeTensor cannot write), `codec-level` (int8 −128), `codec-not-finite`.
 */
export function decodeTensor(
  codec: Codec,
  name: string,
  tensors: ReadonlyMap<string, TensorInput>,
  rows: number,
  width: number,
): Float32Array {
  const bytes = takeBytes(tensors, name, DTYPE_OF[codec], [rows, width])
  if (codec === 'f32') return checkValues(new Float32Array(bytes), name)
  const scaleShape = [codec === 'f16' ? 1 : rows]
  const scale = new Float32Array(takeBytes(tensors, scaleName(name), 'F32', scaleShape))
  if (codec === 'f16') return unscaleHalves(new Uint16Array(bytes), scale[0], name)
  return unscaleRows(new Int8Array(bytes), scale, width, name)
}

/** The tensors of `codec` as a FrameExpectation declares them, for up to `rowsMax` rows. */
export function tensorExpectation(codec: Codec, name: string, rowsMax: number, width: number): TensorExpectation[] {
  const rows = { max: rowsMax }
  const values: TensorExpectation = { name, dtypes: [DTYPE_OF[codec]], shape: [rows, width], finite: true }
  if (codec === 'f32') return [values]
  return [values, { name: scaleName(name), dtypes: ['F32'], shape: [codec === 'f16' ? 1 : rows], finite: true }]
}

/** The f16 bits nearest to an f32 `value`, ties to even; magnitudes from 65520 on give 65504. */
export function halfFromFloat(value: number): number {
  const magnitude = Math.min(Math.abs(value), F16_LARGEST)
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0
  // A subnormal's bit pattern counts its steps.
  if (magnitude < F16_NORMAL_MIN) return sign | roundEven(magnitude / F16_STEP)
  const bits = floatBits(magnitude)
  // 13 mantissa bits go; 112 is the difference of the exponent biases.
  return sign | (((bits + 0xfff + ((bits >>> 13) & 1)) >>> 13) - (112 << 10))
}

/** The exact value of finite f16 bits. */
export function floatFromHalf(half: number): number {
  const magnitude = half & 0x7fff
  const value = magnitude < 0x400 ? magnitude * F16_STEP : bitsFloat((magnitude << 13) + (112 << 23))
  return half & 0x8000 ? -value : value
}

type Scaled = { values: Float32Array | Uint16Array | Int8Array; scale?: Float32Array }

function keepValues(_rows: number, _width: number, data: Float32Array): Scaled {
  return { values: data }
}

function scaleHalves(_rows: number, _width: number, data: Float32Array): Scaled {
  const exponent = (floatBits(largestMagnitude(data, 0, data.length)) >>> 23) - 127
  const clamped = Math.max(F16_SCALE_EXPONENT_MIN, Math.min(exponent - F16_TOP_EXPONENT, F16_SCALE_EXPONENT_MAX))
  const scale = powerOfTwo(clamped)
  const inverse = powerOfTwo(-clamped)
  const values = new Uint16Array(data.length)
  for (let i = 0; i < data.length; i++) values[i] = halfFromFloat(Math.fround(data[i] * inverse))
  return { values, scale: Float32Array.of(scale) }
}

function unscaleHalves(halves: Uint16Array, scale: number, name: string): Float32Array {
  const exponent = (floatBits(scale) >>> 23) - 127
  if (exponent < F16_SCALE_EXPONENT_MIN || exponent > F16_SCALE_EXPONENT_MAX || scale !== powerOfTwo(exponent)) {
    refuse('codec-scale', scaleName(name), `a power of two from 2^${F16_SCALE_EXPONENT_MIN} to 2^${F16_SCALE_EXPONENT_MAX}`, scale)
  }
  const values = new Float32Array(halves.length)
  for (let i = 0; i < halves.length; i++) {
    if ((halves[i] & 0x7c00) === 0x7c00) refuse('codec-not-finite', name, 'finite values', `f16 bits ${halves[i]} at ${i}`)
    values[i] = floatFromHalf(halves[i]) * scale
  }
  return values
}

function scaleRows(rows: number, width: number, data: Float32Array): Scaled {
  const values = new Int8Array(data.length)
  const scale = new Float32Array(rows)
  for (let row = 0; row < rows; row++) {
    const begin = row * width
    const largest = largestMagnitude(data, begin, begin + width)
    const step = Math.max(INT8_SCALE_MIN, Math.min(Math.fround(largest / LEVEL_MAX), INT8_SCALE_MAX))
    scale[row] = step
    for (let i = begin; i < begin + width; i++) {
      values[i] = Math.max(-LEVEL_MAX, Math.min(roundEven(Math.fround(data[i] / step)), LEVEL_MAX))
    }
  }
  return { values, scale }
}

function unscaleRows(levels: Int8Array, scale: Float32Array, width: number, name: string): Float32Array {
  const values = new Float32Array(levels.length)
  scale.forEach((step, row) => {
    if (!(step >= INT8_SCALE_MIN && step <= INT8_SCALE_MAX)) {
      refuse('codec-scale', scaleName(name), `from ${INT8_SCALE_MIN} to ${INT8_SCALE_MAX}`, step)
    }
    for (let i = row * width; i < (row + 1) * width; i++) {
      if (levels[i] < -LEVEL_MAX) refuse('codec-level', name, `levels from −${LEVEL_MAX} to ${LEVEL_MAX}`, levels[i])
      values[i] = levels[i] * step
    }
  })
  return values
}

function takeBytes(tensors: ReadonlyMap<string, TensorInput>, name: string, dtype: Dtype, shape: readonly number[]): ArrayBuffer {
  const tensor = tensors.get(name)
  const wanted = `${dtype} [${shape.join(', ')}]`
  if (tensor === undefined) return refuse('codec-shape', name, wanted, 'no such tensor')
  const same = tensor.dtype === dtype && tensor.shape.length === shape.length && shape.every((size, i) => size === tensor.shape[i])
  if (!same) refuse('codec-shape', name, wanted, `${tensor.dtype} [${tensor.shape.join(', ')}]`)
  // A copy: the view may be unaligned, and the frame's buffer may be reused.
  return new Uint8Array(tensor.data).buffer
}

function checkValues(values: Float32Array, name: string): Float32Array {
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i])) refuse('codec-not-finite', name, 'finite values', `${values[i]} at ${i}`)
  }
  return values
}

function largestMagnitude(data: Float32Array, begin: number, end: number): number {
  let largest = 0
  for (let i = begin; i < end; i++) largest = Math.max(largest, Math.abs(data[i]))
  return largest
}

/** To the nearest integer, ties to even, for |value| < 2^51: at 1.5 · 2^52 doubles have no fraction left. */
function roundEven(value: number): number {
  return value + 6755399441055744 - 6755399441055744
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

function scaleName(name: string): string {
  return `${name}.scale`
}

function toBytes(values: Float32Array | Uint16Array | Int8Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
}
