/**
 * What a receiver declared about a frame's tensors, and the checks of a body
 * against it: names, dtypes, shapes, finite values.
 */
import { refuse } from '../error.ts'
import { DTYPE_BYTES, tensorField } from './safetensors.ts'
import type { Dtype, TensorInput } from './safetensors.ts'

/** A fixed size, or any size from 0 to `max` (the rows of a ragged batch). */
export type DimensionExpectation = number | { readonly max: number }

export type TensorExpectation = {
  name: string
  dtypes: readonly Dtype[]
  shape: readonly DimensionExpectation[]
  /** Refuse NaN and infinities; no effect on integer dtypes. */
  finite: boolean
}

/** Exponent bits in the upper 16 bits of an element: all ones means NaN or infinity. */
const EXPONENT_MASK: Readonly<Partial<Record<Dtype, number>>> = { F64: 0x7ff0, F32: 0x7f80, BF16: 0x7f80, F16: 0x7c00 }

/**
 * Checks decoded tensors against the declaration. Refuses with `frame-missing-tensor`,
 * `frame-extra-tensor`, `frame-dtype`, `frame-shape`, and last `frame-not-finite`.
 */
export function checkTensors(tensors: ReadonlyMap<string, TensorInput>, expected: readonly TensorExpectation[], field: string): void {
  const names = new Set(expected.map(({ name }) => name))
  for (const name of names) {
    if (!tensors.has(name)) refuse('frame-missing-tensor', field, `a tensor ${name}`, `${tensors.size} other tensors`)
  }
  for (const name of tensors.keys()) {
    if (!names.has(name)) refuse('frame-extra-tensor', field, `only ${[...names].slice(0, 4).join(', ') || 'metadata'}`, name)
  }
  const declared = (expectation: TensorExpectation) => tensors.get(expectation.name) as TensorInput
  for (const expectation of expected) checkForm(declared(expectation), expectation, field)
  for (const expectation of expected) if (expectation.finite) checkFinite(declared(expectation), field)
}

/** Refuses NaN and infinities with `frame-not-finite`, by bits, so that no NaN is ever loaded. */
export function checkFinite({ name, dtype, data }: TensorInput, field: string): void {
  const mask = EXPONENT_MASK[dtype]
  if (mask === undefined) return
  const elementBytes = DTYPE_BYTES[dtype]
  for (let last = elementBytes - 1; last < data.length; last += elementBytes) {
    const high = data[last - 1] | (data[last] << 8)
    if ((high & mask) === mask) {
      refuse('frame-not-finite', tensorField(field, name), 'finite values', `NaN or infinity at element ${(last + 1) / elementBytes - 1}`)
    }
  }
}

function checkForm({ name, dtype, shape }: TensorInput, expected: TensorExpectation, field: string): void {
  const where = tensorField(field, name)
  if (!expected.dtypes.includes(dtype)) refuse('frame-dtype', `${where}.dtype`, expected.dtypes.join(' or '), dtype)
  const fits = (size: number, i: number) => {
    const dimension = expected.shape[i]
    return typeof dimension === 'number' ? size === dimension : size <= dimension.max
  }
  if (shape.length !== expected.shape.length || !shape.every(fits)) {
    const wanted = expected.shape.map((dimension) => (typeof dimension === 'number' ? dimension : `≤${dimension.max}`))
    refuse('frame-shape', `${where}.shape`, `[${wanted.join(', ')}]`, `[${shape.join(', ')}]`)
  }
}
