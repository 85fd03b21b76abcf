/**
 * The inner tiles of the SIMD product: a tile of c stays in registers over a block of k.
 *
 *   c [rows, columns] (row stride cRow bytes) = from + tile [depth][rows] · panel [depth][columns]
 *
 * `from` (row stride fromRow bytes; 0: every row begins alike, as with a bias) is where each sum begins. It is always
 * read: a branch around these loads keeps V8 from pairing the first row's vectors (one of ten pairs, 35 instructions instead of 32).
 * Which tile is fastest depends on how many registers a host's compiler has and how wide they are; every tile adds
 * the same products in the same order, so that they differ in no bit.
 * The first step stands before the loop where that was measured to help: V8 then keeps the addresses of the loads out of
 * the loop, 28 instructions instead of 33 (V8 11.3).
 */
import { madd } from './madd'

/** c [4, 8]: eight accumulators; for hosts that keep to 128 bits. */
export function multiplyTile4x8(c: usize, cRow: usize, from: usize, fromRow: usize, tile: usize, panel: usize, depth: i32): void {
  const r1 = c + cRow, r2 = r1 + cRow, r3 = r2 + cRow
  const f1 = from + fromRow, f2 = f1 + fromRow, f3 = f2 + fromRow
  let c00 = v128.load(from), c01 = v128.load(from, 16)
  let c10 = v128.load(f1), c11 = v128.load(f1, 16)
  let c20 = v128.load(f2), c21 = v128.load(f2, 16)
  let c30 = v128.load(f3), c31 = v128.load(f3, 16)
  const end = tile + usize(depth) * 16
  let b0 = v128.load(panel), b1 = v128.load(panel, 16)
  let v = v128.load32_splat(tile)
  c00 = madd(v, b0, c00); c01 = madd(v, b1, c01)
  v = v128.load32_splat(tile, 4)
  c10 = madd(v, b0, c10); c11 = madd(v, b1, c11)
  v = v128.load32_splat(tile, 8)
  c20 = madd(v, b0, c20); c21 = madd(v, b1, c21)
  v = v128.load32_splat(tile, 12)
  c30 = madd(v, b0, c30); c31 = madd(v, b1, c31)
  for (tile += 16, panel += 32; tile < end; tile += 16, panel += 32) {
    b0 = v128.load(panel); b1 = v128.load(panel, 16)
    v = v128.load32_splat(tile)
    c00 = madd(v, b0, c00); c01 = madd(v, b1, c01)
    v = v128.load32_splat(tile, 4)
    c10 = madd(v, b0, c10); c11 = madd(v, b1, c11)
    v = v128.load32_splat(tile, 8)
    c20 = madd(v, b0, c20); c21 = madd(v, b1, c21)
    v = v128.load32_splat(tile, 12)
    c30 = madd(v, b0, c30); c31 = madd(v, b1, c31)
  }
  v128.store(c, c00); v128.store(c, c01, 16)
  v128.store(r1, c10); v128.store(r1, c11, 16)
  v128.store(r2, c20); v128.store(r2, c21, 16)
  v128.store(r3, c30); v128.store(r3, c31, 16)
}

/** c [6, 8]: twelve accumulators; the best of 128 bits where multiply and add are one instruction. */
export function multiplyTile6x8(c: usize, cRow: usize, from: usize, fromRow: usize, tile: usize, panel: usize, depth: i32): void {
  const r1 = c + cRow, r2 = r1 + cRow, r3 = r2 + cRow, r4 = r3 + cRow, r5 = r4 + cRow
  const f1 = from + fromRow, f2 = f1 + fromRow, f3 = f2 + fromRow, f4 = f3 + fromRow, f5 = f4 + fromRow
  let c00 = v128.load(from), c01 = v128.load(from, 16)
  let c10 = v128.load(f1), c11 = v128.load(f1, 16)
  let c20 = v128.load(f2), c21 = v128.load(f2, 16)
  let c30 = v128.load(f3), c31 = v128.load(f3, 16)
  let c40 = v128.load(f4), c41 = v128.load(f4, 16)
  let c50 = v128.load(f5), c51 = v128.load(f5, 16)
  for (const end = tile + usize(depth) * 24; tile < end; tile += 24, panel += 32) {
    const b0 = v128.load(panel), b1 = v128.load(panel, 16)
    let v = v128.load32_splat(tile)
    c00 = madd(v, b0, c00); c01 = madd(v, b1, c01)
    v = v128.load32_splat(tile, 4)
    c10 = madd(v, b0, c10); c11 = madd(v, b1, c11)
    v = v128.load32_splat(tile, 8)
    c20 = madd(v, b0, c20); c21 = madd(v, b1, c21)
    v = v128.load32_splat(tile, 12)
    c30 = madd(v, b0, c30); c31 = madd(v, b1, c31)
    v = v128.load32_splat(tile, 16)
    c40 = madd(v, b0, c40); c41 = madd(v, b1, c41)
    v = v128.load32_splat(tile, 20)
    c50 = madd(v, b0, c50); c51 = madd(v, b1, c51)
  }
  v128.store(c, c00); v128.store(c, c01, 16)
  v128.store(r1, c10); v128.store(r1, c11, 16)
  v128.store(r2, c20); v128.store(r2, c21, 16)
  v128.store(r3, c30); v128.store(r3, c31, 16)
  v128.store(r4, c40); v128.store(r4, c41, 16)
  v128.store(r5, c50); v128.store(r5, c51, 16)
}

