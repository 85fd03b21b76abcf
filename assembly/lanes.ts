/**
 * Reductions of a row. Every build adds element i into lane i % 4 and folds the
 * lanes as (0 + 1) + (2 + 3), so scalar and SIMD give the same bits.
 */

@inline function fold(s0: f32, s1: f32, s2: f32, s3: f32): f32 {
  return (s0 + s1) + (s2 + s3)
}

@inline function foldVector(s: v128, tail: f32, tail1: f32, tail2: f32, count: i32): f32 {
  let s0 = f32x4.extract_lane(s, 0)
  let s1 = f32x4.extract_lane(s, 1)
  let s2 = f32x4.extract_lane(s, 2)
  if (count > 0) s0 += tail
  if (count > 1) s1 += tail1
  if (count > 2) s2 += tail2
  return fold(s0, s1, s2, f32x4.extract_lane(s, 3))
}

/** Σ x[i] over n f32. */
export function sumRow(x: usize, n: i32): f32 {
  const end = x + (usize(n & ~3) << 2)
  const tail = n & 3
  if (ASC_FEATURE_SIMD) {
    let s = f32x4.splat(0)
    for (; x < end; x += 16) s = f32x4.add(s, v128.load(x))
    return foldVector(s,
      tail > 0 ? load<f32>(x) : 0, tail > 1 ? load<f32>(x, 4) : 0, tail > 2 ? load<f32>(x, 8) : 0, tail)
  }
  let s0: f32 = 0, s1: f32 = 0, s2: f32 = 0, s3: f32 = 0
  for (; x < end; x += 16) {
    s0 += load<f32>(x); s1 += load<f32>(x, 4); s2 += load<f32>(x, 8); s3 += load<f32>(x, 12)
  }
  if (tail > 0) s0 += load<f32>(x)
  if (tail > 1) s1 += load<f32>(x, 4)
  if (tail > 2) s2 += load<f32>(x, 8)
  return fold(s0, s1, s2, s3)
}

/** Σ x[i]·y[i] over n f32. */
export function dotRow(x: usize, y: usize, n: i32): f32 {
  const end = x + (usize(n & ~3) << 2)
  const tail = n & 3
  if (ASC_FEATURE_SIMD) {
    let s = f32x4.splat(0)
    for (; x < end; x += 16, y += 16) s = f32x4.add(s, f32x4.mul(v128.load(x), v128.load(y)))
    return foldVector(s,
      tail > 0 ? load<f32>(x) * load<f32>(y) : 0,
      tail > 1 ? load<f32>(x, 4) * load<f32>(y, 4) : 0,
      tail > 2 ? load<f32>(x, 8) * load<f32>(y, 8) : 0, tail)
  }
  let s0: f32 = 0, s1: f32 = 0, s2: f32 = 0, s3: f32 = 0
  for (; x < end; x += 16, y += 16) {
    s0 += load<f32>(x) * load<f32>(y)
    s1 += load<f32>(x, 4) * load<f32>(y, 4)
    s2 += load<f32>(x, 8) * load<f32>(y, 8)
    s3 += load<f32>(x, 12) * load<f32>(y, 12)
  }
  if (tail > 0) s0 += load<f32>(x) * load<f32>(y)
  if (tail > 1) s1 += load<f32>(x, 4) * load<f32>(y, 4)
  if (tail > 2) s2 += load<f32>(x, 8) * load<f32>(y, 8)
  return fold(s0, s1, s2, s3)
}

/** Σ (x[i] − mean)² over n f32. */
export function squaresRow(x: usize, mean: f32, n: i32): f32 {
  const end = x + (usize(n & ~3) << 2)
  const tail = n & 3
  const d0: f32 = tail > 0 ? load<f32>(end) - mean : 0
  const d1: f32 = tail > 1 ? load<f32>(end, 4) - mean : 0
  const d2: f32 = tail > 2 ? load<f32>(end, 8) - mean : 0
  if (ASC_FEATURE_SIMD) {
    const m = f32x4.splat(mean)
    let s = f32x4.splat(0)
    for (; x < end; x += 16) {
      const d = f32x4.sub(v128.load(x), m)
      s = f32x4.add(s, f32x4.mul(d, d))
    }
    return foldVector(s, d0 * d0, d1 * d1, d2 * d2, tail)
  }
  let s0: f32 = 0, s1: f32 = 0, s2: f32 = 0, s3: f32 = 0
  for (; x < end; x += 16) {
    const a = load<f32>(x) - mean, b = load<f32>(x, 4) - mean
    const c = load<f32>(x, 8) - mean, d = load<f32>(x, 12) - mean
    s0 += a * a; s1 += b * b; s2 += c * c; s3 += d * d
  }
  if (tail > 0) s0 += d0 * d0
  if (tail > 1) s1 += d1 * d1
  if (tail > 2) s2 += d2 * d2
  return fold(s0, s1, s2, s3)
}

/** max x[i] over n ≥ 1 f32; a maximum doesn't depend on order. */
export function maxRow(x: usize, n: i32): f32 {
  let m = load<f32>(x)
  const end = x + (usize(n) << 2)
  if (ASC_FEATURE_SIMD) {
    let v = f32x4.splat(m)
    for (const stop = x + (usize(n & ~3) << 2); x < stop; x += 16) v = f32x4.pmax(v, v128.load(x))
    m = max<f32>(max<f32>(f32x4.extract_lane(v, 0), f32x4.extract_lane(v, 1)), max<f32>(f32x4.extract_lane(v, 2), f32x4.extract_lane(v, 3)))
  }
  for (; x < end; x += 4) m = max<f32>(m, load<f32>(x))
  return m
}
