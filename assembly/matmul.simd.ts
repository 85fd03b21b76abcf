/**
 * The SIMD product, blocked for caches (Goto & van de Geijn 2008): a block of b, packed in panels, stays in the second
 * cache while blocks of a, packed in tiles, pass it by; one panel stays in the first cache while a block's tiles pass it.
 * Between blocks of k a tile of c rests in memory as f32, which changes no bits.
 */
import { FORMAT_F16, FORMAT_F32, FORMAT_PANELS } from './format'
import { packPanels, packTile } from './matmul.pack'
import { multiplyTile3x12, multiplyTile4x8, multiplyTile5x16, multiplyTile6x8 } from './matmul.tile'
import { barrier, nextUnit, threadCount } from './team'

const K_BLOCK: i32 = 256 // panel of 16 columns 16 KB, tile of 5 rows 5 KB: both stay in a 32 KB first cache
const M_BLOCK: i32 = 60 // a multiple of every tile's rows: 60 KB
const N_BLOCK: i32 = 768 // a multiple of every tile's columns: 768 KB; a is packed once for each block of columns
/** What a thread of a team takes at a time: so many tiles of a, or columns of b (a multiple of every tile's). */
const UNIT_TILES: i32 = 6
const UNIT_COLUMNS: i32 = 48
const ROWS_MAX: i32 = 6
const COLUMNS_MAX: i32 = 16
const EDGE_BYTES: i32 = 4 * ROWS_MAX * COLUMNS_MAX
const ZEROS_BYTES: i32 = 4 * COLUMNS_MAX // a row for sums that begin at zero
const BLOCK_BYTES: i32 = 4 * M_BLOCK * K_BLOCK

/** The tiles to choose from. */
const TILE_4X8: i32 = 0
const TILE_6X8: i32 = 1
const TILE_3X12: i32 = 2
const TILE_5X16: i32 = 3
const TILES: i32 = 4

let tile: i32 = 0

/** How many tiles `setTile` knows. */
export function countTiles(): i32 {
  return TILES
}

/** Chooses this instance's tile, 0 … countTiles() − 1; others leave it as it is. */
export function setTileSimd(index: i32): void {
  if (index >= 0 && index < TILES) tile = index
}

@inline function heightOf(kind: i32): i32 {
  return kind == TILE_5X16 ? 5 : kind == TILE_3X12 ? 3 : kind == TILE_6X8 ? 6 : 4
}

@inline function widthOf(kind: i32): i32 {
  return kind == TILE_5X16 ? 16 : kind == TILE_3X12 ? 12 : 8
}

/** Columns of this instance's tile. */
export function tileColumnsSimd(): i32 {
  return widthOf(tile)
}

/** out = one panel [depth][columns] of rows x [columns, depth]. */
export function packPanelSimd(out: usize, x: usize, depth: i32): void {
  const width = widthOf(tile)
  packPanels(out, x, 1, depth, depth, width, width, 0, 0, 0)
}

// Sizes are the same for every tile, so that a plan does not depend on the host.

/** Panels of a block of b. */
function productPanelsBytes(columns: i32): i32 {
  return 4 * K_BLOCK * min(N_BLOCK, columns + COLUMNS_MAX - 1)
}

export function productSimdScratchBytes(columns: i32): i32 {
  return EDGE_BYTES + ZEROS_BYTES + BLOCK_BYTES + productPanelsBytes(columns)
}

/** What a team shares: a block's panels, and the next's. */
export function productSimdSharedBytes(columns: i32): i32 {
  return 2 * productPanelsBytes(columns)
}

@inline function multiplyTile(kind: i32, c: usize, cRow: usize, from: usize, fromRow: usize, a: usize, b: usize, depth: i32): void {
  if (kind == TILE_5X16) multiplyTile5x16(c, cRow, from, fromRow, a, b, depth)
  else if (kind == TILE_3X12) multiplyTile3x12(c, cRow, from, fromRow, a, b, depth)
  else if (kind == TILE_6X8) multiplyTile6x8(c, cRow, from, fromRow, a, b, depth)
  else multiplyTile4x8(c, cRow, from, fromRow, a, b, depth)
}

/**
 * As `productFrom` in matmul.ts, with b in `format`. shared: 0, or panels in which a whole team multiplies together: all its
 * threads come here with the same arguments but scratch, and none goes on before c is done.
 */
