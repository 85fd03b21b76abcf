/**
 * Cases of assembly/matmul.ts. Each output is one sum over k in increasing order, from
 * zero or from what stands there: `exact` follows that order in f32, `wide` is float64.
 */
import type { Case } from './case.ts'
import { input, kernelCase, output, running, scratch } from './case.ts'
import { countOfSource, draw, read } from './source.ts'
import type { Source } from './source.ts'

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

export type Form = { N: number; O: number; I: number; accumulate: 0 | 1; large?: boolean }

/** The three forms over x [N, I], w [O, I], dOut [N, O]. */
function forms({ N, O, I, accumulate, large = false }: Form, keep: (value: number) => number, tolerance: number): Case[] {
  const sizes = `N=${N} O=${O} I=${I}${accumulate ? ' accumulated' : ''}${tolerance ? '' : ', its order'}`
  const x = draw(N * I, 'x'), w = draw(O * I, 'w'), dOut = draw(N * O, 'dOut')
  const target = (source: Source) => (accumulate ? running(source) : output(countOfSource(source)))
  const from = (source: Source) => (accumulate ? read(source) : null)
  const out = draw(N * O, 'out'), dx = draw(N * I, 'dx'), dw = draw(O * I, 'dw')
  const both = (left: Source, right: Source) => [read(left), read(right)] as const
  return [
    kernelCase({
      operation: 'matmul', sizes, tolerance, large,
      slots: { out: target(out), x: input(x), w: input(w), scratch: scratch((kernel) => kernel.productScratchBytes(O)) },
      call: (kernel, at) => kernel.matmul(at.out, at.x, at.w, N, O, I, accumulate, at.scratch),
      expect() {
        const [a, b] = both(x, w)
        return { out: multiply(N, O, I, from(out), (n, i) => a[n * I + i], (i, o) => b[o * I + i], keep) }
      },
    }),
    kernelCase({
      operation: 'matmulBackwardInput', sizes, tolerance, large,
      slots: { dx: target(dx), dOut: input(dOut), w: input(w), scratch: scratch((kernel) => kernel.productScratchBytes(I)) },
      call: (kernel, at) => kernel.matmulBackwardInput(at.dx, at.dOut, at.w, N, O, I, accumulate, at.scratch),
      expect() {
        const [a, b] = both(dOut, w)
        return { dx: multiply(N, I, O, from(dx), (n, o) => a[n * O + o], (o, i) => b[o * I + i], keep) }
      },
    }),
    kernelCase({
      operation: 'matmulBackwardWeight', sizes, tolerance, large,
      slots: { dw: target(dw), dOut: input(dOut), x: input(x), scratch: scratch((kernel) => kernel.productScratchBytes(I)) },
      call: (kernel, at) => kernel.matmulBackwardWeight(at.dw, at.dOut, at.x, N, O, I, accumulate, at.scratch),
      expect() {
        const [a, b] = both(dOut, x)
        return { dw: multiply(O, I, N, from(dw), (o, n) => a[n * O + o], (n, i) => b[n * I + i], keep) }
      },
    }),
  ]
}

export const productCases = (form: Form) => forms(form, Math.fround, 0)
const wide = (form: Form) => forms(form, (value) => value, 2e-6)
const tail = (N: number, O: number, I: number) => productCases({ N, O, I, accumulate: ((N + O + I) & 1) as 0 | 1 })

/** The case where `depth` is the length of form `index`'s sums. */
const deep = (depth: number, index: number, accumulate: 0 | 1): Case => {
  const [N, O, I] = [[7, 11, depth], [7, depth, 11], [depth, 11, 7]][index]
  return productCases({ N, O, I, accumulate })[index]
}

/** Every two of N, O and I in every combination. */
const listTailPairs = () => TAILS.flatMap((N, n) => TAILS.flatMap((O, o) => tail(N, O, TAILS[(n + o) % TAILS.length])))

/** All three in every combination that the table lacks: for a kernel's own tests, too many to publish. */
export const listTailCube = (): Case[] => TAILS.flatMap((N, n) => TAILS.flatMap((O, o) =>
  TAILS.flatMap((I, i) => (i === (n + o) % TAILS.length ? [] : tail(N, O, I)))))

export const listMatmul = (): Case[] => [
  ...listTailPairs(),
  ...Array.from({ length: 17 }, (_, column) => column + 1).flatMap((O) => [0, 1].flatMap((on) => productCases({ N: 5, O, I: O, accumulate: on as 0 | 1 }))),
  ...DEPTHS.flatMap((depth) => [0, 1, 2].flatMap((index) => [deep(depth, index, 0), deep(depth, index, 1)])),
  ...[{ N: 0, O: 5, I: 3 }, { N: 5, O: 0, I: 3 }, { N: 3, O: 5, I: 0 }].flatMap((form) => productCases({ ...form, accumulate: 0 })),
  ...[{ N: 3, O: 5, I: 7 }, { N: 13, O: 17, I: 521 }, { N: 21, O: 64, I: 768 }].flatMap((form) => wide({ ...form, accumulate: 1 })),
  // BERT-base's attention output over a few rows.
  ...productCases({ N: 11, O: 768, I: 768, accumulate: 0, large: true }),
]
