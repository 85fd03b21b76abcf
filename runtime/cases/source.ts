/**
 * Inputs from integer counters: each value is a function of a seed and its index, exact in every language that has u32 and f32.
 *
 *   mix(seed, i) = MurmurHash3-like finaliser of i · 9e3779b9 + seed, u32 (CONFORMANCE.md has it line by line)
 *   uniform       fround(fround(u · scale) + offset) · 2^−(i mod halvings), u = (mix >>> 8 − 2^23) / 2^23 in [−1, 1)
 *   integers      mix mod limit + offset
 *   counter       i + offset
 *   values        as listed
 */

export type Source =
  | { kind: 'uniform'; count: number; seed: number; scale: number; offset: number; halvings: number; zeros: number }
  | { kind: 'integers'; count: number; seed: number; limit: number; offset: number }
  | { kind: 'counter'; count: number; offset: number }
  | { kind: 'values'; values: readonly number[] }

const HALF_RANGE = 8388608

/** FNV-1a. */
function hash(text: string): number {
  let x = 0x811c9dc5
  for (let i = 0; i < text.length; i++) x = Math.imul(x ^ text.charCodeAt(i), 0x01000193)
  return x >>> 0
}

/** A u32 of a seed and a counter. */
export function mix(seed: number, counter: number): number {
  let x = (Math.imul(counter, 0x9e3779b9) + seed) | 0
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d)
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b)
  return (x ^ (x >>> 16)) >>> 0
}

/** `count` f32 in [offset − scale, offset + scale). The same name and count give the same values. */
export function draw(count: number, name: string, scale = 1, offset = 0): Source {
  return { kind: 'uniform', count, seed: hash(`${name} ${count}`), scale: Math.fround(scale), offset: Math.fround(offset), halvings: 1, zeros: 0 }
}

/** As draw, over `halvings` powers of two. */
export function drawSpread(count: number, name: string, scale: number, halvings: number): Source {
  return { ...draw(count, name, scale), halvings } as Source
}

/** As draw, but the first `zeros` are 0. */
export function drawBehindZeros(count: number, name: string, scale: number, zeros: number): Source {
  return { ...draw(count, name, scale), zeros } as Source
}

/** `count` integers in [offset, offset + limit). */
export function drawIntegers(count: number, limit: number, name: string, offset = 0): Source {
  return { kind: 'integers', count, seed: hash(`${name} ${count}`), limit, offset }
}

/** offset, offset + 1, … */
export function countUp(count: number, offset = 0): Source {
  return { kind: 'counter', count, offset }
}

export function list(values: ArrayLike<number>): Source {
  return { kind: 'values', values: Array.from(values) }
}

export function countOfSource(source: Source): number {
  return source.kind === 'values' ? source.values.length : source.count
}

/** 2^−n, exact. */
function halved(n: number): number {
  let power = 1
  for (let i = 0; i < n; i++) power /= 2
  return power
}

/** Writes every value into `out`, whose element type must hold it. */
export function writeSource(source: Source, out: { [index: number]: number }): void {
  const count = countOfSource(source)
  if (source.kind === 'values') for (let i = 0; i < count; i++) out[i] = source.values[i]
  else if (source.kind === 'counter') for (let i = 0; i < count; i++) out[i] = i + source.offset
  else if (source.kind === 'integers') for (let i = 0; i < count; i++) out[i] = (mix(source.seed, i) % source.limit) + source.offset
  else {
    const { seed, scale, offset, halvings, zeros } = source
    for (let i = 0; i < count; i++) {
      const value = Math.fround(Math.fround((((mix(seed, i) >>> 8) - HALF_RANGE) / HALF_RANGE) * scale) + offset)
      out[i] = i < zeros ? 0 : halvings > 1 ? value * halved(i % halvings) : value
    }
  }
}

/** All values in float64, as the oracle reads them. */
export function read(source: Source): Float64Array {
  const values = new Float64Array(countOfSource(source))
  writeSource(source, values)
  return values
}

/** The same as integers. */
export function readIntegers(source: Source): Int32Array {
  return Int32Array.from(read(source))
}
