/** Cases of assembly/embedding.ts: words, positions and types that several rows share. */
import { offsetsOf } from './attention.ts'
import type { WeightFormat } from '../kernel/format.ts'
import { formatCode } from '../kernel/format.ts'
import type { Case, Slots } from './case.ts'
import { input, kernelCase, output, running } from './case.ts'
import { drawMatrix } from './matrix.ts'
import { draw, drawIntegers, list, read, readIntegers } from './source.ts'

const SIZES = [
  { lengths: [], V: 3, C: 4 },
  { lengths: [1], V: 1, C: 1 },
  { lengths: [3, 0, 5], V: 4, C: 7 },
  { lengths: [2, 7, 4], V: 11, C: 13 },
  { lengths: [9, 20], V: 30, C: 768 },
] as const
const TYPES = 2

/** V words, P positions; `typed`: with a type for each row. Tables in a narrow format are frozen. */
export type EmbeddingSizes = { lengths: readonly number[]; V: number; C: number; P?: number; typed?: boolean; format?: WeightFormat }

const nameSizes = ({ lengths, V, C, typed, format }: EmbeddingSizes) =>
  `lengths=${lengths} V=${V} C=${C}${typed ? ' typed' : ''}${format ? ` ${format}` : ''}`

/** `types` [N] are passed, or none. */
function indicesOf({ lengths, V, typed = false }: EmbeddingSizes) {
  const offsets = offsetsOf(lengths)
  const N = offsets[lengths.length]
  const ids = drawIntegers(N, V, 'ids')
  const types = typed ? drawIntegers(N, TYPES, 'types') : list(new Int32Array(N))
  return {
    N, S: lengths.length, slots: { ids: input(ids, 'i32'), types: input(types, 'i32'), offsets: input(list(offsets), 'i32') },
    batch: () => ({ ids: readIntegers(ids), types: readIntegers(types), offsets }),
  }
}

export function embeddingCase(sizes: EmbeddingSizes): Case {
  const { lengths, V, C, P = Math.max(1, ...lengths), typed, format } = sizes
  const { N, S, slots, batch } = indicesOf(sizes)
  const tables = { word: drawMatrix(V, C, 'word', format, 'wordScales'), position: drawMatrix(P, C, 'position', format, 'positionScales'),
    type: drawMatrix(TYPES, C, 'type', format, 'typeScales') }
  return kernelCase({
    operation: 'embedding', sizes: nameSizes(sizes), tolerance: 2e-7, floor: 1,
    slots: { out: output(N * C), ...slots, ...tables.word.slots, ...tables.position.slots, ...tables.type.slots } as Slots,
    call: (kernel, at) => kernel.embedding(
      at.out, at.ids, typed ? at.types : 0, at.offsets, at.word, at.position, at.type, formatCode(format ?? 'f32'),
      at.wordScales ?? 0, at.positionScales ?? 0, at.typeScales ?? 0, S, C),
    expect: (oracle) => ({ out: oracle.embed(tables.word.read(oracle), tables.position.read(oracle), tables.type.read(oracle), batch(), C) }),
  })
}

function backwardCase(sizes: EmbeddingSizes): Case {
  const { lengths, V, C, P = Math.max(1, ...lengths), typed } = sizes
  const { N, S, slots, batch } = indicesOf(sizes)
  const word = draw(V * C, 'word'), position = draw(P * C, 'position'), type = draw(TYPES * C, 'type'), dOut = draw(N * C, 'dOut')
  const start = { dWord: draw(V * C, 'dWord'), dPosition: draw(P * C, 'dPosition'), dType: draw(TYPES * C, 'dType') }
  return kernelCase({
    operation: 'embeddingBackward', sizes: nameSizes(sizes), tolerance: 1e-6, floor: 1,
    slots: { dWord: running(start.dWord), dPosition: running(start.dPosition), dType: running(start.dType), dOut: input(dOut), ...slots },
    call: (kernel, at) => kernel.embeddingBackward(at.dWord, at.dPosition, at.dType, at.dOut, at.ids, typed ? at.types : 0, at.offsets, S, C),
    expect(oracle) {
      const moved = { dWord: read(word), dPosition: read(position), dType: read(type) }
      const before = { dWord: read(start.dWord), dPosition: read(start.dPosition), dType: read(start.dType) }
      const forward = () => oracle.embed(moved.dWord, moved.dPosition, moved.dType, batch(), C)
      return oracle.gradients(forward, read(dOut), moved, before, C > 100 ? 12 : 40)
    },
  })
}

export const listEmbedding = (): Case[] => [
  ...SIZES.flatMap((sizes) => [true, false].flatMap((typed) => [embeddingCase({ ...sizes, typed }), backwardCase({ ...sizes, typed })])),
  ...(['f16', 'int8'] as const).flatMap((format) => [1, 3, 4, 13, 64].map((C) => embeddingCase({ lengths: [3, 0, 4], V: 11, C, typed: true, format }))),
]
