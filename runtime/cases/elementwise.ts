/** Cases of assembly/elementwise.ts and assembly/lanes.ts: all exact, since each is one rounding or a stated order of them. */
import type { Case } from './case.ts'
import { LENGTHS, input, kernelCase, output, round, running } from './case.ts'
import { draw, drawIntegers, list, read, readIntegers } from './source.ts'

const TABLES = [[0, 5], [1, 1], [3, 7], [7, 13], [5, 16], [2, 768]] as const

export function vectorCases(n: number): Case[] {
  const sizes = `n=${n}`
  const x = draw(n, 'x'), y = draw(n, 'y'), before = draw(n, 'out')
  const factor = Math.fround(-1.7)
  const sum = (left: Float64Array, right: Float64Array) => ({ out: round(left.map((value, i) => value + right[i])) })
  return [
    kernelCase({
      operation: 'fill', sizes, tolerance: 0,
      slots: { out: output(n) },
      call: (kernel, { out }) => kernel.fill(out, factor, n),
      expect: () => ({ out: new Float64Array(n).fill(factor) }),
    }),
    kernelCase({
      operation: 'add', sizes, tolerance: 0,
      slots: { out: running(before), x: input(x) },
      call: (kernel, { out, x }) => kernel.add(out, x, n),
      expect: () => sum(read(before), read(x)),
    }),
    kernelCase({
      operation: 'addTo', sizes, tolerance: 0, aliases: [['out', 'x'], ['out', 'y']],
      slots: { out: output(n), x: input(x), y: input(y) },
      call: (kernel, { out, x, y }) => kernel.addTo(out, x, y, n),
      expect: () => sum(read(x), read(y)),
    }),
    kernelCase({
      operation: 'scale', sizes, tolerance: 0, aliases: [['out', 'x']],
      slots: { out: output(n), x: input(x) },
      call: (kernel, { out, x }) => kernel.scale(out, x, factor, n),
      expect: () => ({ out: round(read(x).map((value) => value * factor)) }),
    }),
  ]
}

export function rowCases(N: number, C: number): Case[] {
  const sizes = `N=${N} C=${C}`
  const bias = draw(C, 'bias'), dBias = draw(C, 'dBias'), dOut = draw(N * C, 'dOut')
  return [
    kernelCase({
      operation: 'broadcastRow', sizes, tolerance: 0,
      slots: { out: output(N * C), bias: input(bias) },
      call: (kernel, { out, bias }) => kernel.broadcastRow(out, bias, N, C),
      expect() {
        const row = read(bias)
        return { out: new Float64Array(N * C).map((_, i) => row[i % C]) }
      },
    }),
    kernelCase({
      operation: 'biasBackward', sizes, tolerance: 0,
      slots: { dBias: running(dBias), dOut: input(dOut) },
      call: (kernel, { dBias, dOut }) => kernel.biasBackward(dBias, dOut, N, C, C),
      expect() {
        const sums = read(dBias)
        read(dOut).forEach((value, i) => { sums[i % C] = Math.fround(sums[i % C] + value) })
        return { dBias: sums }
      },
    }),
  ]
}

/** Rows picked with repetition, so that gradients meet in one row. */
export function gatherCases(count: number, N: number, C: number): Case[] {
  const sizes = `count=${count} N=${N} C=${C}`
  const x = draw(N * C, 'x'), dx = draw(N * C, 'dx'), dOut = draw(count * C, 'dOut')
  const index = drawIntegers(count, N, 'index')
  return [
    kernelCase({
      operation: 'gatherRows', sizes, tolerance: 0,
      slots: { out: output(count * C), x: input(x), index: input(index, 'i32') },
      call: (kernel, { out, x, index }) => kernel.gatherRows(out, x, index, count, C),
      expect() {
        const values = read(x), picked = readIntegers(index)
        return { out: new Float64Array(count * C).map((_, i) => values[picked[Math.floor(i / C)] * C + (i % C)]) }
      },
    }),
    kernelCase({
      operation: 'gatherRowsBackward', sizes, tolerance: 0,
      slots: { dx: running(dx), dOut: input(dOut), index: input(index, 'i32') },
      call: (kernel, { dx, dOut, index }) => kernel.gatherRowsBackward(dx, dOut, index, count, C),
      expect() {
        const sums = read(dx), picked = readIntegers(index)
        read(dOut).forEach((value, i) => {
          const at = picked[Math.floor(i / C)] * C + (i % C)
          sums[at] = Math.fround(sums[at] + value)
        })
        return { dx: sums }
      },
    }),
  ]
}

/** The sum in the order that every build keeps: element i into lane i % 4, lanes as (0 + 1) + (2 + 3). */
function foldLanes(terms: Float64Array): number {
  const lanes = [0, 0, 0, 0]
  terms.forEach((term, i) => { lanes[i % 4] = Math.fround(lanes[i % 4] + term) })
  return Math.fround(Math.fround(lanes[0] + lanes[1]) + Math.fround(lanes[2] + lanes[3]))
}

export function reductionCases(n: number): Case[] {
  const x = draw(n, 'x'), y = draw(n, 'y')
  const products = () => {
    const values = read(y)
    return read(x).map((value, i) => value * values[i])
  }
  return [
    kernelCase({
      operation: 'sumRow', sizes: `n=${n}`, tolerance: 0, slots: { x: input(x) }, call: (kernel, { x }) => kernel.sumRow(x, n),
      expect: () => ({ result: [foldLanes(read(x))] }),
    }),
    kernelCase({
      operation: 'dotRow', sizes: `n=${n}`, tolerance: 0, slots: { x: input(x), y: input(y) }, call: (kernel, { x, y }) => kernel.dotRow(x, y, n),
      expect: () => ({ result: [foldLanes(round(products()))] }),
    }),
  ]
}

function nonFinite(values: readonly number[], count: number): Case {
  return kernelCase({
    operation: 'countNonFinite', sizes: `n=${values.length}, ${count} of them`, tolerance: 0,
    slots: { x: input(list(values)) },
    call: (kernel, { x }) => kernel.countNonFinite(x, values.length),
    expect: () => ({ result: [count] }),
  })
}

export const listElementwise = (): Case[] => [
  ...LENGTHS.flatMap(vectorCases),
  ...TABLES.flatMap(([N, C]) => rowCases(N, C)),
  ...[[0, 1, 4], [1, 1, 1], [5, 3, 7], [11, 4, 13], [3, 40, 768]].flatMap(([count, N, C]) => gatherCases(count, N, C)),
  ...LENGTHS.flatMap(reductionCases),
  nonFinite([], 0),
  nonFinite([0, -0, 1e-45, 3.4e38, -3.4e38].map(Math.fround), 0),
  nonFinite([NaN, 1, Infinity, 2, 3, 4, 5, -Infinity, 6, 7, NaN], 4),
]
