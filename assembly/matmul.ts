/**
 * Matrix products: one strided product serves the three forms training needs.
 *
 *   forward          out [N, O] = x [N, I] · W [O, I]ᵀ
 *   backward input   dx  [N, I] = dOut [N, O] · W [O, I]
 *   backward weight  dW  [O, I] = dOut [N, O]ᵀ · x [N, I]
 *
 * Each output is one sum over k in increasing order, started at zero or, when
 * accumulating, at the value already there. No tile or block size changes that
 * order, so all builds and tile sizes give the same bits.
 */
import { productSimd, productSimdScratchBytes } from './matmul.simd'

/** Bytes of scratch a product with `columns` output columns needs. */
export function productScratchBytes(columns: i32): i32 {
  return ASC_FEATURE_SIMD ? productSimdScratchBytes(columns) : 0
}

/**
 * c [M, N] (row stride cRow) = or += a [M, K] · b [K, N]; a and b by the strides,
 * in elements, of their rows and columns.
 */
export function product(
  c: usize, cRow: i32,
  a: usize, aRow: i32, aColumn: i32,
  b: usize, bRow: i32, bColumn: i32,
  M: i32, N: i32, K: i32, accumulate: i32, scratch: usize
): void {
  if (ASC_FEATURE_SIMD) productSimd(c, cRow, a, aRow, aColumn, b, bRow, bColumn, M, N, K, accumulate, scratch)
  else productPlain(c, cRow, a, aRow, aColumn, b, bRow, bColumn, M, N, K, accumulate)
}

/** The plain form, four columns at a time: 2.5× one column, since each a is loaded once for four. */
function productPlain(
  c: usize, cRow: i32,
  a: usize, aRow: i32, aColumn: i32,
  b: usize, bRow: i32, bColumn: i32,
  M: i32, N: i32, K: i32, accumulate: i32
): void {
  const aStep = usize(aColumn) << 2
  const bStep = usize(bRow) << 2
  const bNext = usize(bColumn) << 2
  for (let i = 0; i < M; i++) {
    const aStart = a + (usize(i * aRow) << 2)
    const out = c + (usize(i * cRow) << 2)
    let j = 0
    for (; j + 4 <= N; j += 4) {
      const at = out + (usize(j) << 2)
      let s0: f32 = 0, s1: f32 = 0, s2: f32 = 0, s3: f32 = 0
      if (accumulate) { s0 = load<f32>(at); s1 = load<f32>(at, 4); s2 = load<f32>(at, 8); s3 = load<f32>(at, 12) }
      let pa = aStart
      let pb = b + usize(j) * bNext
      for (let k = 0; k < K; k++, pa += aStep, pb += bStep) {
        const v = load<f32>(pa)
        s0 += v * load<f32>(pb)
        s1 += v * load<f32>(pb + bNext)
        s2 += v * load<f32>(pb + 2 * bNext)
        s3 += v * load<f32>(pb + 3 * bNext)
      }
      store<f32>(at, s0); store<f32>(at, s1, 4); store<f32>(at, s2, 8); store<f32>(at, s3, 12)
    }
    for (; j < N; j++) {
      const at = out + (usize(j) << 2)
      let s: f32 = accumulate ? load<f32>(at) : 0
      let pa = aStart
      let pb = b + usize(j) * bNext
      for (let k = 0; k < K; k++, pa += aStep, pb += bStep) s += load<f32>(pa) * load<f32>(pb)
      store<f32>(at, s)
    }
  }
}

/** out [N, O] = or += x [N, I] · w [O, I]ᵀ. Scratch: productScratchBytes(O). */
export function matmul(out: usize, x: usize, w: usize, N: i32, O: i32, I: i32, accumulate: i32, scratch: usize): void {
  product(out, O, x, I, 1, w, 1, I, N, O, I, accumulate, scratch)
}

/** dx [N, I] = or += dOut [N, O] · w [O, I]. Scratch: productScratchBytes(I). */
export function matmulBackwardInput(dx: usize, dOut: usize, w: usize, N: i32, O: i32, I: i32, accumulate: i32, scratch: usize): void {
  product(dx, I, dOut, O, 1, w, I, 1, N, I, O, accumulate, scratch)
}

/** dw [O, I] = or += dOut [N, O]ᵀ · x [N, I]. Scratch: productScratchBytes(I). */
export function matmulBackwardWeight(dw: usize, dOut: usize, x: usize, N: i32, O: i32, I: i32, accumulate: i32, scratch: usize): void {
  product(dw, I, dOut, 1, O, x, I, 1, O, I, N, accumulate, scratch)
}
