/**
 * Gradients by central differences, (f(x + h) − f(x − h)) / 2h, of any function
 * that reads float64 arrays. With h = 1e-5·max(1, |x|) and f of order one the
 * rounding of f costs about 1e-11 and the truncation h²·f‴/6 about as much.
 */

const STEP = 1e-5

/** Slope of `scalar()` along `data[index]`, which is moved both ways and then put back. */
export function slopeAt(scalar: () => number, data: Float64Array, index: number): number {
  const value = data[index]
  const h = STEP * Math.max(1, Math.abs(value))
  // The steps that were really taken: value ± h is rounded.
  const above = value + h
  const below = value - h
  data[index] = above
  const high = scalar()
  data[index] = below
  const low = scalar()
  data[index] = value
  return (high - low) / (above - below)
}

export type Slopes = { readonly indices: Int32Array; readonly values: Float64Array }

/**
 * Slopes of `scalar()` along the elements of each named tensor, whose arrays it
 * must read afresh at each call: all of them, or a seeded sample of `count` each.
 */
export function centralDifferences(
  scalar: () => number,
  tensors: ReadonlyMap<string, { readonly data: Float64Array }>,
  sample?: { readonly count: number; readonly seed: number },
): Map<string, Slopes> {
  const slopes = new Map<string, Slopes>()
  let seed = sample?.seed ?? 0
  for (const [name, { data }] of tensors) {
    const indices = sampleIndices(data.length, sample?.count ?? data.length, seed++)
    slopes.set(name, { indices, values: Float64Array.from(indices, (index) => slopeAt(scalar, data, index)) })
  }
  return slopes
}

/** `count` different indices below `size` in ascending order, or all where there are fewer; same seed, same indices. */
export function sampleIndices(size: number, count: number, seed: number): Int32Array {
  const indices = Int32Array.from({ length: size }, (_, i) => i)
  if (count >= size) return indices
  for (let i = 0; i < count; i++) {
    const j = i + (hash(seed, i) % (size - i))
    ;[indices[i], indices[j]] = [indices[j], indices[i]]
  }
  return indices.slice(0, count).sort()
}

/** A 32-bit unsigned hash of two integers (the finaliser of MurmurHash3). */
function hash(seed: number, counter: number): number {
  let x = Math.imul(seed, 0x9e3779b9) + Math.imul(counter + 1, 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
  return (x ^ (x >>> 16)) >>> 0
}

/** Σ a·b: makes a scalar of an operation's output and a chosen gradient of it. */
export function dot(a: Float64Array, b: Float64Array): number {
  return a.reduce((sum, value, i) => sum + value * b[i], 0)
}
