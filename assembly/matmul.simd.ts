/**
 * The SIMD product: b is packed in panels of 8 columns and K_BLOCK rows, a in
 * tiles of 4 rows, and a 4×8 tile of c stays in eight registers over a block of k.
 *
 *   packed b, panel p:  [k][8]  columns 8p … 8p+7, missing columns zero
 *   packed a:           [k][4]  rows i … i+3, missing rows zero
 *
 * Between blocks of k the tile rests in c as f32, which changes no bits.
 */

const K_BLOCK: i32 = 256 // panel 8 KB + tile 4 KB: both stay in a 32 KB first-level cache
const TILE_BYTES: i32 = K_BLOCK * 16
const EDGE_BYTES: i32 = 128

export function productSimdScratchBytes(columns: i32): i32 {
  return EDGE_BYTES + TILE_BYTES + ((columns + 7) >> 3) * K_BLOCK * 32
}

export function productSimd(
  c: usize, cRow: i32,
  a: usize, aRow: i32, aColumn: i32,
  b: usize, bRow: i32, bColumn: i32,
  M: i32, N: i32, K: i32, accumulate: i32, scratch: usize
): void {
  const edge = scratch
  const tile = scratch + EDGE_BYTES
  const panels = tile + TILE_BYTES
  if (K == 0 && !accumulate) {
    for (let i = 0; i < M; i++) memory.fill(c + (usize(i * cRow) << 2), 0, usize(N) << 2)
  }
  for (let k = 0; k < K; k += K_BLOCK) {
    const depth = min(K_BLOCK, K - k)
    const resume = accumulate | i32(k > 0)
    packPanels(panels, b + (usize(k * bRow) << 2), bRow, bColumn, depth, N)
    for (let i = 0; i < M; i += 4) {
      const rows = min(4, M - i)
      packTile(tile, a + (usize(i * aRow + k * aColumn) << 2), aRow, aColumn, depth, rows)
      const out = c + (usize(i * cRow) << 2)
      let panel = panels
      for (let j = 0; j < N; j += 8, panel += usize(depth) << 5) {
        const columns = min(8, N - j)
        const at = out + (usize(j) << 2)
        if (rows == 4 && columns == 8) {
          multiplyTile(at, usize(cRow) << 2, tile, panel, depth, resume)
        } else {
          if (resume) moveTile(edge, 32, at, usize(cRow) << 2, rows, columns)
          multiplyTile(edge, 32, tile, panel, depth, resume)
          moveTile(at, usize(cRow) << 2, edge, 32, rows, columns)
        }
      }
    }
  }
}

function moveTile(out: usize, outRow: usize, x: usize, xRow: usize, rows: i32, columns: i32): void {
  for (let i = 0; i < rows; i++, out += outRow, x += xRow) memory.copy(out, x, usize(columns) << 2)
}

/** c [4, 8] = or += tile [depth, 4]ᵀ · panel [depth, 8]. */
function multiplyTile(c: usize, cRow: usize, tile: usize, panel: usize, depth: i32, resume: i32): void {
  const r1 = c + cRow, r2 = r1 + cRow, r3 = r2 + cRow
  let c00 = f32x4.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00, c30 = c00, c31 = c00
  if (resume) {
    c00 = v128.load(c); c01 = v128.load(c, 16)
    c10 = v128.load(r1); c11 = v128.load(r1, 16)
    c20 = v128.load(r2); c21 = v128.load(r2, 16)
    c30 = v128.load(r3); c31 = v128.load(r3, 16)
  }
  for (const end = tile + (usize(depth) << 4); tile < end; tile += 16, panel += 32) {
    const b0 = v128.load(panel), b1 = v128.load(panel, 16)
    let v = v128.load32_splat(tile)
    c00 = f32x4.add(c00, f32x4.mul(v, b0)); c01 = f32x4.add(c01, f32x4.mul(v, b1))
    v = v128.load32_splat(tile, 4)
    c10 = f32x4.add(c10, f32x4.mul(v, b0)); c11 = f32x4.add(c11, f32x4.mul(v, b1))
    v = v128.load32_splat(tile, 8)
    c20 = f32x4.add(c20, f32x4.mul(v, b0)); c21 = f32x4.add(c21, f32x4.mul(v, b1))
    v = v128.load32_splat(tile, 12)
    c30 = f32x4.add(c30, f32x4.mul(v, b0)); c31 = f32x4.add(c31, f32x4.mul(v, b1))
  }
  v128.store(c, c00); v128.store(c, c01, 16)
  v128.store(r1, c10); v128.store(r1, c11, 16)
  v128.store(r2, c20); v128.store(r2, c21, 16)
  v128.store(r3, c30); v128.store(r3, c31, 16)
}