export function productSimd(
  c: usize, cRow: i32, from: usize, fromRow: i32,
  a: usize, aRow: i32, aColumn: i32,
  b: usize, bRow: i32, bColumn: i32, format: i32, scales: usize, scaleColumns: i32,
  M: i32, N: i32, K: i32, shared: usize, scratch: usize
): void {
  const packed = format == FORMAT_PANELS
  // More columns would be idle where there are but eight.
  const kind = N <= 8 && tile >= TILE_3X12 && !packed ? TILE_4X8 : tile
  const height = heightOf(kind)
  const width = widthOf(kind)
  const zeros = scratch + EDGE_BYTES
  memory.fill(zeros, 0, ZEROS_BYTES)
  const block = zeros + ZEROS_BYTES
  const panels = shared ? shared : block + BLOCK_BYTES
  const size = format == FORMAT_F32 ? 4 : format == FORMAT_F16 ? 2 : 1
  const tiles = (M + height - 1) / height
  const parts = shared ? threadCount() : 1
  const unitTiles = shared ? UNIT_TILES : M_BLOCK / height
  const units = (tiles + unitTiles * parts - 1) / (unitTiles * parts) * parts
  const panelsBytes = usize(productPanelsBytes(N))
  let buffer: usize = 0
  if (shared) {
    barrier()
    if (!packed) {
      const columns = min(N_BLOCK, N)
      for (let unit = nextUnit(true, -1); unit * UNIT_COLUMNS < columns; unit = nextUnit(true, unit)) {
        const at = unit * UNIT_COLUMNS
        const count = min(UNIT_COLUMNS, columns - at)
        packColumns(panels, b, bRow, bColumn, format, size, scales, scaleColumns, 0, 0, min(K_BLOCK, K), at, count, width)
      }
      barrier()
    }
  }
  for (let j = 0; j < N; j += N_BLOCK) {
    const columns = min(N_BLOCK, N - j)
    for (let k = 0; k < K; k += K_BLOCK) {
      const depth = min(K_BLOCK, K - k)
      if (!packed && !shared) packColumns(panels, b, bRow, bColumn, format, size, scales, scaleColumns, j, k, depth, 0, columns, width)
      const panel = packed ? b + (usize(j * K + k * width) << 2) : panels + buffer
      const panelBytes = usize((packed ? K : depth) * width) << 2
      const start = k > 0 ? c : from
      const startRow = k > 0 ? cRow : from ? fromRow : 0
      // A team packs the next block's panels meanwhile, so that it meets but once a block.
      const nextJ = k + K_BLOCK < K ? j : j + N_BLOCK, nextK = k + K_BLOCK < K ? k + K_BLOCK : 0
      const nextColumns = shared && !packed ? max(0, min(N_BLOCK, N - nextJ)) : 0
      const packs = (nextColumns + UNIT_COLUMNS - 1) / UNIT_COLUMNS
      const nextPanels = panels + (panelsBytes - buffer)
      for (let taken = nextUnit(shared != 0, -1); taken < packs + units; taken = nextUnit(shared != 0, taken)) {
        if (taken < packs) {
          const at = taken * UNIT_COLUMNS
          packColumns(nextPanels, b, bRow, bColumn, format, size, scales, scaleColumns, nextJ, nextK, min(K_BLOCK, K - nextK),
            at, min(UNIT_COLUMNS, nextColumns - at), width)
          continue
        }
        const unit = taken - packs
        const i = unitBegin(tiles, unit, units) * height
        const rows = min(M, unitBegin(tiles, unit + 1, units) * height) - i
        packBlock(block, a + (usize(i * aRow + k * aColumn) << 2), aRow, aColumn, depth, rows, height)
        multiplyBlock(c + (usize(i * cRow + j) << 2), usize(cRow) << 2,
          start ? start + (usize(i * startRow + j) << 2) : 0, usize(startRow) << 2,
          block, panel, panelBytes, rows, columns, depth, kind, height, width, scratch)
      }
      if (shared) {
        barrier()
        buffer = panelsBytes - buffer
      }
    }
  }
}

/** The tile with which a unit begins. */
@inline function unitBegin(tiles: i32, unit: i32, units: i32): i32 {
  return i32(i64(tiles) * unit / units)
}

/** Columns [at, at + columns) of b's block that begins at row k and column j → their place in the block's panels. */
@inline function packColumns(
  panels: usize, b: usize, bRow: i32, bColumn: i32, format: i32, size: i32, scales: usize, scaleColumns: i32,
  j: i32, k: i32, depth: i32, at: i32, columns: i32, width: i32
): void {
  packPanels(panels + (usize(at * depth) << 2), b + usize(k * bRow + (j + at) * bColumn) * size, bRow, bColumn, depth, columns, width,
    format, scales + (usize(scaleColumns ? j + at : k) << 2), scaleColumns)
}

function packBlock(out: usize, a: usize, aRow: i32, aColumn: i32, depth: i32, rows: i32, height: i32): void {
  for (let i = 0; i < rows; i += height, out += usize(depth * height) << 2) {
    packTile(out, a + (usize(i * aRow) << 2), aRow, aColumn, depth, min(height, rows - i), height)
  }
}

/** c [rows, columns] of one block of a and one of b; a tile at the edge is computed whole, aside. */
function multiplyBlock(
  c: usize, cRow: usize, from: usize, fromRow: usize, block: usize, panel: usize, panelBytes: usize,
  rows: i32, columns: i32, depth: i32, kind: i32, height: i32, width: i32, edge: usize
): void {
  const edgeRow = usize(width) << 2
  const zeros = edge + EDGE_BYTES
  for (let j = 0; j < columns; j += width, panel += panelBytes) {
    let a = block
    for (let i = 0; i < rows; i += height, a += usize(depth * height) << 2) {
      const offset = usize(j) << 2
      const out = c + usize(i) * cRow + offset
      const start = from ? from + usize(i) * fromRow + offset : zeros
      const tileRows = min(height, rows - i), tileColumns = min(width, columns - j)
      if (tileRows == height && tileColumns == width) {
        multiplyTile(kind, out, cRow, start, fromRow, a, panel, depth)
      } else {
        copyTile(edge, edgeRow, start, fromRow, tileRows, tileColumns)
        multiplyTile(kind, edge, edgeRow, edge, edgeRow, a, panel, depth)
        copyTile(out, cRow, edge, edgeRow, tileRows, tileColumns)
      }
    }
  }
}

function copyTile(out: usize, outRow: usize, x: usize, xRow: usize, rows: i32, columns: i32): void {
  for (let i = 0; i < rows; i++, out += outRow, x += xRow) memory.copy(out, x, usize(columns) << 2)
}
