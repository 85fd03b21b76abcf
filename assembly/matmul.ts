/**
 * Matrix products: one strided product serves the three forms training needs.
 *
 *   forward          out [N, O] = x [N, I] · W [O, I]ᵀ
 *   backward input   dx  [N, I] = dOut [N, O] · W [O, I]
 *   backward weight  dW  [O, I] = dOut [N, O]ᵀ · x [N, I]
 *
 * Each output is one sum over k in increasing order, started at zero or at a value
 * that stands in memory. No tile or block size changes that order, so all strict builds and tiles give the same bits.
 */
import { FORMAT_F16, FORMAT_F32, FORMAT_I8, readOne } from './format'
import {
  countTiles, packPanelSimd, productSimd, productSimdScratchBytes, productSimdSharedBytes, setTileSimd, tileColumnsSimd,
} from './matmul.simd'

/** Depth of the scalar form's panel of four columns. */
const PLAIN_BLOCK: i32 = 256

/** Bytes of scratch a product with `columns` output columns needs. */
export function productScratchBytes(columns: i32): i32 {
  return ASC_FEATURE_SIMD ? productSimdScratchBytes(columns) : 16 * PLAIN_BLOCK
}

/** Bytes that a team shares in a product with at most `columns` output columns. */
export function productSharedBytes(columns: i32): i32 {
  return ASC_FEATURE_SIMD ? productSimdSharedBytes(columns) : 0
}

/** How many inner tiles this build has to choose from; they differ in speed alone. */
export function tileCount(): i32 {
  return ASC_FEATURE_SIMD ? countTiles() : 1
}

/** Chooses the inner tile of this instance: 0 … tileCount() − 1. */
export function setTile(index: i32): void {
  if (ASC_FEATURE_SIMD) setTileSimd(index)
}

/** Rows of a weight that make one panel of this instance's tile; 0 where this build has no panels. */
export function tileColumns(): i32 {
  return ASC_FEATURE_SIMD ? tileColumnsSimd() : 0
}

/** out = tileColumns rows x [tileColumns, depth] of a weight as one panel (FORMAT_PANELS), for as long as the tile stays. */
export function packPanel(out: usize, x: usize, depth: i32): void {
  if (ASC_FEATURE_SIMD) packPanelSimd(out, x, depth)
}

/**
 * c [M, N] (row stride cRow) = from + a [M, K] · b [K, N]; a and b by the strides, in elements, of their rows and
 * columns. from: where the sums begin, of row stride fromRow; 0: at zero; it may be c. b is stored in `format`; for i8
 * with scales, one for each of its columns (scaleColumns) or of its rows. shared: 0, or scratch of a team whose threads
 * all come here with the same product and each its own scratch, and find c done when they go on.
 */
export function productFrom(
  c: usize, cRow: i32, from: usize, fromRow: i32,
  a: usize, aRow: i32, aColumn: i32,
  b: usize, bRow: i32, bColumn: i32, format: i32, scales: usize, scaleColumns: i32,
  M: i32, N: i32, K: i32, shared: usize, scratch: usize
): void {
  if (K == 0) startSums(c, cRow, from, fromRow, M, N)
  else if (ASC_FEATURE_SIMD) {
    productSimd(c, cRow, from, fromRow, a, aRow, aColumn, b, bRow, bColumn, format, scales, scaleColumns, M, N, K, shared, scratch)
  } else productPlain(c, cRow, from, fromRow, a, aRow, aColumn, b, bRow, bColumn, format, scales, scaleColumns, M, N, K, scratch)
}

/** c = or += a · b, all f32. */
export function product(
  c: usize, cRow: i32,
  a: usize, aRow: i32, aColumn: i32,
  b: usize, bRow: i32, bColumn: i32,
  M: i32, N: i32, K: i32, accumulate: i32, scratch: usize
): void {
  productFrom(c, cRow, accumulate ? c : 0, cRow, a, aRow, aColumn, b, bRow, bColumn, FORMAT_F32, 0, 0, M, N, K, 0, scratch)
}

function startSums(c: usize, cRow: i32, from: usize, fromRow: i32, M: i32, N: i32): void {
  for (let i = 0; i < M; i++) {
    const out = c + (usize(i * cRow) << 2)
    if (from) memory.copy(out, from + (usize(i * fromRow) << 2), usize(N) << 2)
    else memory.fill(out, 0, usize(N) << 2)
  }
}

/** The plain form: four columns at a time, packed so that every format and stride is read once. */
function productPlain(
  c: usize, cRow: i32, from: usize, fromRow: i32,
  a: usize, aRow: i32, aColumn: i32,
  b: usize, bRow: i32, bColumn: i32, format: i32, scales: usize, scaleColumns: i32,
  M: i32, N: i32, K: i32, scratch: usize
): void {
  const aStep = usize(aColumn) << 2
  for (let j = 0; j < N; j += 4) {
    const columns = min(4, N - j)
    for (let k = 0; k < K; k += PLAIN_BLOCK) {
      const depth = min(PLAIN_BLOCK, K - k)
      packPlain(scratch, b, bRow, bColumn, format, scales, scaleColumns, k, depth, j, columns)
      const end = scratch + (usize(depth) << 4)
      for (let i = 0; i < M; i++) {
        const out = c + (usize(i * cRow + j) << 2)
        const start = k > 0 ? out : from ? from + (usize(i * fromRow + j) << 2) : 0
        let s0: f32 = 0, s1: f32 = 0, s2: f32 = 0, s3: f32 = 0
        if (start) {
          s0 = load<f32>(start)
          if (columns > 1) s1 = load<f32>(start, 4)
          if (columns > 2) s2 = load<f32>(start, 8)
          if (columns > 3) s3 = load<f32>(start, 12)
        }
        let pa = a + (usize(i * aRow + k * aColumn) << 2)
        for (let pb = scratch; pb < end; pb += 16, pa += aStep) {
          const v = load<f32>(pa)
          s0 += v * load<f32>(pb)
          s1 += v * load<f32>(pb, 4)
          s2 += v * load<f32>(pb, 8)
          s3 += v * load<f32>(pb, 12)
        }
        store<f32>(out, s0)
        if (columns > 1) store<f32>(out, s1, 4)
        if (columns > 2) store<f32>(out, s2, 8)
        if (columns > 3) store<f32>(out, s3, 12)
      }
    }
  }
}

/** out [depth][4] = columns j … of b from row k on; missing columns zero. */
function packPlain(
  out: usize, b: usize, bRow: i32, bColumn: i32, format: i32, scales: usize, scaleColumns: i32, k: i32, depth: i32, j: i32, columns: i32
): void {
  for (let row = k; row < k + depth; row++) {
    for (let column = j; column < j + 4; column++, out += 4) {
      const at = usize(row * bRow + column * bColumn)
      let value: f32 = 0
      if (column < j + columns) {
        if (format == FORMAT_I8) value = readOne<i8>(b + at, load<f32>(scales + (usize(scaleColumns ? column : row) << 2)))
        else if (format == FORMAT_F16) value = readOne<u16>(b + (at << 1), 0)
        else value = load<f32>(b + (at << 2))
      }
      store<f32>(out, value)
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
