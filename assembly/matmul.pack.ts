/**
 * Packing for the SIMD product: both operands come to lie in the order in which a tile reads them, whatever their
 * strides and format, so that no transpose is ever written to memory.
 *
 *   panel of b:  [k][width]  missing columns zero
 *   tile of a:   [k][height] missing rows zero
 */
import { FORMAT_F16, FORMAT_I8, readFour, readOne } from './format'

const STRIP: i32 = 48 // a multiple of every panel's width

/** b [depth, N] by its strides in elements → panels one after another. scales: for i8, of b's columns or of its rows. */
export function packPanels(
  out: usize, b: usize, bRow: i32, bColumn: i32, depth: i32, N: i32, width: i32, format: i32, scales: usize, scaleColumns: i32
): void {
  if (format == FORMAT_I8) packPanelsOf<i8>(out, b, bRow, bColumn, depth, N, width, scales, scaleColumns)
  else if (format == FORMAT_F16) packPanelsOf<u16>(out, b, bRow, bColumn, depth, N, width, 0, 0)
  else packPanelsOf<f32>(out, b, bRow, bColumn, depth, N, width, 0, 0)
}

function packPanelsOf<T>(
  out: usize, b: usize, bRow: i32, bColumn: i32, depth: i32, N: i32, width: i32, scales: usize, scaleColumns: i32
): void {
  const rowBytes = usize(bRow) * sizeof<T>()
  const columnBytes = usize(bColumn) * sizeof<T>()
  const stepBytes = usize(width) << 2
  let j = 0
  if (bColumn == 1 && !scaleColumns) {
    j = N / width * width
    copyPanels<T>(out, b, rowBytes, depth, j, width, scales)
    out += usize(j * depth) << 2
  }
  for (; j < N; j += width, out += usize(depth) * stepBytes) {
    for (let column = 0; column < width; column += 4) {
      const from = b + usize(j + column) * columnBytes
      const to = out + (usize(column) << 2)
      const present = N - j - column
      const scale = scales + (usize(scaleColumns) * usize(j + column) << 2)
      if (present >= 4 && bRow == 1 && (scaleColumns || sizeof<T>() != 1)) transposeFour<T>(to, from, columnBytes, depth, stepBytes, scale)
      else packOdd<T>(to, from, rowBytes, columnBytes, depth, present, stepBytes, scale, scaleColumns)
    }
  }
}

/** a [rows, depth] by its strides → one tile. */
export function packTile(out: usize, a: usize, aRow: i32, aColumn: i32, depth: i32, rows: i32, height: i32): void {
  const rowBytes = usize(aRow) << 2
  const columnBytes = usize(aColumn) << 2
  const stepBytes = usize(height) << 2
  if (height == 3 && rows == 3 && aColumn == 1) return transposeThree(out, a, rowBytes, depth)
  if (height == 5 && rows == 5 && aColumn == 1) return transposeFive(out, a, rowBytes, depth)
  for (let row = 0; row < height; row += 4, a += rowBytes << 2, out += 16) {
    const present = rows - row
    if (present >= 4 && height - row >= 4 && aColumn == 1) transposeFour<f32>(out, a, rowBytes, depth, stepBytes, 0)
    else if (present >= 4 && height - row >= 4 && aRow == 1) copyFour(out, a, columnBytes, depth, stepBytes)
    else packRows(out, a, rowBytes, columnBytes, depth, present, min(4, height - row), stepBytes)
  }
}

/** The last rows of a tile that are no whole four. */
function packRows(out: usize, a: usize, rowBytes: usize, columnBytes: usize, depth: i32, present: i32, count: i32, stepBytes: usize): void {
  for (let row = 0; row < count; row++, a += rowBytes, out += 4) {
    let from = a, to = out
    if (row < present) for (let k = 0; k < depth; k++, from += columnBytes, to += stepBytes) store<f32>(to, load<f32>(from))
    else for (let k = 0; k < depth; k++, to += stepBytes) store<f32>(to, 0)
  }
}

