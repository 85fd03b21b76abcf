/** Cases of assembly/linear.ts: with and without bias, adapter, and each gradient wanted or not. */
import type { Case, Slot } from './case.ts'
import { between, input, kernelCase, output, running, scratch } from './case.ts'
import type { Oracle } from './oracle.ts'
import { drawMatrix } from './matrix.ts'
import { draw, read } from './source.ts'
import type { Source } from './source.ts'
import type { WeightFormat } from '../kernel/format.ts'
import { formatCode } from '../kernel/format.ts'
import { LINEAR_FIELDS } from '../kernel/records.ts'

/** N rows, I inputs, O outputs, R rank (0: no adapter). */
export type LinearSizes = { N: number; I: number; O: number; R: number; bias: boolean; format?: WeightFormat; large?: boolean }

const SIZES: readonly LinearSizes[] = [
  { N: 0, I: 3, O: 2, R: 1, bias: true },
  { N: 1, I: 1, O: 1, R: 1, bias: true },
  { N: 3, I: 7, O: 5, R: 2, bias: false },
  { N: 5, I: 13, O: 11, R: 0, bias: true },
  { N: 4, I: 16, O: 8, R: 4, bias: true },
  { N: 11, I: 17, O: 31, R: 3, bias: true },
  { N: 7, I: 263, O: 19, R: 5, bias: false },
  { N: 6, I: 128, O: 512, R: 16, bias: true },
  // Sums over 260 rows fill whole panels, so that scratch is used up to inputs, to outputs and to rank.
  { N: 260, I: 33, O: 8, R: 2, bias: true },
  { N: 260, I: 3, O: 2, R: 9, bias: false },
  // BERT-base's query with the paper's rank.
  { N: 7, I: 768, O: 768, R: 8, bias: true, large: true },
]
/** Ends of vectors, tiles and blocks. */
const NARROW: readonly LinearSizes[] = (['f16', 'int8'] as const).flatMap((format) => [
  { N: 3, I: 7, O: 5, R: 2, bias: true, format }, { N: 6, I: 33, O: 17, R: 0, bias: true, format }, { N: 9, I: 21, O: 300, R: 3, bias: false, format },
])
const SCALE = Math.fround(5 / 3)

const label = ({ N, I, O, R, bias, format }: LinearSizes) =>
  `N=${N} I=${I} O=${O} R=${R}${bias ? ' bias' : ''}${format ? ` ${format}` : ''}`

function parameters({ N, I, O, R, bias, format }: LinearSizes) {
  return {
    x: draw(N * I, 'x'), weight: drawMatrix(O, I, 'weight', format), bias: draw(O, 'bias', bias ? 1 : 0),
    loraA: draw(R * I, 'loraA'), loraB: draw(O * R, 'loraB'),
  }
}

type Parameters = ReturnType<typeof parameters>
type Values = Record<keyof Parameters, Float64Array>

function readAll(oracle: Oracle, { x, weight, bias, loraA, loraB }: Parameters): Values {
  return { x: read(x), weight: weight.read(oracle), bias: read(bias), loraA: read(loraA), loraB: read(loraB) }
}

function forward(oracle: Oracle, { x, weight, bias, loraA, loraB }: Values, { N, I, O, R }: LinearSizes): Float64Array {
  return oracle.add(oracle.linear(x, weight, bias, N, I, O), oracle.lora(x, loraA, loraB, SCALE, N, I, R, O))
}

/** t [N, R] = scale · x Aᵀ. */
function lowRank(oracle: Oracle, { x, loraA }: Values, { N, I, R }: LinearSizes): Float64Array {
  return oracle.linear(x, loraA, new Float64Array(R), N, I, R).map((value) => SCALE * value)
}

/** A record that names the slots which exist. */
function record({ I, O, R, format = 'f32' }: LinearSizes): Slot {
  return {
    role: 'record', record: 'linear',
    fields(at) {
      const addresses: Record<string, number> = {}
      for (const field of LINEAR_FIELDS) addresses[field] = at[field] ?? 0
      return { ...addresses, inputs: I, outputs: O, rank: R, scale: R ? SCALE : 0, format: formatCode(format) }
    },
  }
}

function parameterSlots({ R, bias }: LinearSizes, { weight, bias: row, loraA, loraB }: Parameters): Record<string, Slot> {
  return { ...weight.slots, ...(bias && { bias: input(row) }), ...(R && { loraA: input(loraA), loraB: input(loraB) }) }
}

