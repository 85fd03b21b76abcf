/** Cases of assembly/convert.ts and crc32c.ts, all exact: every half, every level of int8, and roundings at every magnitude. */
import type { Case } from './case.ts'
import { LENGTHS, input, kernelCase, output } from './case.ts'
import { countUp, draw, drawBehindZeros, drawIntegers, drawSpread, list, read, readIntegers } from './source.ts'
import type { Source } from './source.ts'

const HALVES = 65536, LEVELS = 256
const LARGEST = 3.4028234663852886e38

/** The nearest integer, of two equally near ones the even. */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value)
  const over = value - floor
  return over < 0.5 || (over === 0.5 && floor % 2 === 0) ? floor : floor + 1
}

/** Row by row: scale = max|x| / 127, q = x / scale, both rounded to f32 as the kernel rounds them. */
export function quantize(x: Float64Array, N: number, C: number): { q: Float64Array; scales: Float64Array } {
  const scales = Float64Array.from({ length: N }, (_, n) =>
    Math.fround(x.subarray(n * C, (n + 1) * C).reduce((largest, value) => Math.max(largest, Math.abs(value)), 0) / 127))
  const q = x.map((value, i) => {
    const scale = scales[Math.floor(i / C)]
    return scale > 0 ? Math.min(127, Math.max(-127, roundHalfEven(Math.fround(value / scale)))) + 0 : 0
  })
  return { q, scales }
}

function widen(sizes: string, half: Source, n: number): Case {
  return kernelCase({
    operation: 'widenF16', sizes, tolerance: 0,
    slots: { out: output(n), x: input(half, 'u16') },
    call: (kernel, { out, x }) => kernel.widenF16(out, x, n),
    expect: (oracle) => ({ out: read(half).map((bits) => oracle.halfValue(bits)) }),
  })
}

function widenBrain(sizes: string, brain: Source, n: number): Case {
  return kernelCase({
    operation: 'widenBF16', sizes, tolerance: 0,
    slots: { out: output(n), x: input(brain, 'u16') },
    call: (kernel, { out, x }) => kernel.widenBF16(out, x, n),
    expect: () => ({ out: new Float32Array(readIntegers(brain).map((bits) => bits << 16).buffer) }),
  })
}

function narrow(sizes: string, x: Source, n: number): Case {
  return kernelCase({
    operation: 'narrowF16', sizes, tolerance: 0,
    slots: { out: output(n, 'u16'), x: input(x) },
    call: (kernel, { out, x }) => kernel.narrowF16(out, x, n),
    expect: (oracle) => ({ out: read(x).map((value) => oracle.nearestHalf(value)) }),
  })
}

export function halfCases(n: number): Case[] {
  // Below 0x7800 a half is neither infinite nor NaN.
  return [
    widen(`n=${n}`, drawIntegers(n, 0x7800, 'half'), n),
    narrow(`n=${n}`, drawSpread(n, 'x', 70000, 40), n),
    widenBrain(`n=${n}`, drawIntegers(n, 0x7f00, 'brain'), n),
  ]
}

/** Widens every half and narrows it again: as it was, but for NaN, which becomes quiet. */
function allHalves(): Case[] {
  const bits = countUp(HALVES)
  const isNaNHalf = (half: number) => (half & 0x7fff) > 0x7c00
  return [
    widen('all 65536', bits, HALVES),
    widenBrain('all 65536', bits, HALVES),
    kernelCase({
      operation: 'narrowF16', sizes: 'all 65536, widened before', tolerance: 0,
      slots: { out: output(HALVES, 'u16'), wide: output(HALVES), x: input(bits, 'u16') },
      call(kernel, { out, wide, x }) {
        kernel.widenF16(wide, x, HALVES)
        kernel.narrowF16(out, wide, HALVES)
      },
      expect: (oracle) => ({
        wide: read(bits).map((half) => oracle.halfValue(half)),
        out: read(bits).map((half) => (isNaNHalf(half) ? (half & 0x8000) | 0x7e00 : half)),
      }),
    }),
    narrow('ties, overflow, underflow, infinities', list([
      0, -0, 2048.5, 2049, 2051, -2049, 65504, 65519.99609375, 65520, 65536, LARGEST, -LARGEST, Infinity, -Infinity,
      2.9802322387695312e-8, 2.980232594040899e-8, 5.960464477539063e-8, 8.940696716308594e-8, -8.940696716308594e-8, 1.401298464324817e-45,
      0.000060975551605224609375, 0.00006103515625,
    ]), 22),
    narrow('n=65536', drawSpread(HALVES, 'x', 70000, 45), HALVES),
  ]
}

