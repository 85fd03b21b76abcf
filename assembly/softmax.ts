/** Softmax of a row: out[i] = exp(factor·x[i] − max) / Σ, four-lane sum. */
import { exp32, exp32x4, writeTable } from './math'
import { maxRow, sumRow } from './lanes'
import { scale } from './elementwise'

/** One row of n ≥ 1; out may be x; table: written. */
export function softmaxRow(out: usize, x: usize, factor: f32, n: i32, table: usize): void {
  scale(out, x, factor, n)
  const largest = maxRow(out, n)
  let p = out
  const end = out + (usize(n) << 2)
  if (ASC_FEATURE_SIMD) {
    const m = f32x4.splat(largest)
    // Two vectors at a time, as in gelu.ts.
    for (const stop = out + (usize(n & ~7) << 2); p < stop; p += 32) {
      const e = exp32x4(f32x4.sub(v128.load(p), m), table), e1 = exp32x4(f32x4.sub(v128.load(p, 16), m), table)
      v128.store(p, e)
      v128.store(p, e1, 16)
    }
    for (const stop = out + (usize(n & ~3) << 2); p < stop; p += 16) v128.store(p, exp32x4(f32x4.sub(v128.load(p), m), table))
  }
  for (; p < end; p += 4) store<f32>(p, exp32(load<f32>(p) - largest))
  scale(out, out, <f32>1 / sumRow(out, n), n)
}

/** out [N, K] = softmax of each row of x [N, K]; out may be x; scratch: tableScratchBytes. */
export function softmax(out: usize, x: usize, N: i32, K: i32, scratch: usize): void {
  writeTable(scratch)
  const rowBytes = usize(K) << 2
  for (let row = 0; row < N; row++, out += rowBytes, x += rowBytes) softmaxRow(out, x, 1, K, scratch)
}
