/** Storage formats: every half, every bf16, ties and overflow, int8 rows at their edges, and widening in place. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { KernelExports } from '../../runtime/kernel/abi.ts'
import { LENGTHS } from '../../runtime/cases/case.ts'
import { quantize } from '../../runtime/cases/convert.ts'
import { BUILDS } from '../kernels.ts'
import { drawn, drawnIntegers, mapVector, openArena } from './arena.ts'
import { halfValue, nearestHalf } from './half.ts'

const COUNT = 65536
const LARGEST = 3.4028234663852886e38
const HALVES = Uint16Array.from({ length: COUNT }, (_, half) => half)
const isNaNHalf = (half: number) => (half & 0x7fff) > 0x7c00

/** The f32 next to `value`, away from zero (+1) or towards it (−1). */
function neighbour(value: number, direction: 1 | -1): number {
  const bits = new Int32Array(Float32Array.of(value).buffer)
  bits[0] += direction
  return new Float32Array(bits.buffer)[0]
}

for (const build of BUILDS) {
  const arena = await openArena(build)
  const { kernel, memory } = arena
  const widen = (halves: Uint16Array) => mapVector(arena, (kernel, out, x, n) => kernel.widenF16(out, x, n), halves, 'f32')
  const narrow = (values: readonly number[] | Float32Array) =>
    mapVector(arena, (kernel, out, x, n) => kernel.narrowF16(out, x, n), Float32Array.from(values), 'u16')

  test(`${build}: every half widens exactly and narrows back to itself`, () => {
    const wide = widen(HALVES)
    const back = narrow(wide)
    for (let half = 0; half < COUNT; half++) {
      assert.ok(Object.is(wide[half], halfValue(half)), `${half}: expected ${halfValue(half)}, got ${wide[half]}`)
      if (isNaNHalf(half)) assert.is(back[half], (half & 0x8000) | 0x7e00)
      else assert.is(back[half], half)
    }
  })

  test(`${build}: halfway between two halves goes to the even one, its neighbours to the nearest`, () => {
    const middles = Float32Array.from({ length: 0x7bff }, (_, half) => (halfValue(half) + halfValue(half + 1)) / 2)
    const at = [middles, middles.map((middle) => neighbour(middle, -1)), middles.map((middle) => neighbour(middle, 1))].map(narrow)
    const negative = narrow(middles.map((middle) => -middle))
    middles.forEach((middle, half) => {
      assert.equal([at[0][half], at[1][half], at[2][half]], [half + (half & 1), half, half + 1], `${middle}`)
      assert.is(negative[half], (half + (half & 1)) | 0x8000)
    })
  })

  test(`${build}: beyond the halves`, () => {
    const cases: [value: number, half: number][] = [
      [65504, 0x7bff], [neighbour(65520, -1), 0x7bff], [65520, 0x7c00], [65536, 0x7c00], [LARGEST, 0x7c00], [Infinity, 0x7c00],
      [-65520, 0xfc00], [-Infinity, 0xfc00], [2 ** -25, 0], [neighbour(2 ** -25, 1), 1], [1.4e-45, 0], [-1.4e-45, 0x8000], [0, 0], [-0, 0x8000],
      [2 ** -14, 0x400], [neighbour(2 ** -14, -1), 0x400], [1, 0x3c00], [-2, 0xc000], [NaN, 0x7e00],
    ]
    assert.equal([...narrow(cases.map(([value]) => value))], cases.map(([, half]) => half))
    cases.slice(0, -1).forEach(([value, half]) => assert.is(nearestHalf(value), half, `reference at ${value}`))
  })

  test(`${build}: every bf16 is the upper half of an f32`, () => {
    const wide = mapVector(arena, (kernel, out, x, n) => kernel.widenBF16(out, x, n), HALVES, 'u32')
    wide.forEach((bits, brain) => { if (bits !== brain * COUNT) assert.unreachable(`${brain}: expected ${brain * COUNT}, got ${bits}`) })
  })

  test(`${build}: widening in place, from the upper end`, () => {
    const address = 68
    const place = (bytes: Uint8Array, count: number) => {
      const at = address + 4 * count - bytes.length
      new Uint8Array(memory.buffer, at, bytes.length).set(bytes)
      return at
    }
    const wide = (count: number) => new Float32Array(memory.buffer, address, count).slice()
    for (const n of LENGTHS) {
      const finite = Uint16Array.from(drawnIntegers(n, 0x7c00, 'in place'))
      const bytes = new Uint8Array(finite.buffer)
      kernel.widenF16(address, place(bytes, n), n)
      assert.equal(wide(n), Float32Array.from(finite, halfValue))
      kernel.widenBF16(address, place(bytes, n), n)
      assert.equal(wide(n), new Float32Array(Int32Array.from(finite, (bits) => bits << 16).buffer))
    }
    for (const [N, C] of [[1, 1], [3, 7], [5, 16], [2, 67]]) {
      const q = Int8Array.from(drawnIntegers(N * C, 255, 'in place'), (value) => value - 127)
      const scales = Float32Array.from(drawn(N, 'in place'))
      const scalesAt = address + 4 * N * C + 4
      new Float32Array(memory.buffer, scalesAt, N).set(scales)
      kernel.dequantizeRows(address, place(new Uint8Array(q.buffer), N * C), scalesAt, N, C)
      assert.equal(wide(N * C), Float32Array.from(q, (value, i) => value * scales[Math.floor(i / C)]))
    }
  })

  test(`${build}: int8 rows, ties to even, clamped, tiny and huge`, () => {
    const rows = [
      [127, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5], [0, 0, -0, 0, 0, 0, 0], [LARGEST, -LARGEST, 1, 0, 1e38, -1e38, 2e38],
      [1e-45, -1e-45, 0, 0, 0, 0, 0], [2e-43, -2e-43, 1e-43, -1e-43, 0, 1e-45, 3e-44], [1e-38, -1e-38, 5e-39, 0, 1e-40, 0, 0],
    ]
    const N = rows.length, C = 7
    const x = Float32Array.from(rows.flat())
    const { q, scales } = quantizeBy(kernel, memory, x, N, C)
    const expected = quantize(Float64Array.from(x), N, C)
    assert.equal([...q], [...expected.q])
    assert.equal([...scales], [...expected.scales])
    assert.equal([...q.subarray(0, C)], [127, 0, 2, 2, 0, -2, -2])
    assert.equal([...q.subarray(2 * C, 2 * C + 2)], [127, -127])
    assert.is(scales[1], 0)
  })

  test(`${build}: int8 errs by at most half a step`, () => {
    const N = 13, C = 67
    const x = Float32Array.from(drawn(N * C, 'half a step', 5))
    const { q, scales } = quantizeBy(kernel, memory, x, N, C)
    x.forEach((value, i) => {
      const step = scales[Math.floor(i / C)]
      assert.ok(Math.abs(q[i] * step - value) <= step * 0.50001, `${value} became ${q[i] * step}`)
    })
  })
}

function quantizeBy(kernel: KernelExports, memory: WebAssembly.Memory, x: Float32Array, N: number, C: number) {
  const scales = 64, from = scales + 4 * N, out = from + 4 * N * C
  new Float32Array(memory.buffer, from, N * C).set(x)
  kernel.quantizeRows(out, scales, from, N, C)
  return { q: new Int8Array(memory.buffer, out, N * C).slice(), scales: new Float32Array(memory.buffer, scales, N).slice() }
}

test.run()