@inline function scaleAt<T>(scales: usize, index: i32): f32 {
  return sizeof<T>() == 1 ? load<f32>(scales + (usize(index) << 2)) : 0
}

/** Whole panels of columns that lie side by side; i8: scales[k]. A strip of 64 columns at a time, so that b is read along its rows. */
function copyPanels<T>(out: usize, b: usize, rowBytes: usize, depth: i32, columns: i32, width: i32, scales: usize): void {
  const stepBytes = usize(width) << 2
  const panelBytes = usize(depth) * stepBytes
  for (let j = 0; j < columns; j += STRIP) {
    const stop = min(columns, j + STRIP)
    let from = b + usize(j) * sizeof<T>()
    let to = out
    for (let k = 0; k < depth; k++, from += rowBytes, to += stepBytes) {
      const scale = f32x4.splat(scaleAt<T>(scales, k))
      let x = from, panel = to
      for (let column = j; column < stop; column += width, panel += panelBytes) {
        for (let place: usize = 0; place < stepBytes; place += 16, x += 4 * sizeof<T>()) v128.store(panel + place, readFour<T>(x, scale))
      }
    }
    out += usize(stop - j) / usize(width) * panelBytes
  }
}

/** Four lines that lie side by side, `lineBytes` from one k to the next. */
function copyFour(out: usize, x: usize, lineBytes: usize, depth: i32, stepBytes: usize): void {
  for (let k = 0; k < depth; k++, x += lineBytes, out += stepBytes) v128.store(out, v128.load(x))
}

/** Four lines of `depth` elements each, `lineBytes` apart → [depth][4], `stepBytes` from one k to the next; i8: scales[line]. */
function transposeFour<T>(out: usize, x: usize, lineBytes: usize, depth: i32, stepBytes: usize, scales: usize): void {
  const s0 = scaleAt<T>(scales, 0), s1 = scaleAt<T>(scales, 1), s2 = scaleAt<T>(scales, 2), s3 = scaleAt<T>(scales, 3)
  const v0 = f32x4.splat(s0), v1 = f32x4.splat(s1), v2 = f32x4.splat(s2), v3 = f32x4.splat(s3)
  let x1 = x + lineBytes, x2 = x1 + lineBytes, x3 = x2 + lineBytes
  let k = 0
  for (; k + 4 <= depth; k += 4) {
    const a = readFour<T>(x, v0), b = readFour<T>(x1, v1), c = readFour<T>(x2, v2), d = readFour<T>(x3, v3)
    const ab = v128.shuffle<f32>(a, b, 0, 4, 1, 5), cd = v128.shuffle<f32>(c, d, 0, 4, 1, 5)
    const abHigh = v128.shuffle<f32>(a, b, 2, 6, 3, 7), cdHigh = v128.shuffle<f32>(c, d, 2, 6, 3, 7)
    v128.store(out, v128.shuffle<f32>(ab, cd, 0, 1, 4, 5)); out += stepBytes
    v128.store(out, v128.shuffle<f32>(ab, cd, 2, 3, 6, 7)); out += stepBytes
    v128.store(out, v128.shuffle<f32>(abHigh, cdHigh, 0, 1, 4, 5)); out += stepBytes
    v128.store(out, v128.shuffle<f32>(abHigh, cdHigh, 2, 3, 6, 7)); out += stepBytes
    x += 4 * sizeof<T>(); x1 += 4 * sizeof<T>(); x2 += 4 * sizeof<T>(); x3 += 4 * sizeof<T>()
  }
  for (; k < depth; k++, out += stepBytes) {
    store<f32>(out, readOne<T>(x, s0)); store<f32>(out, readOne<T>(x1, s1), 4)
    store<f32>(out, readOne<T>(x2, s2), 8); store<f32>(out, readOne<T>(x3, s3), 12)
    x += sizeof<T>(); x1 += sizeof<T>(); x2 += sizeof<T>(); x3 += sizeof<T>()
  }
}

