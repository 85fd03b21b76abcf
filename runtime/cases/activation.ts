/** Cases of assembly/gelu.ts and tanh.ts, and of the functions of one number in math.ts. */
import type { Case, Operation } from './case.ts'
import { LENGTHS, between, input, kernelCase, output, scratch } from './case.ts'
import type { Oracle } from './oracle.ts'
import { draw, read } from './source.ts'

/** The hidden layer of BERT-base over five rows. */
const BERT = 5 * 3072

export function activationCases(n: number): Case[] {
  const sizes = `n=${n}`
  const x = draw(n, 'x', 6), dOut = draw(n, 'dOut')
  const table = scratch((kernel) => kernel.tableScratchBytes())
  const chain = (slopes: Float64Array) => {
    const d = read(dOut)
    return { dx: slopes.map((slope, i) => slope * d[i]) }
  }
  return [
    kernelCase({
      operation: 'gelu', sizes, tolerance: 1e-6, floor: 1,
      slots: { out: output(n), x: input(x), table },
      call: (kernel, { out, x, table: at }) => kernel.gelu(out, x, n, at),
      expect: (oracle) => ({ out: oracle.gelu(read(x)) }),
    }),
    kernelCase({
      operation: 'geluBackward', sizes, tolerance: 1e-6, floor: 1, aliases: [['dx', 'dOut']],
      slots: { dx: output(n), dOut: input(dOut), x: input(x), table },
      call: (kernel, { dx, dOut, x, table: at }) => kernel.geluBackward(dx, dOut, x, n, at),
      expect: (oracle) => chain(oracle.slopes((x) => oracle.gelu(x), read(x))),
    }),
    kernelCase({
      operation: 'tanh', sizes, tolerance: 2e-7, floor: 1, aliases: [['out', 'x']],
      slots: { out: output(n), x: input(x) },
      call: (kernel, { out, x }) => kernel.tanh(out, x, n),
      expect: (oracle) => ({ out: oracle.tanh(read(x)) }),
    }),
    kernelCase({
      operation: 'tanhBackward', sizes, tolerance: 3e-7, floor: 1, aliases: [['dx', 'dOut']],
      slots: { dx: output(n), dOut: input(dOut), out: between(n), x: input(x) },
      before: (kernel, { out, x }) => kernel.tanh(out, x, n),
      call: (kernel, { dx, dOut, out }) => kernel.tanhBackward(dx, dOut, out, n),
      expect: (oracle) => chain(oracle.slopes((x) => oracle.tanh(x), read(x))),
    }),
  ]
}

type Function = Extract<Operation, 'exp32' | 'erf32' | 'tanh32' | 'exp64' | 'log64'>

function point(operation: Function, f: (oracle: Oracle) => number, x: number, tolerance: number): Case {
  return kernelCase({
    operation, sizes: `x=${x}`, tolerance, floor: 1e-30, slots: {}, call: (kernel) => kernel[operation](x), expect: (oracle) => ({ result: [f(oracle)] }),
  })
}

export function pointCases(x: number): Case[] {
  return [
    point('exp32', (oracle) => oracle.exp(x), x, 2e-7), point('tanh32', (oracle) => oracle.tanhOf(x), x, 2e-7),
    point('erf32', (oracle) => oracle.erf(x), x, 5e-7), point('exp64', (oracle) => oracle.exp(x), x, 3e-16),
  ]
}

export function logarithmCase(x: number): Case {
  return point('log64', (oracle) => oracle.log(x), x, 3e-16)
}

const POINTS = [-4.5, -1.25, -0.375, 0, 0.625, 1, 2.75]

export const listActivation = (): Case[] => [
  ...[...LENGTHS, BERT].flatMap(activationCases),
  ...POINTS.flatMap(pointCases),
  ...[0.125, 0.75, 1, 1.5, 10, 1e10].map(logarithmCase),
]
