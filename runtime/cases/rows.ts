/** Cases of assembly/norm.ts, softmax.ts and loss.ts, which work row by row. */
import type { Case, Slot } from './case.ts'
import { between, input, kernelCase, output, running, scratch, spent } from './case.ts'
import type { Oracle } from './oracle.ts'
import { draw, drawIntegers, read, readIntegers } from './source.ts'

const EPS = Math.fround(1e-5)
const NORMS = [[0, 5], [1, 1], [3, 2], [5, 7], [4, 11], [7, 13], [2, 16], [3, 67], [5, 768]] as const

/** mean and 1/√(variance + eps) of each row, [N, 2]. */
export function rowStats(x: Float64Array, eps: number, N: number, C: number): Float64Array {
  return Float64Array.from({ length: 2 * N }, (_, i) => {
    const row = x.subarray((i >> 1) * C, ((i >> 1) + 1) * C)
    const mean = row.reduce((sum, value) => sum + value, 0) / C
    const variance = row.reduce((sum, value) => sum + (value - mean) * (value - mean), 0) / C
    return i & 1 ? 1 / Math.sqrt(variance + eps) : mean
  })
}

export function normCases(N: number, C: number): Case[] {
  const sizes = `N=${N} C=${C}`
  const x = draw(N * C, 'x', 2, 0.5)
  const gain = draw(C, 'gain'), bias = draw(C, 'bias'), dOut = draw(N * C, 'dOut')
  const start = { dGain: draw(C, 'dGain'), dBias: draw(C, 'dBias') }
  const backward = (gradients: readonly ('dGain' | 'dBias')[]) => kernelCase({
    operation: 'layerNormBackward', sizes: `${sizes}, gradients dx ${gradients.join(' ')}`, tolerance: 6e-7, floor: 1, aliases: [['dx', 'dOut']],
    slots: {
      dx: output(N * C), ...Object.fromEntries(gradients.map((name) => [name, running(start[name])])),
      dOut: input(dOut), stats: between(2 * N), out: between(N * C), x: input(x), gain: input(gain), bias: input(bias), row: scratch(() => 4 * C),
    } as Record<string, Slot>,
    before: (kernel, at) => kernel.layerNorm(at.out, at.stats, at.x, at.gain, at.bias, N, C, EPS),
    call: (kernel, at) => kernel.layerNormBackward(at.dx, at.dGain ?? 0, at.dBias ?? 0, at.dOut, at.stats, at.x, at.gain, N, C, at.row),
    expect(oracle) {
      const sources = { dx: read(x), dGain: read(gain), dBias: read(bias) }
      const moved = Object.fromEntries((['dx', ...gradients] as const).map((name) => [name, sources[name]]))
      const forward = () => oracle.layerNorm(sources.dx, sources.dGain, sources.dBias, EPS, N, C)
      return oracle.gradients(forward, read(dOut), moved, { dGain: read(start.dGain), dBias: read(start.dBias) })
    },
  })
  return [
    kernelCase({
      operation: 'layerNorm', sizes, tolerance: 5e-7, aliases: [['out', 'x']],
      slots: { out: output(N * C), stats: output(2 * N), x: input(x), gain: input(gain), bias: input(bias) },
      call: (kernel, at) => kernel.layerNorm(at.out, at.stats, at.x, at.gain, at.bias, N, C, EPS),
      expect: (oracle) => ({ out: oracle.layerNorm(read(x), read(gain), read(bias), EPS, N, C), stats: rowStats(read(x), EPS, N, C) }),
    }),
    backward(['dGain', 'dBias']), backward(['dGain']), backward(['dBias']), backward([]),
  ]
}

export function softmaxCase(N: number, K: number, scale: number): Case {
  const x = draw(N * K, 'x', scale)
  return kernelCase({
    operation: 'softmax', sizes: `N=${N} K=${K} within ±${scale}`, tolerance: 5e-7, aliases: [['out', 'x']],
    slots: { out: output(N * K), x: input(x), table: scratch((kernel) => kernel.tableScratchBytes()) },
    call: (kernel, { out, x, table }) => kernel.softmax(out, x, N, K, table),
    expect: (oracle) => ({ out: oracle.softmax(read(x), N, K) }),
  })
}

export function lossCases(N: number, K: number, scale: number): Case[] {
  const sizes = `N=${N} K=${K} within ±${scale}`
  const logits = draw(N * K, 'logits', scale), labels = drawIntegers(N, K, 'labels')
  const lossOf = (oracle: Oracle, values: Float64Array) => (N ? oracle.crossEntropy(values, readIntegers(labels), N, K) : 0)
  const rowLosses = (oracle: Oracle) => {
    const values = read(logits), classes = readIntegers(labels)
    return Float64Array.from({ length: N }, (_, n) =>
      oracle.crossEntropy(values.subarray(n * K, (n + 1) * K), classes.subarray(n, n + 1), 1, K))
  }
  return [
    kernelCase({
      operation: 'crossEntropy', sizes, tolerance: 5e-7, aliases: [['dLogits', 'logits']],
      slots: { losses: output(N), dLogits: output(N * K), logits: input(logits), labels: input(labels, 'i32') },
      call: (kernel, at) => kernel.crossEntropy(at.losses, at.dLogits, at.logits, at.labels, N, K),
      expect(oracle) {
        const values = read(logits)
        return {
          result: [lossOf(oracle, values)], losses: rowLosses(oracle),
          ...oracle.gradients(() => Float64Array.of(lossOf(oracle, values)), Float64Array.of(1), { dLogits: values }),
        }
      },
    }),
    kernelCase({
      operation: 'crossEntropy', sizes: `${sizes}, no gradient`, tolerance: 5e-7,
      slots: { losses: output(N), logits: spent(logits), labels: input(labels, 'i32') },
      call: (kernel, at) => kernel.crossEntropy(at.losses, 0, at.logits, at.labels, N, K),
      expect: (oracle) => ({ result: [lossOf(oracle, read(logits))], losses: rowLosses(oracle) }),
    }),
  ]
}

export const listRows = (): Case[] => [
  ...NORMS.flatMap(([N, C]) => normCases(N, C)),
  ...([[0, 3, 1], [1, 1, 5], [3, 7, 2], [5, 8, 20], [4, 13, 100], [7, 128, 5]] as const).map(([N, K, scale]) => softmaxCase(N, K, scale)),
  ...([[0, 3, 1], [1, 1, 5], [3, 6, 2], [5, 2, 10], [11, 13, 100], [16, 6, 4], [3, 1021, 3]] as const).flatMap(([N, K, scale]) => lossCases(N, K, scale)),
]
