/** Cases of assembly/linear.ts: with and without bias, adapter, and each gradient wanted or not. */
import type { LinearRecord } from '../../runtime/kernel/records.ts'
import { LINEAR_BYTES, LINEAR_FIELDS, writeLinear } from '../../runtime/kernel/records.ts'
import { add, linear, lora } from '../oracle/bert.ts'
import type { Addresses, Case, Slot } from './case.ts'
import { draw, expectGradients, input, kernelCase, output, round, running, scratch } from './case.ts'

/** N rows, I inputs, O outputs, R rank (0: no adapter). */
type Sizes = { N: number; I: number; O: number; R: number; bias: boolean }

const SIZES: readonly Sizes[] = [
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
]
const SCALE = Math.fround(5 / 3)

const label = ({ N, I, O, R, bias }: Sizes) => `N=${N} I=${I} O=${O} R=${R}${bias ? ' bias' : ''}`

function parameters({ N, I, O, R, bias }: Sizes) {
  return {
    x: draw(N * I, 'x'), weight: draw(O * I, 'weight'), bias: draw(O, 'bias', bias ? 1 : 0), loraA: draw(R * I, 'loraA'), loraB: draw(O * R, 'loraB'),
  }
}

type Parameters = ReturnType<typeof parameters>

function forward({ x, weight, bias, loraA, loraB }: Parameters, { N, I, O, R }: Sizes): Float64Array {
  return add(linear(x, weight, bias, N, I, O), lora(x, loraA, loraB, SCALE, N, I, R, O))
}

/** t [N, R] = scale · x Aᵀ. */
function lowRank({ x, loraA }: Parameters, { N, I, R }: Sizes): Float64Array {
  return linear(x, loraA, new Float64Array(R), N, I, R).map((value) => SCALE * value)
}

/** A record that names the slots which exist. */
function record({ I, O, R }: Sizes): Slot {
  return {
    role: 'record', bytes: LINEAR_BYTES,
    write: (buffer, address, at: Addresses) => {
      const addresses = Object.fromEntries(LINEAR_FIELDS.map((field) => [field, at[field] ?? 0])) as LinearRecord
      writeLinear(buffer, address, { ...addresses, inputs: I, outputs: O, rank: R, scale: R ? SCALE : 0, format: 0, scales: 0 })
    },
  }
}

function parameterSlots({ R, bias }: Sizes, { weight, bias: row, loraA, loraB }: Parameters): Record<string, Slot> {
  return { weight: input(weight), ...(bias && { bias: input(row) }), ...(R && { loraA: input(loraA), loraB: input(loraB) }) }
}

function forwardCase(sizes: Sizes): Case {
  const { N, I, O, R } = sizes
  const values = parameters(sizes)
  return kernelCase({
    operation: 'linear', sizes: label(sizes), tolerance: 2e-6,
    slots: {
      y: output(N * O), ...(R && { t: output(N * R) }), x: input(values.x), layer: record(sizes), ...parameterSlots(sizes, values),
      scratch: scratch((kernel) => kernel.linearScratchBytes(N, I, O, R)),
    } as Record<string, Slot>,
    call: (kernel, { y, t, x, layer, scratch }) => kernel.linear(y, t ?? 0, x, layer, N, scratch),
    expect: () => ({ y: forward(values, sizes), ...(R && { t: lowRank(values, sizes) }) }),
  })
}

type Wanted = { dx: 'overwritten' | 'added' | 'none'; weights: boolean; adapter: boolean }

function backwardCase(sizes: Sizes, wanted: Wanted): Case {
  const { N, I, O, R, bias } = sizes
  const values = parameters(sizes)
  const dy = draw(N * O, 'dy')
  const start = {
    dWeight: draw(O * I, 'dWeight'), dBias: draw(O, 'dBias'), dLoraA: draw(R * I, 'dLoraA'), dLoraB: draw(O * R, 'dLoraB'),
    dx: wanted.dx === 'added' ? draw(N * I, 'dx') : new Float64Array(0),
  }
  const of: Record<string, Float64Array> = {
    ...(wanted.dx !== 'none' && { dx: values.x }),
    ...(wanted.weights && { dWeight: values.weight, ...(bias && { dBias: values.bias }) }),
    ...(wanted.adapter && R && { dLoraA: values.loraA, dLoraB: values.loraB }),
  }
  const gradients = Object.fromEntries(Object.keys(of).map((name) =>
    [name, name === 'dx' && wanted.dx === 'overwritten' ? output(N * I) : running(start[name as keyof typeof start])]))
  const asked = `gradients ${Object.keys(of).join(' ')}${wanted.dx === 'added' ? ', dx added to' : ''}`
  return kernelCase({
    operation: 'linearBackward', sizes: `${label(sizes)}, ${asked}`, tolerance: 2e-6,
    slots: {
      ...gradients, dy: input(dy), x: input(values.x), ...(R && { t: input(round(lowRank(values, sizes))) }), layer: record(sizes),
      ...parameterSlots(sizes, values), scratch: scratch((kernel) => kernel.linearScratchBytes(N, I, O, R)),
    } as Record<string, Slot>,
    call: (kernel, { dx, dy, x, t, layer, scratch }) =>
      kernel.linearBackward(dx ?? 0, dy, x, t ?? 0, layer, N, wanted.dx === 'added' ? 1 : 0, scratch),
    expect: () => expectGradients(() => forward(values, sizes), dy, of, start, N * I * O > 10000 ? 8 : 40),
  })
}

export const LINEAR: readonly Case[] = [
  ...SIZES.map(forwardCase),
  ...SIZES.flatMap((sizes) => [
    backwardCase(sizes, { dx: 'overwritten', weights: true, adapter: true }),
    backwardCase(sizes, { dx: 'added', weights: false, adapter: true }),
    backwardCase(sizes, { dx: 'none', weights: true, adapter: false }),
  ]),
]
