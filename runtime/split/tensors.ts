/** Vectors and integers as a frame's tensors, and back. */
import type { Layout } from '../model/layout.ts'
import type { Frame } from '../wire/frame.ts'
import type { TensorInput } from '../wire/safetensors.ts'

function bytesOf(values: Float32Array | Int32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
}

/** A layout's vector as named tensors. */
export function vectorTensors(layout: Layout, vector: Float32Array, prefix = ''): TensorInput[] {
  return layout.entries.map(({ name, shape, offset, count }) =>
    ({ name: prefix + name, dtype: 'F32', shape, data: bytesOf(vector.subarray(offset, offset + count)) }))
}

/** The vector back from a checked frame. */
export function vectorFrom(layout: Layout, frame: Pick<Frame, 'tensors'>, prefix = ''): Float32Array {
  const vector = new Float32Array(layout.count)
  for (const { name, offset, count } of layout.entries) {
    bytesOf(vector.subarray(offset, offset + count)).set(frame.tensors.get(prefix + name)!.data)
  }
  return vector
}

export function integerTensor(name: string, values: Int32Array): TensorInput {
  return { name, dtype: 'I32', shape: [values.length], data: bytesOf(values) }
}

/** Integers of a checked frame. A copy: the frame's buffer may be handed to a worker with the activation. */
export function integersFrom(frame: Pick<Frame, 'tensors'>, name: string): Int32Array {
  return new Int32Array(frame.tensors.get(name)!.data.slice().buffer)
}

/** Rows of a checked tensor. */
export function rowsOf(frame: Pick<Frame, 'tensors'>, name: string): number {
  const [rows] = frame.tensors.get(name)!.shape
  return rows
}
