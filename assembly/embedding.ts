/**
 * BERT's embeddings (Devlin et al. 2018, section 3): out row = word[id] + position[p] + type[t],
 * p counted from the start of each sequence. LayerNorm follows as its own operation.
 * ids, types [N] i32 (types 0: every token is of type 0), offsets [S + 1] i32, out [N, C].
 */
import { add, addTo } from './elementwise'

export function embedding(
  out: usize, ids: usize, types: usize, offsets: usize, word: usize, position: usize, type: usize, S: i32, C: i32
): void {
  const rowBytes = usize(C) << 2
  for (let s = 0; s < S; s++, offsets += 4) {
    const first = load<i32>(offsets), end = load<i32>(offsets, 4)
    for (let row = first; row < end; row++, out += rowBytes) {
      const token = usize(row) << 2
      addTo(out, word + usize(load<u32>(ids + token)) * rowBytes, position + usize(row - first) * rowBytes, C)
      add(out, type + (types ? usize(load<u32>(types + token)) * rowBytes : 0), C)
    }
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
