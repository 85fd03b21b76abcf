/** Cases of assembly/adamw.ts and average.ts. */
import { stepAdamW } from '../oracle/bert.ts'
import type { AdamWConfig } from '../oracle/bert.ts'
import type { Case } from './case.ts'
import { LENGTHS, draw, input, kernelCase, output, running } from './case.ts'

/** The kernel's arguments behind n for step `step`, from hyperparameters in float64. */
export function adamwArguments(step: number, { learningRate, beta1, beta2, eps, weightDecay }: AdamWConfig) {
  return [1 - learningRate * weightDecay, beta1, 1 - beta1, beta2, 1 - beta2, learningRate / (1 - beta1 ** step), Math.sqrt(1 - beta2 ** step), eps] as const
}

function adamwCase(n: number, step: number, weightDecay: number): Case {
  const config = { learningRate: 1e-2, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay }
  const p = draw(n, 'p'), m = draw(n, 'm'), v = draw(n, 'v').map(Math.abs), g = draw(n, 'g', 10)
  return kernelCase({
    operation: 'adamw', sizes: `n=${n} step=${step} decay=${weightDecay}`, tolerance: 5e-7,
    slots: { p: running(p), m: running(m), v: running(v), g: input(g) },
    call: (kernel, at) => kernel.adamw(at.p, at.m, at.v, at.g, n, ...adamwArguments(step, config)),
    expect: () => {
      const after = { p: p.slice(), m: m.slice(), v: v.slice() }
      stepAdamW(after.p, after.m, after.v, g, step, config)
      return after
    },
  })
}

/** Exact: f32 × weight has at most 53 bits here, and float64 is what the kernel sums in. */
function averages(n: number): Case[] {
  const sum = draw(n, 'sum').map((value) => value / 3), x = draw(n, 'x')
  const weight = 977, total = 1234.5
  return [
    kernelCase({
      operation: 'averageAdd', sizes: `n=${n}`, tolerance: 0,
      slots: { sum: running(sum, 'f64'), x: input(x) },
      call: (kernel, at) => kernel.averageAdd(at.sum, at.x, weight, n),
      expect: () => ({ sum: sum.map((value, i) => value + weight * x[i]) }),
    }),
    kernelCase({
      operation: 'averageFinish', sizes: `n=${n}`, tolerance: 0,
      slots: { out: output(n), sum: input(sum, 'f64') },
      call: (kernel, at) => kernel.averageFinish(at.out, at.sum, total, n),
      expect: () => ({ out: sum.map((value) => Math.fround(value / total)) }),
    }),
  ]
}

export const UPDATE: readonly Case[] = [
  ...LENGTHS.flatMap((n) => [adamwCase(n, 1, 0), adamwCase(n, 7, 0.1)]),
  ...LENGTHS.flatMap(averages),
]
