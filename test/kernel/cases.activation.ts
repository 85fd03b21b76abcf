/** Cases of assembly/gelu.ts and tanh.ts, and of the functions of one number in math.ts (bounds: math.test.ts). */
import { erf, gelu, tanh } from '../oracle/bert.ts'
import { slopeAt } from '../oracle/gradient.ts'
import type { Case, Operation } from './case.ts'
import { LENGTHS, draw, input, kernelCase, output, round, scratch } from './case.ts'

/** f′(x) element by element. */
function slopes(f: (x: Float64Array) => Float64Array, x: Float64Array): Float64Array {
  const moved = x.slice()
  return x.map((_, i) => slopeAt(() => f(moved.subarray(i, i + 1))[0], moved, i))
}

function activations(n: number): Case[] {
  const sizes = `n=${n}`
  const x = draw(n, 'x', 6), dOut = draw(n, 'dOut')
  const saved = round(tanh(x))
  const table = scratch((kernel) => kernel.tableScratchBytes())
  return [
    kernelCase({
      operation: 'gelu', sizes, tolerance: 1e-6, floor: 1,
      slots: { out: output(n), x: input(x), table },
      call: (kernel, { out, x, table: at }) => kernel.gelu(out, x, n, at),
      expect: () => ({ out: gelu(x) }),
    }),
    kernelCase({
      operation: 'geluBackward', sizes, tolerance: 1e-6, floor: 1, aliases: [['dx', 'dOut']],
      slots: { dx: output(n), dOut: input(dOut), x: input(x), table },
      call: (kernel, { dx, dOut, x, table: at }) => kernel.geluBackward(dx, dOut, x, n, at),
      expect: () => ({ dx: slopes(gelu, x).map((slope, i) => slope * dOut[i]) }),
    }),
    kernelCase({
      operation: 'tanh', sizes, tolerance: 2e-7, floor: 1, aliases: [['out', 'x']],
      slots: { out: output(n), x: input(x) },
      call: (kernel, { out, x }) => kernel.tanh(out, x, n),
      expect: () => ({ out: tanh(x) }),
    }),
    kernelCase({
      operation: 'tanhBackward', sizes, tolerance: 2e-7, floor: 1, aliases: [['dx', 'dOut']],
      slots: { dx: output(n), dOut: input(dOut), out: input(saved) },
      call: (kernel, { dx, dOut, out }) => kernel.tanhBackward(dx, dOut, out, n),
      expect: () => ({ dx: slopes(tanh, x).map((slope, i) => slope * dOut[i]) }),
    }),
  ]
}

type Function = Extract<Operation, 'exp32' | 'erf32' | 'tanh32' | 'exp64' | 'log64'>

function point(operation: Function, f: (x: number) => number, x: number, tolerance: number): Case {
  return kernelCase({
    operation, sizes: `x=${x}`, tolerance, floor: 1e-30, slots: {}, call: (kernel) => kernel[operation](x), expect: () => ({ result: [f(x)] }),
  })
}

const POINTS = [-4.5, -1.25, -0.375, 0, 0.625, 1, 2.75]

export const ACTIVATION: readonly Case[] = [
  ...LENGTHS.flatMap(activations),
  ...POINTS.flatMap((x) => [
    point('exp32', Math.exp, x, 2e-7), point('tanh32', Math.tanh, x, 2e-7), point('erf32', erf, x, 5e-7), point('exp64', Math.exp, x, 3e-16),
  ]),
  ...[0.125, 0.75, 1, 1.5, 10, 1e10].map((x) => point('log64', Math.log, x, 3e-16)),
]
