/** Cases of assembly/adamw.ts and average.ts. */
import type { Case } from './case.ts'
import { LENGTHS, input, kernelCase, output, running } from './case.ts'
import { draw, read } from './source.ts'

type Config = { learningRate: number; beta1: number; beta2: number; eps: number; weightDecay: number }

/** The adapters of a block of BERT-base at rank 8. */
const BERT = 4 * 8 * 768

function powerOf(base: number, exponent: number): number {
  let power = 1
  for (let i = 0; i < exponent; i++) power *= base
  return power
}

/** The kernel's arguments behind n for step `step`, from hyperparameters in float64. */
export function adamwArguments(step: number, { learningRate, beta1, beta2, eps, weightDecay }: Config) {
  return [
    1 - learningRate * weightDecay, beta1, 1 - beta1, beta2, 1 - beta2, learningRate / (1 - powerOf(beta1, step)),
    Math.sqrt(1 - powerOf(beta2, step)), eps,
  ] as const
}

export function adamwCase(n: number, step: number, weightDecay: number): Case {
  const config = { learningRate: 1e-2, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay }
  const p = draw(n, 'p'), m = draw(n, 'm'), v = draw(n, 'v', 0.5, 0.5), g = draw(n, 'g', 10)
  return kernelCase({
    operation: 'adamw', sizes: `n=${n} step=${step} decay=${weightDecay}`, tolerance: 5e-7,
    slots: { p: running(p), m: running(m), v: running(v), g: input(g) },
    call: (kernel, at) => kernel.adamw(at.p, at.m, at.v, at.g, n, ...adamwArguments(step, config)),
    expect(oracle) {
      const after = { p: read(p), m: read(m), v: read(v) }
      oracle.stepAdamW(after.p, after.m, after.v, read(g), step, config)
      return after
    },
  })
}

/** Exact: f32 × weight has at most 53 bits here, and float64 is what the kernel sums in. */
export function averageCases(n: number): Case[] {
  const sum = draw(n, 'sum', 1 / 3), x = draw(n, 'x')
  const weight = 977, total = 1234.5
  return [
    kernelCase({
      operation: 'averageAdd', sizes: `n=${n}`, tolerance: 0,
      slots: { sum: running(sum, 'f64'), x: input(x) },
      call: (kernel, at) => kernel.averageAdd(at.sum, at.x, weight, n),
      expect() {
        const values = read(x)
        return { sum: read(sum).map((value, i) => value + weight * values[i]) }
      },
    }),
    kernelCase({
      operation: 'averageFinish', sizes: `n=${n}`, tolerance: 0,
      slots: { out: output(n), sum: input(sum, 'f64') },
      call: (kernel, at) => kernel.averageFinish(at.out, at.sum, total, n),
      expect: () => ({ out: read(sum).map((value) => Math.fround(value / total)) }),
    }),
  ]
}

export const listUpdate = (): Case[] => [
  ...LENGTHS.flatMap((n) => [adamwCase(n, 1, 0), adamwCase(n, 7, 0.1)]),
  adamwCase(BERT, 3, 0.01),
  ...LENGTHS.flatMap(averageCases),
]