function forwardCase(sizes: LinearSizes): Case {
  const { N, I, O, R, large } = sizes
  const sources = parameters(sizes)
  return kernelCase({
    operation: 'linear', sizes: label(sizes), tolerance: 2e-6, large,
    slots: {
      y: output(N * O), ...(R && { t: output(N * R) }), x: input(sources.x), layer: record(sizes), ...parameterSlots(sizes, sources),
      scratch: scratch((kernel) => kernel.linearScratchBytes(N, I, O, R)),
    } as Record<string, Slot>,
    call: (kernel, { y, t, x, layer, scratch }) => kernel.linear(y, t ?? 0, x, layer, N, scratch),
    expect(oracle) {
      const values = readAll(oracle, sources)
      return { y: forward(oracle, values, sizes), ...(R && { t: lowRank(oracle, values, sizes) }) }
    },
  })
}

type Wanted = { dx: 'overwritten' | 'added' | 'none'; weights: boolean; adapter: boolean }

function backwardCase(sizes: LinearSizes, wanted: Wanted): Case {
  const { N, I, O, R, bias, large } = sizes
  const sources = parameters(sizes)
  const dy = draw(N * O, 'dy')
  const start: Record<string, Source> = {
    dWeight: draw(O * I, 'dWeight'), dBias: draw(O, 'dBias'), dLoraA: draw(R * I, 'dLoraA'), dLoraB: draw(O * R, 'dLoraB'),
    ...(wanted.dx === 'added' && { dx: draw(N * I, 'dx') }),
  }
  const of: Record<string, keyof Parameters> = {
    ...(wanted.dx !== 'none' && { dx: 'x' as const }),
    ...(wanted.weights && { dWeight: 'weight' as const, ...(bias && { dBias: 'bias' as const }) }),
    ...(wanted.adapter && R && { dLoraA: 'loraA' as const, dLoraB: 'loraB' as const }),
  }
  const gradients = Object.fromEntries(Object.keys(of).map((name) =>
    [name, name === 'dx' && wanted.dx === 'overwritten' ? output(N * I) : running(start[name])]))
  const asked = `gradients ${Object.keys(of).join(' ')}${wanted.dx === 'added' ? ', dx added to' : ''}`
  return kernelCase({
    operation: 'linearBackward', sizes: `${label(sizes)}, ${asked}`, tolerance: 2e-6, large,
    slots: {
      ...gradients, dy: input(dy), x: input(sources.x), ...(R && { y: between(N * O), t: between(N * R) }), layer: record(sizes),
      ...parameterSlots(sizes, sources), scratch: scratch((kernel) => kernel.linearScratchBytes(N, I, O, R)),
    } as Record<string, Slot>,
    before: R ? (kernel, { x, y, t, layer, scratch }) => kernel.linear(y, t, x, layer, N, scratch) : undefined,
    call: (kernel, { dx, dy, x, t, layer, scratch }) =>
      kernel.linearBackward(dx ?? 0, dy, x, t ?? 0, layer, N, wanted.dx === 'added' ? 1 : 0, scratch),
    expect(oracle) {
      const values = readAll(oracle, sources)
      const moved = Object.fromEntries(Object.entries(of).map(([name, parameter]) => [name, values[parameter]]))
      const before = Object.fromEntries(Object.entries(start).map(([name, source]) => [name, read(source)]))
      return oracle.gradients(() => forward(oracle, values, sizes), read(dy), moved, before, large ? 2 : N * I * O > 10000 ? 8 : 40)
    },
  })
}

/** As a frozen layer runs, with its adapter. */
export function frozenCases(sizes: LinearSizes): [forward: Case, backward: Case] {
  return [forwardCase(sizes), backwardCase(sizes, { dx: 'overwritten', weights: false, adapter: true })]
}

export const listLinear = (): Case[] => [
  ...SIZES.map(forwardCase),
  ...SIZES.flatMap((sizes) => [
    backwardCase(sizes, { dx: 'overwritten', weights: true, adapter: true }),
    backwardCase(sizes, { dx: 'added', weights: false, adapter: true }),
    backwardCase(sizes, { dx: 'none', weights: true, adapter: false }),
  ]),
  ...NARROW.flatMap(frozenCases),
]
