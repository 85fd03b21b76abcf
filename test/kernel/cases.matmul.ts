/**
 * Cases of assembly/matmul.ts. Each output is one sum over k in increasing order, from
 * zero or from what stands there: `exact` follows that order in f32, `wide` is float64.
 */
import type { Case } from './case.ts'
import { draw, input, kernelCase, output, running, scratch } from './case.ts'

const { fround } = Math

/** Every remainder of the 4-row, 8-column tile, one tile, and several with one over. */
const TAILS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17, 31, 33]
/** Sums that end at, before and behind a block of 256. */
const DEPTHS = [0, 255, 256, 257, 511, 512, 513, 521]

/** c [M, N] = start + a [M, K] · b [K, N], a and b by index. */
function multiply(
  M: number, N: number, K: number, start: Float64Array | null,
  a: (m: number, k: number) => number, b: (k: number, n: number) => number, keep: (value: number) => number,
): Float64Array {
  const c = new Float64Array(M * N)
  for (let m = 0; m < M; m++) {
    for (let n = 0; n < N; n++) {
      let sum = start ? start[m * N + n] : 0
      for (let k = 0; k < K; k++) sum = keep(sum + keep(a(m, k) * b(k, n)))
      c[m * N + n] = sum
    }
  }
  return c
}

type Form = { N: number; O: number; I: number; accumulate: 0 | 1 }

/** The three forms over x [N, I], w [O, I], dOut [N, O]. */
function forms({ N, O, I, accumulate }: Form, keep: (value: number) => number, tolerance: number): Case[] {
  const sizes = `N=${N} O=${O} I=${I}${accumulate ? ' accumulated' : ''}${tolerance ? '' : ', its order'}`
  const x = draw(N * I, 'x'), w = draw(O * I, 'w'), dOut = draw(N * O, 'dOut')
  const target = (values: Float64Array) => (accumulate ? running(values) : output(values.length))
  const from = (values: Float64Array) => (accumulate ? values : null)
  const out = draw(N * O, 'out'), dx = draw(N * I, 'dx'), dw = draw(O * I, 'dw')
  return [
    kernelCase({
      operation: 'matmul', sizes, tolerance,
      slots: { out: target(out), x: input(x), w: input(w), scratch: scratch((kernel) => kernel.productScratchBytes(O)) },
      call: (kernel, at) => kernel.matmul(at.out, at.x, at.w, N, O, I, accumulate, at.scratch),
      expect: () => ({ out: multiply(N, O, I, from(out), (n, i) => x[n * I + i], (i, o) => w[o * I + i], keep) }),
    }),
    kernelCase({
      operation: 'matmulBackwardInput', sizes, tolerance,
      slots: { dx: target(dx), dOut: input(dOut), w: input(w), scratch: scratch((kernel) => kernel.productScratchBytes(I)) },
      call: (kernel, at) => kernel.matmulBackwardInput(at.dx, at.dOut, at.w, N, O, I, accumulate, at.scratch),
      expect: () => ({ dx: multiply(N, I, O, from(dx), (n, o) => dOut[n * O + o], (o, i) => w[o * I + i], keep) }),
    }),
    kernelCase({
      operation: 'matmulBackwardWeight', sizes, tolerance,
      slots: { dw: target(dw), dOut: input(dOut), x: input(x), scratch: scratch((kernel) => kernel.productScratchBytes(I)) },
      call: (kernel, at) => kernel.matmulBackwardWeight(at.dw, at.dOut, at.x, N, O, I, accumulate, at.scratch),
      expect: () => ({ dw: multiply(O, I, N, from(dw), (o, n) => dOut[n * O + o], (n, i) => x[n * I + i], keep) }),
    }),
  ]
}

const exact = (form: Form) => forms(form, fround, 0)
const wide = (form: Form) => forms(form, (value) => value, 2e-6)

/** The case where `depth` is the length of form `index`'s sums. */
const deep = (depth: number, index: number, accumulate: 0 | 1): Case => {
  const [N, O, I] = [[7, 11, depth], [7, depth, 11], [depth, 11, 7]][index]
  return exact({ N, O, I, accumulate })[index]
}

export const MATMUL: readonly Case[] = [
  ...TAILS.flatMap((N) => TAILS.flatMap((O) => TAILS.flatMap((I) => exact({ N, O, I, accumulate: ((N + O + I) & 1) as 0 | 1 })))),
  ...Array.from({ length: 17 }, (_, column) => column + 1).flatMap((O) => [0, 1].flatMap((on) => exact({ N: 5, O, I: O, accumulate: on as 0 | 1 }))),
  ...DEPTHS.flatMap((depth) => [0, 1, 2].flatMap((index) => [deep(depth, index, 0), deep(depth, index, 1)])),
  ...[{ N: 0, O: 5, I: 3 }, { N: 5, O: 0, I: 3 }, { N: 3, O: 5, I: 0 }].flatMap((form) => exact({ ...form, accumulate: 0 })),
  ...[{ N: 3, O: 5, I: 7 }, { N: 13, O: 17, I: 521 }, { N: 21, O: 64, I: 768 }].flatMap((form) => wide({ ...form, accumulate: 1 })),
]
