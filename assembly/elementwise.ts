/** Element by element over n f32: fill, add, scale, add a row to every row, sum the rows. */

/** Where row `row` of x [·, width] begins; 0 for 0. */
export function rowsAt(x: usize, row: i32, width: i32): usize {
  return x ? x + (usize(row * width) << 2) : 0
}

/** out[i] = value. */
export function fill(out: usize, value: f32, n: i32): void {
  const end = out + (usize(n) << 2)
  if (ASC_FEATURE_SIMD) {
    const v = f32x4.splat(value)
    for (const stop = out + (usize(n & ~3) << 2); out < stop; out += 16) v128.store(out, v)
  }
  for (; out < end; out += 4) store<f32>(out, value)
}

/** out[i] += x[i]. */
export function add(out: usize, x: usize, n: i32): void {
  const end = out + (usize(n) << 2)
  if (ASC_FEATURE_SIMD) {
    for (const stop = out + (usize(n & ~3) << 2); out < stop; out += 16, x += 16) {
      v128.store(out, f32x4.add(v128.load(out), v128.load(x)))
    }
  }
  for (; out < end; out += 4, x += 4) store<f32>(out, load<f32>(out) + load<f32>(x))
}

/** out[i] = x[i]·factor; out may be x. */
export function scale(out: usize, x: usize, factor: f32, n: i32): void {
  const end = out + (usize(n) << 2)
  if (ASC_FEATURE_SIMD) {
    const f = f32x4.splat(factor)
    for (const stop = out + (usize(n & ~7) << 2); out < stop; out += 32, x += 32) {
      const v = f32x4.mul(v128.load(x), f), w = f32x4.mul(v128.load(x, 16), f)
      v128.store(out, v)
      v128.store(out, w, 16)
    }
  }
  for (; out < end; out += 4, x += 4) store<f32>(out, load<f32>(x) * factor)
}

/** Every row of out [N, C] becomes row [C]. */
export function broadcastRow(out: usize, row: usize, N: i32, C: i32): void {
  const rowBytes = usize(C) << 2
  for (let i = 0; i < N; i++, out += rowBytes) memory.copy(out, row, rowBytes)
}

/** Bias backward: dBias [C] += Σ over rows of dOut [N, C] (row stride `stride` elements), in row order. */
export function biasBackward(dBias: usize, dOut: usize, N: i32, C: i32, stride: i32): void {
  const rowBytes = usize(stride) << 2
  for (let row = 0; row < N; row++, dOut += rowBytes) add(dBias, dOut, C)
}

/** Residual: out [n] = x + y; out may be either. */
export function addTo(out: usize, x: usize, y: usize, n: i32): void {
  const end = out + (usize(n) << 2)
  if (ASC_FEATURE_SIMD) {
    for (const stop = out + (usize(n & ~3) << 2); out < stop; out += 16, x += 16, y += 16) {
      v128.store(out, f32x4.add(v128.load(x), v128.load(y)))
    }
  }
  for (; out < end; out += 4, x += 4, y += 4) store<f32>(out, load<f32>(x) + load<f32>(y))
}

/** How many of n f32 are NaN or infinite. */
export function countNonFinite(x: usize, n: i32): i32 {
  let count = 0
  const end = x + (usize(n) << 2)
  for (; x < end; x += 4) count += i32((load<u32>(x) & 0x7F800000) == 0x7F800000)
  return count
}

/** out [count, C] = rows index[0..count) of x. */
export function gatherRows(out: usize, x: usize, index: usize, count: i32, C: i32): void {
  const rowBytes = usize(C) << 2
  for (let i = 0; i < count; i++, out += rowBytes) {
    memory.copy(out, x + usize(load<u32>(index + (usize(i) << 2))) * rowBytes, rowBytes)
  }
}

/** Backward of gatherRows: dx row index[i] += dOut row i. */
export function gatherRowsBackward(dx: usize, dOut: usize, index: usize, count: i32, C: i32): void {
  const rowBytes = usize(C) << 2
  for (let i = 0; i < count; i++, dOut += rowBytes) {
    add(dx + usize(load<u32>(index + (usize(i) << 2))) * rowBytes, dOut, C)
  }
}
