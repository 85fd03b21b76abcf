/**
 * Codecs for activations and gradients, f32 [rows, width] ↔ tensors of a frame: NAME, and NAME.scale where a codec has scales.
 * Each is one file and one entry of the table below; the rest follows from it.
 *
 * Every step is one f32 operation or exact, rounding to nearest, ties to even:
 * SPEC.md, section 5. The host is little-endian, as wasm memory is.
 */
import { refuse } from '../error.ts'
import { f16 } from './codec.f16.ts'
import { f32 } from './codec.f32.ts'
import { int8 } from './codec.int8.ts'
import { numbersOf, scaleName } from './codec.row.ts'
import type { CodecRow } from './codec.row.ts'
import type { TensorExpectation } from './expectation.ts'
import type { Dtype, TensorInput } from './safetensors.ts'

export { floatFromHalf, halfFromFloat } from './codec.f16.ts'

const ROWS = { f32, f16, int8 } satisfies Record<string, CodecRow>

export type Codec = keyof typeof ROWS
export const CODECS: readonly Codec[] = Object.keys(ROWS) as Codec[]

/** Refuses an unknown codec name with `codec-name`. */
export function parseCodec(name: string, field = 'codec'): Codec {
  return CODECS.find((codec) => codec === name) ?? refuse('codec-name', field, CODECS.join(', '), name)
}

/**
 * Encodes `data` [rows, width] as one or two tensors, which may be views of it. Refuses `codec-shape` (data of another size) and,
 * where the codec looks at magnitudes anyway, `codec-not-finite` (NaN or infinity). f32 does not look: a receiver trusts no sender
 * and scans all that it gets, and the server has already looked at its gradients in the kernel.
 */
export function encodeTensor(codec: Codec, name: string, rows: number, width: number, data: Float32Array): TensorInput[] {
  if (data.length !== rows * width) refuse('codec-shape', name, `${rows}×${width} values`, data.length)
  const { dtype, scaleShape, encode } = ROWS[codec]
  const { values, scale } = encode(data, { name, rows, width })
  const tensors: TensorInput[] = [{ name, dtype, shape: [rows, width], data: toBytes(values) }]
  if (scaleShape && scale) tensors.push({ name: scaleName(name), dtype: 'F32', shape: scaleShape(rows, width), data: toBytes(scale) })
  return tensors
}

/**
 * Decodes to f32 [rows, width], finite for every input it accepts: a view of the tensor's bytes where they are f32 and aligned,
 * as in any frame that encodeFrame wrote. Tensors of a checked frame are not scanned again, any others are.
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
  const { dtype, scaleShape, decode } = ROWS[codec]
  const values = takeTensor(tensors, name, dtype, [rows, width])
  const scale = scaleShape ? takeTensor(tensors, scaleName(name), 'F32', scaleShape(rows, width)).data : new Uint8Array(0)
  return decode(values, numbersOf(Float32Array, scale), { name, rows, width })
}

/** The tensors of `codec` as a FrameExpectation declares them, for up to `rowsMax` rows. */
export function tensorExpectation(codec: Codec, name: string, rowsMax: number, width: number): TensorExpectation[] {
  const { dtype, scaleShape } = ROWS[codec]
  const rows = { max: rowsMax }
  const values: TensorExpectation = { name, dtypes: [dtype], shape: [rows, width], finite: true }
  return scaleShape ? [values, { name: scaleName(name), dtypes: ['F32'], shape: scaleShape(rows, width), finite: true }] : [values]
}

function takeTensor(tensors: ReadonlyMap<string, TensorInput>, name: string, dtype: Dtype, shape: readonly number[]): TensorInput {
  const tensor = tensors.get(name)
  const wanted = `${dtype} [${shape.join(', ')}]`
  if (tensor === undefined) return refuse('codec-shape', name, wanted, 'no such tensor')
  const same = tensor.dtype === dtype && tensor.shape.length === shape.length && shape.every((size, i) => size === tensor.shape[i])
  if (!same) refuse('codec-shape', name, wanted, `${tensor.dtype} [${tensor.shape.join(', ')}]`)
  return tensor
}

function toBytes({ buffer, byteOffset, byteLength }: Float32Array | Uint16Array | Int8Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength)
}
