/** Cases of assembly/attention.ts: ragged batches with sequences of no, one and many rows, heads of odd width. */
import type { Case } from './case.ts'
import { input, kernelCase, output, scratch } from './case.ts'
import type { Oracle } from './oracle.ts'
import { draw, list, read } from './source.ts'

/** Rows of each sequence, heads, width of a head, and the longest sequence that scratch allows for. */
export type AttentionSizes = { lengths: readonly number[]; H: number; D: number; T: number }

const SIZES: readonly AttentionSizes[] = [
  { lengths: [], H: 1, D: 1, T: 1 },
  { lengths: [1], H: 1, D: 1, T: 1 },
  { lengths: [0, 3, 0], H: 2, D: 3, T: 3 },
  { lengths: [5, 1, 7], H: 3, D: 5, T: 7 },
  { lengths: [2, 9, 4], H: 2, D: 8, T: 11 },
  { lengths: [17, 13], H: 1, D: 16, T: 17 },
  { lengths: [23, 41], H: 2, D: 64, T: 41 },
  // Packs more than the columns of D alone: scratch must be sized by the longer of T and D.
  { lengths: [270], H: 1, D: 8, T: 270 },
  // BERT-base's heads.
  { lengths: [33, 64], H: 12, D: 64, T: 128 },
]

/** offsets [S + 1] of sequences of these lengths. */
export function offsetsOf(lengths: readonly number[]): Int32Array {
  let row = 0
  return Int32Array.from([0, ...lengths.map((length) => (row += length))])
}

export function attentionCases(sizes: AttentionSizes): Case[] {
  const { lengths, H, D, T } = sizes
  const offsets = offsetsOf(lengths)
  const S = lengths.length, C = H * D, size = offsets[S] * C
  const q = draw(size, 'q', 2), k = draw(size, 'k', 2), v = draw(size, 'v'), dOut = draw(size, 'dOut')
  const inputs = { q: input(q), k: input(k), v: input(v), offsets: input(list(offsets), 'i32') }
  const own = scratch((kernel) => kernel.attentionScratchBytes(T, D))
  const label = `lengths=${lengths} H=${H} D=${D} T=${T}`
  return [
    kernelCase({
      operation: 'attention', sizes: label, tolerance: 2e-6,
      slots: { out: output(size), ...inputs, scratch: own },
      call: (kernel, at) => kernel.attention(at.out, at.q, at.k, at.v, at.offsets, S, H, D, T, at.scratch),
      expect: (oracle) => ({ out: oracle.attention(read(q), read(k), read(v), offsets, C, H) }),
    }),
    kernelCase({
      operation: 'attentionBackward', sizes: label, tolerance: 2e-6, floor: 0.1,
      slots: { dq: output(size), dk: output(size), dv: output(size), dOut: input(dOut), ...inputs, scratch: own },
      call: (kernel, at) => kernel.attentionBackward(at.dq, at.dk, at.dv, at.dOut, at.q, at.k, at.v, at.offsets, S, H, D, T, at.scratch),
      expect(oracle: Oracle) {
        const [dq, dk, dv] = [q, k, v].map(read)
        const count = size > 50000 ? 2 : size > 2000 ? 8 : 40
        return oracle.gradients(() => oracle.attention(dq, dk, dv, offsets, C, H), read(dOut), { dq, dk, dv }, {}, count)
      },
    }),
  ]
}

export const ATTENTION: readonly Case[] = SIZES.flatMap(attentionCases)
