/**
 * BERT's embeddings (Devlin et al. 2018, section 3): out row = word[id] + position[p] + type[t],
 * p counted from the start of each sequence. LayerNorm follows as its own operation.
 * ids, types [N] i32 (types 0: every token is of type 0), offsets [S + 1] i32, out [N, C].
 * The tables are stored in `format`, for i8 with a scale for each row.
 */
import { add } from './elementwise'
import { FORMAT_F16, FORMAT_I8, readFour, readOne } from './format'

export function embedding(
  out: usize, ids: usize, types: usize, offsets: usize, word: usize, position: usize, type: usize,
  format: i32, wordScales: usize, positionScales: usize, typeScales: usize, S: i32, C: i32
): void {
  if (format == FORMAT_I8) embeddingOf<i8>(out, ids, types, offsets, word, position, type, wordScales, positionScales, typeScales, S, C)
  else if (format == FORMAT_F16) embeddingOf<u16>(out, ids, types, offsets, word, position, type, 0, 0, 0, S, C)
  else embeddingOf<f32>(out, ids, types, offsets, word, position, type, 0, 0, 0, S, C)
}

function embeddingOf<T>(
  out: usize, ids: usize, types: usize, offsets: usize, word: usize, position: usize, type: usize,
  wordScales: usize, positionScales: usize, typeScales: usize, S: i32, C: i32
): void {
  for (let s = 0; s < S; s++, offsets += 4) {
    const first = load<i32>(offsets), end = load<i32>(offsets, 4)
    for (let row = first; row < end; row++, out += usize(C) << 2) {
      const token = usize(row) << 2
      const id = load<u32>(ids + token), kind = types ? load<u32>(types + token) : 0
      sumRows<T>(out, rowOf<T>(word, id, C), rowOf<T>(position, row - first, C), rowOf<T>(type, kind, C),
        scaleOf<T>(wordScales, id), scaleOf<T>(positionScales, row - first), scaleOf<T>(typeScales, kind), C)
    }
  }
}

@inline function rowOf<T>(table: usize, row: u32, C: i32): usize {
  return table + usize(row) * usize(C) * sizeof<T>()
}

@inline function scaleOf<T>(scales: usize, row: u32): f32 {
  return sizeof<T>() == 1 ? load<f32>(scales + (usize(row) << 2)) : 0
}

/** out [C] = (x + y) + z. */
function sumRows<T>(out: usize, x: usize, y: usize, z: usize, xScale: f32, yScale: f32, zScale: f32, C: i32): void {
  let i = 0
  if (ASC_FEATURE_SIMD) {
    const a = f32x4.splat(xScale), b = f32x4.splat(yScale), c = f32x4.splat(zScale)
    for (; i + 4 <= C; i += 4, out += 16, x += 4 * sizeof<T>(), y += 4 * sizeof<T>(), z += 4 * sizeof<T>()) {
      v128.store(out, f32x4.add(f32x4.add(readFour<T>(x, a), readFour<T>(y, b)), readFour<T>(z, c)))
    }
  }
  for (; i < C; i++, out += 4, x += sizeof<T>(), y += sizeof<T>(), z += sizeof<T>()) {
    store<f32>(out, (readOne<T>(x, xScale) + readOne<T>(y, yScale)) + readOne<T>(z, zScale))
  }
}

/** dWord, dPosition, dType += the rows of dOut [N, C] that read them, in row order. */
export function embeddingBackward(
  dWord: usize, dPosition: usize, dType: usize, dOut: usize, ids: usize, types: usize, offsets: usize, S: i32, C: i32
): void {
  const rowBytes = usize(C) << 2
  for (let s = 0; s < S; s++, offsets += 4) {
    const first = load<i32>(offsets), end = load<i32>(offsets, 4)
    for (let row = first; row < end; row++, dOut += rowBytes) {
      const token = usize(row) << 2
      add(dWord + usize(load<u32>(ids + token)) * rowBytes, dOut, C)
      add(dPosition + usize(row - first) * rowBytes, dOut, C)
      add(dType + (types ? usize(load<u32>(types + token)) * rowBytes : 0), dOut, C)
    }
  }
}
