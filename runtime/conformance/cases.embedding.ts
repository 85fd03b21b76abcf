/** Cases of assembly/embedding.ts: words, positions and types that several rows share. */
import { offsetsOf } from './cases.attention.ts'
import type { Case } from './case.ts'
import { input, kernelCase, output, running } from './case.ts'
import { draw, drawIntegers, list, read, readIntegers } from './source.ts'

const SIZES = [
  { lengths: [], V: 3, C: 4 },
  { lengths: [1], V: 1, C: 1 },
  { lengths: [3, 0, 5], V: 4, C: 7 },
  { lengths: [2, 7, 4], V: 11, C: 13 },
  { lengths: [9, 20], V: 30, C: 768 },
] as const
const TYPES = 2

function directions(lengths: readonly number[], V: number, C: number, typed: boolean): Case[] {
  const offsets = offsetsOf(lengths)
  const S = lengths.length, N = offsets[S]
  const positions = Math.max(1, ...lengths)
  const word = draw(V * C, 'word'), position = draw(positions * C, 'position'), type = draw(TYPES * C, 'type'), dOut = draw(N * C, 'dOut')
  const start = { dWord: draw(V * C, 'dWord'), dPosition: draw(positions * C, 'dPosition'), dType: draw(TYPES * C, 'dType') }
  const ids = drawIntegers(N, V, 'ids')
  const types = typed ? drawIntegers(N, TYPES, 'types') : list(new Int32Array(N))
  const indices = { ids: input(ids, 'i32'), types: input(types, 'i32'), offsets: input(list(offsets), 'i32') }
  const batch = () => ({ ids: readIntegers(ids), types: readIntegers(types), offsets })
  const sizes = `lengths=${lengths} V=${V} C=${C}${typed ? ' typed' : ''}`
  return [
    kernelCase({
      operation: 'embedding', sizes, tolerance: 2e-7, floor: 1,
      slots: { out: output(N * C), ...indices, word: input(word), position: input(position), type: input(type) },
      call: (kernel, at) => kernel.embedding(at.out, at.ids, typed ? at.types : 0, at.offsets, at.word, at.position, at.type, 0, 0, 0, 0, S, C),
      expect: (oracle) => ({ out: oracle.embed(read(word), read(position), read(type), batch(), C) }),
    }),
    kernelCase({
      operation: 'embeddingBackward', sizes, tolerance: 1e-6, floor: 1,
      slots: { dWord: running(start.dWord), dPosition: running(start.dPosition), dType: running(start.dType), dOut: input(dOut), ...indices },
      call: (kernel, at) => kernel.embeddingBackward(at.dWord, at.dPosition, at.dType, at.dOut, at.ids, typed ? at.types : 0, at.offsets, S, C),
      expect(oracle) {
        const moved = { dWord: read(word), dPosition: read(position), dType: read(type) }
        const before = { dWord: read(start.dWord), dPosition: read(start.dPosition), dType: read(start.dType) }
        const forward = () => oracle.embed(moved.dWord, moved.dPosition, moved.dType, batch(), C)
        return oracle.gradients(forward, read(dOut), moved, before, C > 100 ? 12 : 40)
      },
    }),
  ]
}

export const EMBEDDING: readonly Case[] = SIZES.flatMap(({ lengths, V, C }) => [true, false].flatMap((typed) => directions(lengths, V, C, typed)))
