/**
 * Which samples a client's step uses: item k of the endless sequence belongs to epoch
 * ⌊k / n⌋, whose order is a permutation drawn from (seed, client, epoch) alone. A step
 * can so be computed again without the steps before it.
 */
import type { TokenizedDataset } from './dataset.ts'
import { createRandom, permute } from '../random.ts'

/** A batch as a stage from block 0 and a loss need it. */
export type LabelledBatch = { offsets: Int32Array; ids: Int32Array; labels: Int32Array }

export type Sampler = { batch(step: number): LabelledBatch }

const EPOCHS_MAX = 1 << 20

export function createSampler(data: TokenizedDataset, size: number, seed: number, client: number, shuffle: boolean): Sampler {
  const n = data.sequences.length
  let orderEpoch = -1
  let order: Int32Array = new Int32Array(0)
  const indexAt = (item: number): number => {
    const epoch = Math.floor(item / n)
    if (!shuffle) return item % n
    if (epoch !== orderEpoch) {
      order = permute(n, createRandom(seed, 'shuffle', client * EPOCHS_MAX + epoch))
      orderEpoch = epoch
    }
    return order[item % n]
  }
  return {
    batch(step) {
      const indices = Array.from({ length: size }, (_, index) => indexAt(step * size + index))
      return collectBatch(data, indices)
    },
  }
}

/** The ragged batch of the given samples. */
export function collectBatch(data: TokenizedDataset, indices: readonly number[]): LabelledBatch {
  const offsets = new Int32Array(indices.length + 1)
  indices.forEach((sample, index) => { offsets[index + 1] = offsets[index] + data.sequences[sample].length })
  const ids = new Int32Array(offsets[indices.length])
  indices.forEach((sample, index) => ids.set(data.sequences[sample], offsets[index]))
  return { offsets, ids, labels: Int32Array.from(indices, (sample) => data.labels[sample]) }
}

/**
 * Rows that no batch of `size` samples exceeds. A batch may take the end of one epoch and the beginning of the next, and
 * each of the two may hold the longest samples. Where a batch begins is a multiple of the common divisor of size and data.
 */
export function rowsMax(data: TokenizedDataset, size: number): number {
  const n = data.sequences.length
  const longest = [0]
  const lengths = data.sequences.map((sequence) => sequence.length).sort((a, b) => b - a)
  for (const length of lengths) longest.push(longest[longest.length - 1] + length)
  let rows = 0
  for (let first = 0; first < n && first <= size; first += commonDivisor(size, n)) {
    const rest = size - first
    rows = Math.max(rows, longest[first] + Math.floor(rest / n) * longest[n] + longest[rest % n])
  }
  return rows
}

function commonDivisor(a: number, b: number): number {
  return b === 0 ? a : commonDivisor(b, a % b)
}

/** Tokens of the longest text, and 1 where there is none: a memory plan needs a row. */
export function longestOf({ sequences }: TokenizedDataset): number {
  return sequences.reduce((top, { length }) => Math.max(top, length), 1)
}