export function byteCases(N: number, C: number, x: Source, sizes = `N=${N} C=${C}`): Case[] {
  const q = drawIntegers(N * C, 255, 'q', -127), scales = draw(N, 'scales')
  return [
    kernelCase({
      operation: 'quantizeRows', sizes, tolerance: 0,
      slots: { out: output(N * C, 'i8'), scales: output(N), x: input(x) },
      call: (kernel, { out, scales, x }) => kernel.quantizeRows(out, scales, x, N, C),
      expect() {
        const { q: out, scales } = quantize(read(x), N, C)
        return { out, scales }
      },
    }),
    dequantize(N, C, q, scales, sizes),
  ]
}

function dequantize(N: number, C: number, q: Source, scales: Source, sizes: string): Case {
  return kernelCase({
    operation: 'dequantizeRows', sizes, tolerance: 0,
    slots: { out: output(N * C), x: input(q, 'i8'), scales: input(scales) },
    call: (kernel, { out, x, scales }) => kernel.dequantizeRows(out, x, scales, N, C),
    expect() {
      const factors = read(scales)
      return { out: read(q).map((value, i) => Math.fround(value * factors[Math.floor(i / C)])) }
    },
  })
}

/** Every level of int8 with scales of every size; back from it, values at and around every level of one row. */
function allLevels(): Case[] {
  const scales = [1, 0.1, 1.1754943508222875e-38, 2.6793883890187504e36].map(Math.fround)
  const levels = Array.from({ length: scales.length * LEVELS }, (_, i) => (i % LEVELS) - 128)
  const [N, C] = [scales.length, LEVELS]
  return [
    dequantize(N, C, list(levels), list(scales), 'all 256'),
    ...byteCases(1, 1021, list([127, ...Array.from({ length: 1020 }, (_, i) => (i - 510) / 4)]), 'quarters from -127.5 to 127.25').slice(0, 1),
    ...byteCases(5, 7, list([
      LARGEST, -LARGEST, 1, 0, 1e38, -1e38, 2e38, 1e-45, -1e-45, 0, 0, 0, 0, 0, 2e-43, -2e-43, 1e-43, -1e-43, 0, 1e-45, 3e-44,
      1e-38, -1e-38, 5e-39, 0, 1e-40, 0, 0, 0, 0, -0, 0, 0, 0, 0,
    ].map(Math.fround)), 'tiny and huge').slice(0, 1),
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

export function checksumCase(n: number): Case {
  const x = drawIntegers(n, 256, 'bytes')
  return kernelCase({
    operation: 'crc32c', sizes: `n=${n}`, tolerance: 0,
    slots: { table: output(1024, 'u32'), x: input(x, 'u8') },
    before: (kernel, { table }) => kernel.crc32cTable(table),
    call: (kernel, { table, x }) => kernel.crc32c(table, x, n, 0) >>> 0,
    expect: (oracle) => ({ table: slicedTable(), result: [oracle.crc32c(Uint8Array.from(read(x)))] }),
  })
}

export const listConvert = (): Case[] => [
  ...LENGTHS.flatMap(halfCases), ...allHalves(),
  ...[[0, 5], [1, 0], [1, 1], [3, 7], [7, 13], [2, 768]].flatMap(([N, C]) => byteCases(N, C, drawBehindZeros(N * C, 'x', 3, C))), ...allLevels(),
  kernelCase({
    operation: 'crc32cTable', sizes: '4×256', tolerance: 0,
    slots: { table: output(1024, 'u32') },
    call: (kernel, { table }) => kernel.crc32cTable(table),
    expect: () => ({ table: slicedTable() }),
  }),
  ...LENGTHS.map(checksumCase),
]
