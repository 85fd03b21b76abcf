/** Cases of assembly/convert.ts and crc32c.ts, all exact (every half and every rounding: convert.test.ts). */
import { crc32c } from '../wire/crc32c.ts'
import type { Case } from './case.ts'
import { LENGTHS, draw, drawIntegers, input, kernelCase, output } from './case.ts'
import { halfValue, nearestHalf } from './half.ts'

const { fround } = Math

/** The nearest integer, of two equally near ones the even. */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value)
  const over = value - floor
  return over < 0.5 || (over === 0.5 && floor % 2 === 0) ? floor : floor + 1
}

/** Row by row: scale = max|x| / 127, q = x / scale, both rounded to f32 as the kernel rounds them. */
export function quantize(x: Float64Array, N: number, C: number): { q: Float64Array; scales: Float64Array } {
  const scales = Float64Array.from({ length: N }, (_, n) =>
    fround(x.subarray(n * C, (n + 1) * C).reduce((largest, value) => Math.max(largest, Math.abs(value)), 0) / 127))
  const q = x.map((value, i) => {
    const scale = scales[Math.floor(i / C)]
    return scale > 0 ? Math.min(127, Math.max(-127, roundHalfEven(fround(value / scale)))) + 0 : 0
  })
  return { q, scales }
}

function halves(n: number): Case[] {
  const sizes = `n=${n}`
  // Below 0x7800 a half is neither infinite nor NaN, whatever its sign.
  const half = drawIntegers(n, 0x7800, 'half').map((bits, i) => (i % 3 ? bits : bits | 0x8000))
  const x = draw(n, 'x', 70000).map((value, i) => fround(value * 2 ** -(i % 40)))
  const brain = drawIntegers(n, 0x7f00, 'brain')
  return [
    kernelCase({
      operation: 'widenF16', sizes, tolerance: 0,
      slots: { out: output(n), x: input(half, 'u16') },
      call: (kernel, { out, x }) => kernel.widenF16(out, x, n),
      expect: () => ({ out: Float64Array.from(half, halfValue) }),
    }),
    kernelCase({
      operation: 'narrowF16', sizes, tolerance: 0,
      slots: { out: output(n, 'u16'), x: input(x) },
      call: (kernel, { out, x }) => kernel.narrowF16(out, x, n),
      expect: () => ({ out: x.map(nearestHalf) }),
    }),
    kernelCase({
      operation: 'widenBF16', sizes, tolerance: 0,
      slots: { out: output(n), x: input(brain, 'u16') },
      call: (kernel, { out, x }) => kernel.widenBF16(out, x, n),
      expect: () => ({ out: new Float32Array(Int32Array.from(brain, (bits) => bits << 16).buffer) }),
    }),
  ]
}

function bytes(N: number, C: number): Case[] {
  const sizes = `N=${N} C=${C}`
  // The first row is all zero.
  const x = draw(N * C, 'x', 3).map((value, i) => (i < C ? 0 : value))
  const q = drawIntegers(N * C, 255, 'q').map((value) => value - 127), scales = draw(N, 'scales')
  return [
    kernelCase({
      operation: 'quantizeRows', sizes, tolerance: 0,
      slots: { out: output(N * C, 'i8'), scales: output(N), x: input(x) },
      call: (kernel, { out, scales, x }) => kernel.quantizeRows(out, scales, x, N, C),
      expect: () => {
        const { q: out, scales } = quantize(x, N, C)
        return { out, scales }
      },
    }),
    kernelCase({
      operation: 'dequantizeRows', sizes, tolerance: 0,
      slots: { out: output(N * C), x: input(q, 'i8'), scales: input(scales) },
      call: (kernel, { out, x, scales }) => kernel.dequantizeRows(out, x, scales, N, C),
      expect: () => ({ out: Float64Array.from(q, (value, i) => fround(value * scales[Math.floor(i / C)])) }),
    }),
  ]
}

/** Four tables: what a byte becomes after one to four steps of eight shifts. */
function slicedTable(): Float64Array {
  return Float64Array.from({ length: 1024 }, (_, i) => {
    let crc = i & 255
    for (let bit = 0; bit < 8 * ((i >> 8) + 1); bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
    return crc >>> 0
  })
}

function checksum(n: number): Case {
  const x = drawIntegers(n, 256, 'bytes')
  return kernelCase({
    operation: 'crc32c', sizes: `n=${n}`, tolerance: 0,
    slots: { table: input(slicedTable(), 'u32'), x: input(x, 'u8') },
    call: (kernel, { table, x }) => kernel.crc32c(table, x, n, 0) >>> 0,
    expect: () => ({ result: [crc32c(Uint8Array.from(x))] }),
  })
}

export const CONVERT: readonly Case[] = [
  ...LENGTHS.flatMap(halves),
  ...[[0, 5], [1, 0], [1, 1], [3, 7], [7, 13], [2, 768]].flatMap(([N, C]) => bytes(N, C)),
  kernelCase({
    operation: 'crc32cTable', sizes: '4×256', tolerance: 0,
    slots: { table: output(1024, 'u32') },
    call: (kernel, { table }) => kernel.crc32cTable(table),
    expect: () => ({ table: slicedTable() }),
  }),
  ...LENGTHS.map(checksum),
]