/** Three lines of `depth` f32, `lineBytes` apart → [depth][3]. */
function transposeThree(out: usize, x: usize, lineBytes: usize, depth: i32): void {
  let x1 = x + lineBytes, x2 = x1 + lineBytes
  let k = 0
  for (; k + 4 <= depth; k += 4, out += 48, x += 16, x1 += 16, x2 += 16) {
    const a = v128.load(x), b = v128.load(x1), c = v128.load(x2)
    v128.store(out, v128.shuffle<f32>(v128.shuffle<f32>(a, b, 0, 4, 1, 5), c, 0, 1, 4, 2))
    v128.store(out, v128.shuffle<f32>(v128.shuffle<f32>(a, b, 5, 2, 6, 6), c, 0, 5, 1, 2), 16)
    v128.store(out, v128.shuffle<f32>(v128.shuffle<f32>(a, b, 3, 7, 3, 7), c, 6, 0, 1, 7), 32)
  }
  for (; k < depth; k++, out += 12, x += 4, x1 += 4, x2 += 4) {
    store<f32>(out, load<f32>(x)); store<f32>(out, load<f32>(x1), 4); store<f32>(out, load<f32>(x2), 8)
  }
}

/** Five lines of `depth` f32, `lineBytes` apart → [depth][5]. */
function transposeFive(out: usize, x: usize, lineBytes: usize, depth: i32): void {
  let x1 = x + lineBytes, x2 = x1 + lineBytes, x3 = x2 + lineBytes, x4 = x3 + lineBytes
  let k = 0
  for (; k + 4 <= depth; k += 4, out += 80, x += 16, x1 += 16, x2 += 16, x3 += 16, x4 += 16) {
    const a = v128.load(x), b = v128.load(x1), c = v128.load(x2), d = v128.load(x3), e = v128.load(x4)
    const ab = v128.shuffle<f32>(a, b, 0, 4, 1, 5), cd = v128.shuffle<f32>(c, d, 0, 4, 1, 5)
    const abHigh = v128.shuffle<f32>(a, b, 2, 6, 3, 7), cdHigh = v128.shuffle<f32>(c, d, 2, 6, 3, 7)
    v128.store(out, v128.shuffle<f32>(ab, cd, 0, 1, 4, 5)); v128.store_lane<f32>(out, e, 0, 16)
    v128.store(out, v128.shuffle<f32>(ab, cd, 2, 3, 6, 7), 20); v128.store_lane<f32>(out, e, 1, 36)
    v128.store(out, v128.shuffle<f32>(abHigh, cdHigh, 0, 1, 4, 5), 40); v128.store_lane<f32>(out, e, 2, 56)
    v128.store(out, v128.shuffle<f32>(abHigh, cdHigh, 2, 3, 6, 7), 60); v128.store_lane<f32>(out, e, 3, 76)
  }
  for (; k < depth; k++, out += 20, x += 4, x1 += 4, x2 += 4, x3 += 4, x4 += 4) {
    store<f32>(out, load<f32>(x)); store<f32>(out, load<f32>(x1), 4); store<f32>(out, load<f32>(x2), 8)
    store<f32>(out, load<f32>(x3), 12); store<f32>(out, load<f32>(x4), 16)
  }
}

/** Any strides, and fewer than four columns; those that are missing become zero. */
function packOdd<T>(
  out: usize, x: usize, rowBytes: usize, columnBytes: usize, depth: i32, present: i32, stepBytes: usize, scales: usize, scaleColumns: i32
): void {
  for (let k = 0; k < depth; k++, x += rowBytes, out += stepBytes) {
    let from = x
    for (let column = 0; column < 4; column++, from += columnBytes) {
      const value = column < present ? readOne<T>(from, scaleAt<T>(scales, scaleColumns ? column : k)) : 0
      store<f32>(out + (usize(column) << 2), value)
    }
  }
}
