/** Weights in f16 and int8: a layer that reads them as stored gives the bits of one that is handed their values in f32. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { WeightFormat } from '../../runtime/kernel/format.ts'
import { PANELS_CODE, formatCode } from '../../runtime/kernel/format.ts'
import { TILES } from '../../runtime/kernel/load.ts'
import { LINEAR_BYTES, writeLinear } from '../../runtime/kernel/records.ts'
import { BUILDS } from '../kernels.ts'
import { drawn, openArena, sameBytes } from './arena.ts'
import type { Arena } from './arena.ts'

/** N rows, O outputs, I inputs: the ends of vectors, tiles and blocks. */
const SIZES = [[1, 1, 1], [3, 5, 7], [5, 4, 4], [7, 1, 9], [2, 9, 1], [6, 17, 33], [4, 40, 300], [9, 300, 21], [13, 530, 64]]
const FORMATS: readonly WeightFormat[] = ['f16', 'int8']
const STEP_BYTES = 4 * 1024 * 1024

/** Addresses a step apart. */
const PLACES = ['record', 'weight', 'scales', 'values', 'x', 'y', 'dy', 'dx', 'bias', 'scratch'] as const
const at = Object.fromEntries(PLACES.map((place, index) => [place, STEP_BYTES * (index + 1)])) as Record<(typeof PLACES)[number], number>

function put(arena: Arena, address: number, values: ArrayLike<number>): void {
  new Float32Array(arena.memory.buffer, address, values.length).set(values)
}

function take(arena: Arena, address: number, bytes: number): Uint8Array {
  return new Uint8Array(arena.memory.buffer, address, bytes).slice()
}

/** Stores `values` [rows, width] in `format` and leaves what it means in f32 at `values`. */
function store({ kernel }: Arena, format: WeightFormat, rows: number, width: number): void {
  if (format === 'int8') {
    kernel.quantizeRows(at.weight, at.scales, at.values, rows, width)
    kernel.dequantizeRows(at.values, at.weight, at.scales, rows, width)
  } else {
    kernel.narrowF16(at.weight, at.values, rows * width)
    kernel.widenF16(at.values, at.weight, rows * width)
  }
}

function runLayer(arena: Arena, [N, O, I]: readonly number[], weight: number, format: WeightFormat): Uint8Array[] {
  const { kernel, memory } = arena
  writeLinear(memory.buffer, at.record, {
    weight, bias: at.bias, loraA: 0, loraB: 0, dWeight: 0, dBias: 0, dLoraA: 0, dLoraB: 0,
    inputs: I, outputs: O, rank: 0, scale: 0, format: formatCode(format), scales: at.scales,
  })
  kernel.linear(at.y, 0, at.x, at.record, N, at.scratch)
  kernel.linearBackward(at.dx, at.dy, at.x, 0, at.record, N, 0, at.scratch)
  return [take(arena, at.y, 4 * N * O), take(arena, at.dx, 4 * N * I)]
}

for (const build of BUILDS) {
  for (const tile of build === 'simd' ? TILES : TILES.slice(0, 1)) {
    const arena = await openArena(build, tile)
    for (const format of FORMATS) {
      test(`${build} ${tile}: a layer of ${format}`, () => {
        assert.ok(LINEAR_BYTES < STEP_BYTES)
        for (const sizes of SIZES) {
          const [N, O, I] = sizes
          put(arena, at.values, drawn(O * I, 'weight'))
          put(arena, at.x, drawn(N * I, 'x'))
          put(arena, at.dy, drawn(N * O, 'dy'))
          put(arena, at.bias, drawn(O, 'bias'))
          store(arena, format, O, I)
          const [y, dx] = runLayer(arena, sizes, at.values, 'f32')
          const [yStored, dxStored] = runLayer(arena, sizes, at.weight, format)
          assert.ok(sameBytes(yStored, y), `y of ${sizes}`)
          assert.ok(sameBytes(dxStored, dx), `dx of ${sizes}`)
        }
      })

      if (format === 'f16' && build === 'simd') test(`${build} ${tile}: a layer in panels of the tile`, () => {
        const columns = arena.kernel.tileColumns()
        for (const [N, panels, I] of [[1, 1, 1], [3, 2, 7], [7, 3, 256], [13, 5, 257], [6, 41, 300]]) {
          const O = panels * columns
          put(arena, at.values, drawn(O * I, 'weight'))
          put(arena, at.x, drawn(N * I, 'x'))
          put(arena, at.bias, drawn(O, 'bias'))
          for (let row = 0; row < O; row += columns) arena.kernel.packPanel(at.weight + 4 * row * I, at.values + 4 * row * I, I)
          const run = (weight: number, format: number) => {
            writeLinear(arena.memory.buffer, at.record, {
              weight, bias: at.bias, loraA: 0, loraB: 0, dWeight: 0, dBias: 0, dLoraA: 0, dLoraB: 0,
              inputs: I, outputs: O, rank: 0, scale: 0, format, scales: 0,
            })
            arena.kernel.linear(at.y, 0, at.x, at.record, N, at.scratch)
            return take(arena, at.y, 4 * N * O)
          }
          assert.ok(sameBytes(run(at.weight, PANELS_CODE), run(at.values, 0)), `${N} rows, ${panels} panels, depth ${I}`)
        }
      })

      test(`${build} ${tile}: embeddings of ${format}`, () => {
        for (const C of [1, 3, 4, 13, 64]) {
          const V = 11, lengths = [3, 0, 4], N = 7
          const i32 = new Int32Array(arena.memory.buffer)
          i32.set([4, 10, 0, 9, 9, 1, 2], at.x >> 2)
          i32.set([1, 0, 1, 1, 0, 0, 1], at.dy >> 2)
          i32.set([0, 3, 3, 7], at.bias >> 2)
          put(arena, at.values, drawn(V * C, 'tables'))
          store(arena, format, V, C)
          const run = (table: number, code: number) => {
            arena.kernel.embedding(at.y, at.x, at.dy, at.bias, table, table, table, code, at.scales, at.scales, at.scales, lengths.length, C)
            return take(arena, at.y, 4 * N * C)
          }
          assert.ok(sameBytes(run(at.weight, formatCode(format)), run(at.values, 0)), `width ${C}`)
        }
      })
    }
  }
}

test.run()