/** c [3, 12]: nine accumulators; the fewest loads for each product of 128 bits. */
export function multiplyTile3x12(c: usize, cRow: usize, from: usize, fromRow: usize, tile: usize, panel: usize, depth: i32): void {
  const r1 = c + cRow, r2 = r1 + cRow
  const f1 = from + fromRow, f2 = f1 + fromRow
  let c00 = v128.load(from), c01 = v128.load(from, 16), c02 = v128.load(from, 32)
  let c10 = v128.load(f1), c11 = v128.load(f1, 16), c12 = v128.load(f1, 32)
  let c20 = v128.load(f2), c21 = v128.load(f2, 16), c22 = v128.load(f2, 32)
  const end = tile + usize(depth) * 12
  let b0 = v128.load(panel), b1 = v128.load(panel, 16), b2 = v128.load(panel, 32)
  let v = v128.load32_splat(tile)
  c00 = madd(v, b0, c00); c01 = madd(v, b1, c01); c02 = madd(v, b2, c02)
  v = v128.load32_splat(tile, 4)
  c10 = madd(v, b0, c10); c11 = madd(v, b1, c11); c12 = madd(v, b2, c12)
  v = v128.load32_splat(tile, 8)
  c20 = madd(v, b0, c20); c21 = madd(v, b1, c21); c22 = madd(v, b2, c22)
  for (tile += 12, panel += 48; tile < end; tile += 12, panel += 48) {
    b0 = v128.load(panel); b1 = v128.load(panel, 16); b2 = v128.load(panel, 32)
    v = v128.load32_splat(tile)
    c00 = madd(v, b0, c00); c01 = madd(v, b1, c01); c02 = madd(v, b2, c02)
    v = v128.load32_splat(tile, 4)
    c10 = madd(v, b0, c10); c11 = madd(v, b1, c11); c12 = madd(v, b2, c12)
    v = v128.load32_splat(tile, 8)
    c20 = madd(v, b0, c20); c21 = madd(v, b1, c21); c22 = madd(v, b2, c22)
  }
  v128.store(c, c00); v128.store(c, c01, 16); v128.store(c, c02, 32)
  v128.store(r1, c10); v128.store(r1, c11, 16); v128.store(r1, c12, 32)
  v128.store(r2, c20); v128.store(r2, c21, 16); v128.store(r2, c22, 32)
}

/**
 * c [5, 16]: twenty accumulators; for hosts whose compiler pairs them into ten of 256 bits.
 * Two steps an iteration with a way out between them: as one piece of code V8 gathers the loads of both and spills.
 */
