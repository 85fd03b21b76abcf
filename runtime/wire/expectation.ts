/**
 * What a receiver declared about a frame's tensors, and the checks of a body
 * against it: names, dtypes, shapes, finite values.
 */
import { refuse } from '../error.ts'
import { findNonFinite } from './finite.ts'
import { tensorField } from './safetensors.ts'
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

/** Refuses NaN and infinities with `frame-not-finite`. */
export function checkFinite(tensor: TensorInput, field: string): void {
  const at = findNonFinite(tensor)
  if (at >= 0) refuse('frame-not-finite', tensorField(field, tensor.name), 'finite values', `NaN or infinity at element ${at}`)
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
