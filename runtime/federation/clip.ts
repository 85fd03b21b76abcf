/**
 * Updates against one another: whose norm is over `factor` times the round's median is scaled down to that. An update is the
 * uploaded full set minus the base; norms are roots of sums in f64 in the order of the layout. Of two nobody can say which is
 * the liar, so that a median asks for three; what steps can do at most bounds each by itself (split/reach.ts).
 */

/** Contributions that make a median which no one of them can put where it likes. */
const CONTRIBUTIONS_MIN = 3

/** Over twice what honest updates reach: AdamW makes them nearly of one norm (README, "What a lying device can do"). */
export const CLIP_DEFAULT = 3

export function normOf(vector: Float32Array, base: Float32Array): number {
  let sum = 0
  for (let i = 0; i < vector.length; i++) {
    const step = vector[i] - base[i]
    sum += step * step
  }
  return Math.sqrt(sum)
}

/** The middle one, the larger of two middle ones. */
function medianOf(norms: readonly number[]): number {
  return Float64Array.from(norms).sort()[norms.length >> 1]
}

/** What no norm may exceed; infinite where nothing is clipped: `factor` 0, or too few to compare. */
export function clipLimit(norms: readonly number[], factor: number): number {
  return factor === 0 || norms.length < CONTRIBUTIONS_MIN ? Infinity : factor * medianOf(norms)
}

/** `vector` itself where its update is within the limit, to the bit; else base + update · limit/norm. */
export function clipUpdate(vector: Float32Array, base: Float32Array, norm: number, limit: number): Float32Array {
  if (norm <= limit) return vector
  const scale = limit / norm
  return vector.map((value, i) => base[i] + (value - base[i]) * scale)
}