export function multiplyTile5x16(c: usize, cRow: usize, from: usize, fromRow: usize, tile: usize, panel: usize, depth: i32): void {
  const r1 = c + cRow, r2 = r1 + cRow, r3 = r2 + cRow, r4 = r3 + cRow
  const f1 = from + fromRow, f2 = f1 + fromRow, f3 = f2 + fromRow, f4 = f3 + fromRow
  let c00 = v128.load(from), c01 = v128.load(from, 16), c02 = v128.load(from, 32), c03 = v128.load(from, 48)
  let c10 = v128.load(f1), c11 = v128.load(f1, 16), c12 = v128.load(f1, 32), c13 = v128.load(f1, 48)
  let c20 = v128.load(f2), c21 = v128.load(f2, 16), c22 = v128.load(f2, 32), c23 = v128.load(f2, 48)
  let c30 = v128.load(f3), c31 = v128.load(f3, 16), c32 = v128.load(f3, 32), c33 = v128.load(f3, 48)
  let c40 = v128.load(f4), c41 = v128.load(f4, 16), c42 = v128.load(f4, 32), c43 = v128.load(f4, 48)
  const end = tile + usize(depth) * 20, last = end - 20
  let b0 = v128.load(panel), b1 = v128.load(panel, 16), b2 = v128.load(panel, 32), b3 = v128.load(panel, 48)
  let v = v128.load32_splat(tile)
  c00 = madd(v, b0, c00); c01 = madd(v, b1, c01); c02 = madd(v, b2, c02); c03 = madd(v, b3, c03)
  v = v128.load32_splat(tile, 4)
  c10 = madd(v, b0, c10); c11 = madd(v, b1, c11); c12 = madd(v, b2, c12); c13 = madd(v, b3, c13)
  v = v128.load32_splat(tile, 8)
  c20 = madd(v, b0, c20); c21 = madd(v, b1, c21); c22 = madd(v, b2, c22); c23 = madd(v, b3, c23)
  v = v128.load32_splat(tile, 12)
  c30 = madd(v, b0, c30); c31 = madd(v, b1, c31); c32 = madd(v, b2, c32); c33 = madd(v, b3, c33)
  v = v128.load32_splat(tile, 16)
  c40 = madd(v, b0, c40); c41 = madd(v, b1, c41); c42 = madd(v, b2, c42); c43 = madd(v, b3, c43)
  tile += 20; panel += 64
  for (; tile < end; tile += 40, panel += 128) {
    b0 = v128.load(panel); b1 = v128.load(panel, 16); b2 = v128.load(panel, 32); b3 = v128.load(panel, 48)
    v = v128.load32_splat(tile)
    c00 = madd(v, b0, c00); c01 = madd(v, b1, c01); c02 = madd(v, b2, c02); c03 = madd(v, b3, c03)
    v = v128.load32_splat(tile, 4)
    c10 = madd(v, b0, c10); c11 = madd(v, b1, c11); c12 = madd(v, b2, c12); c13 = madd(v, b3, c13)
    v = v128.load32_splat(tile, 8)
    c20 = madd(v, b0, c20); c21 = madd(v, b1, c21); c22 = madd(v, b2, c22); c23 = madd(v, b3, c23)
    v = v128.load32_splat(tile, 12)
    c30 = madd(v, b0, c30); c31 = madd(v, b1, c31); c32 = madd(v, b2, c32); c33 = madd(v, b3, c33)
    v = v128.load32_splat(tile, 16)
    c40 = madd(v, b0, c40); c41 = madd(v, b1, c41); c42 = madd(v, b2, c42); c43 = madd(v, b3, c43)
    if (tile >= last) break
    b0 = v128.load(panel, 64); b1 = v128.load(panel, 80); b2 = v128.load(panel, 96); b3 = v128.load(panel, 112)
    v = v128.load32_splat(tile, 20)
    c00 = madd(v, b0, c00); c01 = madd(v, b1, c01); c02 = madd(v, b2, c02); c03 = madd(v, b3, c03)
    v = v128.load32_splat(tile, 24)
    c10 = madd(v, b0, c10); c11 = madd(v, b1, c11); c12 = madd(v, b2, c12); c13 = madd(v, b3, c13)
    v = v128.load32_splat(tile, 28)
    c20 = madd(v, b0, c20); c21 = madd(v, b1, c21); c22 = madd(v, b2, c22); c23 = madd(v, b3, c23)
    v = v128.load32_splat(tile, 32)
    c30 = madd(v, b0, c30); c31 = madd(v, b1, c31); c32 = madd(v, b2, c32); c33 = madd(v, b3, c33)
    v = v128.load32_splat(tile, 36)
    c40 = madd(v, b0, c40); c41 = madd(v, b1, c41); c42 = madd(v, b2, c42); c43 = madd(v, b3, c43)
  }
  v128.store(c, c00); v128.store(c, c01, 16); v128.store(c, c02, 32); v128.store(c, c03, 48)
  v128.store(r1, c10); v128.store(r1, c11, 16); v128.store(r1, c12, 32); v128.store(r1, c13, 48)
  v128.store(r2, c20); v128.store(r2, c21, 16); v128.store(r2, c22, 32); v128.store(r2, c23, 48)
  v128.store(r3, c30); v128.store(r3, c31, 16); v128.store(r3, c32, 32); v128.store(r3, c33, 48)
  v128.store(r4, c40); v128.store(r4, c41, 16); v128.store(r4, c42, 32); v128.store(r4, c43, 48)
}