function packPanels(out: usize, b: usize, bRow: i32, bColumn: i32, depth: i32, N: i32): void {
  const rowBytes = usize(bRow) << 2
  const columnBytes = usize(bColumn) << 2
  for (let j = 0; j < N; j += 8, b += columnBytes << 3) {
    const columns = min(8, N - j)
    if (columns == 8 && bColumn == 1) {
      let from = b
      for (let k = 0; k < depth; k++, from += rowBytes, out += 32) {
        v128.store(out, v128.load(from)); v128.store(out, v128.load(from, 16), 16)
      }
    } else if (columns == 8 && bRow == 1) {
      packTransposed(out, b, columnBytes, depth, 32)
      packTransposed(out + 16, b + (columnBytes << 2), columnBytes, depth, 32)
      out += usize(depth) << 5
    } else {
      for (let k = 0; k < depth; k++, out += 32) {
        let from = b + usize(k) * rowBytes
        for (let column = 0; column < 8; column++, from += columnBytes) {
          store<f32>(out + (usize(column) << 2), column < columns ? load<f32>(from) : 0)
        }
      }
    }
  }
}

function packTile(out: usize, a: usize, aRow: i32, aColumn: i32, depth: i32, rows: i32): void {
  const rowBytes = usize(aRow) << 2
  const columnBytes = usize(aColumn) << 2
  if (rows == 4 && aColumn == 1) {
    packTransposed(out, a, rowBytes, depth, 16)
  } else if (rows == 4 && aRow == 1) {
    for (let k = 0; k < depth; k++, a += columnBytes, out += 16) v128.store(out, v128.load(a))
  } else {
    for (let k = 0; k < depth; k++, out += 16) {
      let from = a + usize(k) * columnBytes
      for (let row = 0; row < 4; row++, from += rowBytes) {
        store<f32>(out + (usize(row) << 2), row < rows ? load<f32>(from) : 0)
      }
    }
  }
}

/** Four lines of `depth` contiguous f32, `lineBytes` apart → [depth][4], `stepBytes` apart. */
function packTransposed(out: usize, x: usize, lineBytes: usize, depth: i32, stepBytes: usize): void {
  let x1 = x + lineBytes, x2 = x1 + lineBytes, x3 = x2 + lineBytes
  let k = 0
  for (; k + 4 <= depth; k += 4) {
    const a = v128.load(x), b = v128.load(x1), c = v128.load(x2), d = v128.load(x3)
    const ab = v128.shuffle<f32>(a, b, 0, 4, 1, 5), cd = v128.shuffle<f32>(c, d, 0, 4, 1, 5)
    const abHigh = v128.shuffle<f32>(a, b, 2, 6, 3, 7), cdHigh = v128.shuffle<f32>(c, d, 2, 6, 3, 7)
    v128.store(out, v128.shuffle<f32>(ab, cd, 0, 1, 4, 5)); out += stepBytes
    v128.store(out, v128.shuffle<f32>(ab, cd, 2, 3, 6, 7)); out += stepBytes
    v128.store(out, v128.shuffle<f32>(abHigh, cdHigh, 0, 1, 4, 5)); out += stepBytes
    v128.store(out, v128.shuffle<f32>(abHigh, cdHigh, 2, 3, 6, 7)); out += stepBytes
    x += 16; x1 += 16; x2 += 16; x3 += 16
  }
  for (; k < depth; k++, out += stepBytes) {
    store<f32>(out, load<f32>(x)); store<f32>(out, load<f32>(x1), 4)
    store<f32>(out, load<f32>(x2), 8); store<f32>(out, load<f32>(x3), 12)
    x += 4; x1 += 4; x2 += 4; x3 += 4
  }
}
