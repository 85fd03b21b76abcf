/** A base model of zeros, for what is measured by its size. */
import { countOf } from '../runtime/model/layout.ts'
import type { Weights } from '../runtime/model/weights.ts'

/** Zeros under every name: their bytes are written, so their pages are resident. */
export const ZEROS: Weights = {
  names: [],
  has: () => true,
  read: async (_name, shape) => ({ dtype: 'F32', data: new Uint8Array(4 * countOf(shape)) }),
}
