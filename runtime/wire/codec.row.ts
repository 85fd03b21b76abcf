/** What a codec is: one row of the table in codec.ts, and what rows share. */
import { refuse } from '../error.ts'
import type { DimensionExpectation } from './expectation.ts'
import { findNonFinite } from './finite.ts'
import type { Dtype, TensorInput } from './safetensors.ts'

/** The tensor that is coded: its name, for errors, and its sizes. */
export type Place = { name: string; rows: number; width: number }

/** Values [rows, width] in the codec's dtype, and their scales. */
export type Coded = { values: Float32Array | Uint16Array | Int8Array; scale?: Float32Array }

export type CodecRow = {
  /** Of NAME [rows, width]. */
  dtype: Dtype
  /** Of NAME.scale, f32; a codec without it has no such tensor. `rows` may be a number or a bound. */
  scaleShape?: <Rows extends DimensionExpectation>(rows: Rows, width: number) => (Rows | number)[]
  /** Codes f32 [rows, width]. May give `data` itself: it's written to a frame before anything else is done. */
  encode(data: Float32Array, place: Place): Coded
  /** To f32 [rows, width], finite for all it accepts. `tensor` has the row's dtype and shape, `scale` those of scaleShape. */
  decode(tensor: TensorInput, scale: Float32Array, place: Place): Float32Array
}

export function scaleName(name: string): string {
  return `${name}.scale`
}

type NumbersView<Numbers> = { readonly BYTES_PER_ELEMENT: number; new (buffer: ArrayBufferLike, byteOffset: number, length: number): Numbers }

/** Little-endian bytes as numbers: a view, or a copy where they lie askew. */
export function numbersOf<Numbers>(View: NumbersView<Numbers>, bytes: Uint8Array): Numbers {
  const { buffer, byteOffset, length } = bytes.byteOffset % View.BYTES_PER_ELEMENT === 0 ? bytes : new Uint8Array(bytes)
  return new View(buffer, byteOffset, length / View.BYTES_PER_ELEMENT)
}

/** Refuses a tensor to be decoded with `codec-not-finite`; free for one that a frame's check has passed. */
export function checkValues(tensor: TensorInput, { name }: Place): void {
  const at = findNonFinite(tensor)
  if (at >= 0) refuse('codec-not-finite', name, 'finite values', `NaN or infinity at ${at}`)
}

/** The largest magnitude in [begin, end) of data to be encoded; a NaN or infinity comes out on top and is refused with `codec-not-finite`. */
export function largestMagnitude(data: Float32Array, begin: number, end: number, { name }: Place): number {
  let largest = 0
  for (let i = begin; i < end; i++) largest = Math.max(largest, Math.abs(data[i]))
  if (!Number.isFinite(largest)) {
    const at = data.findIndex((value) => !Number.isFinite(value))
    refuse('codec-not-finite', name, 'finite values', `${data[at]} at ${at}`)
  }
  return largest
}

/** To the nearest integer, ties to even, for |value| < 2^51: at 1.5 · 2^52 doubles have no fraction left. */
export function roundEven(value: number): number {
  return value + 6755399441055744 - 6755399441055744
}
