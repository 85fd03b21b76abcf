/** Cases of assembly/block.ts: one encoder block, with and without adapters, everything or only the adapters trained. */
import { SAVED_FIELDS } from '../kernel/records.ts'
import { offsetsOf } from './attention.ts'
import { rowStats } from './rows.ts'
import type { Addresses, Case, Slot, Slots } from './case.ts'
import { between, input, kernelCase, output, running, scratch } from './case.ts'
import type { Oracle, Tensor } from './oracle.ts'
import { countOfSource, draw, list, read } from './source.ts'
import type { Source } from './source.ts'

const LINEARS = [
  { key: 'query', module: 'attention.self.query', saved: 'loraQuery', outputs: 'C', inputs: 'C' },
  { key: 'key', module: 'attention.self.key', saved: 'loraKey', outputs: 'C', inputs: 'C' },
  { key: 'value', module: 'attention.self.value', saved: 'loraValue', outputs: 'C', inputs: 'C' },
  { key: 'attention', module: 'attention.output.dense', saved: 'loraAttention', outputs: 'C', inputs: 'C' },
  { key: 'up', module: 'intermediate.dense', saved: 'loraUp', outputs: 'F', inputs: 'C' },
  { key: 'down', module: 'output.dense', saved: 'loraDown', outputs: 'C', inputs: 'F' },
] as const
const NORMS = [{ key: 'norm1', module: 'attention.output.LayerNorm' }, { key: 'norm2', module: 'output.LayerNorm' }] as const

type LinearKey = (typeof LINEARS)[number]['key']

/** Rows of each sequence, C width, H heads, F hidden width, R rank (0: no adapters) on the linear layers `adapted`. */
export type BlockSizes = {
  lengths: readonly number[]; C: number; H: number; F: number; R: number; adapted: readonly LinearKey[]; eps: number
  large?: boolean
}

const ALL = LINEARS.map(({ key }) => key)
export const BLOCK_SIZES: readonly BlockSizes[] = [
  { lengths: [1], C: 1, H: 1, F: 1, R: 1, adapted: ['query'], eps: 1e-5 },
  { lengths: [2, 5], C: 6, H: 2, F: 11, R: 0, adapted: [], eps: 1e-5 },
  { lengths: [1, 7, 3], C: 15, H: 3, F: 31, R: 2, adapted: ALL, eps: 1e-12 },
  { lengths: [4, 9], C: 24, H: 3, F: 40, R: 3, adapted: ['query', 'value'], eps: 1e-12 },
  { lengths: [11, 17], C: 64, H: 4, F: 256, R: 4, adapted: ['query', 'value'], eps: 1e-12 },
  // Sums over 260 rows fill whole panels, so that scratch is used up to the width of F.
  { lengths: new Array<number>(65).fill(4), C: 6, H: 2, F: 33, R: 2, adapted: ALL, eps: 1e-5 },
  // BERT-base.
  { lengths: [5, 2], C: 768, H: 12, F: 3072, R: 8, adapted: ['query', 'value'], eps: 1e-12, large: true },
]
const LORA_SCALE = Math.fround(5 / 3)
const PREFIX = 'encoder.layer.0'
/** One element of each gradient of a large block is looked at, and the largest of any gradient is at least 2.4. */
const LARGE_FLOOR = 2.4
/** Divides no case's rows. */
const FFN_ROWS = 3

/** The block's tensors by slot name: `query.weight`, `query.loraA`, `norm1.gain` …; the oracle reads the same values by theirs. */
function parametersOf({ C, F, R, adapted }: BlockSizes): Record<string, Source> {
  const width = { C, F }
  const tensors: Record<string, Source> = {}
  for (const { key, outputs, inputs } of LINEARS) {
    const O = width[outputs], I = width[inputs]
    tensors[`${key}.weight`] = draw(O * I, `${key}.weight`, 1.5 / Math.sqrt(I))
    tensors[`${key}.bias`] = draw(O, `${key}.bias`, 0.3)
    if (!adapted.includes(key)) continue
    tensors[`${key}.loraA`] = draw(R * I, `${key}.loraA`, C > 100 ? 0.05 : 0.5)
    tensors[`${key}.loraB`] = draw(O * R, `${key}.loraB`, 0.5)
  }
  for (const { key } of NORMS) {
    tensors[`${key}.gain`] = draw(C, `${key}.gain`, 0.5, 1)
    tensors[`${key}.bias`] = draw(C, `${key}.bias`, 0.3)
  }
  return tensors
}

type Tensors = Record<string, Float64Array>

function readAll(tensors: Record<string, Source>): Tensors {
  return Object.fromEntries(Object.entries(tensors).map(([name, source]) => [name, read(source)]))
}

function oracleWeights({ C, F, R, adapted }: BlockSizes, tensors: Tensors): Map<string, Tensor> {
  const width = { C, F }
  const weights = new Map<string, Tensor>()
  for (const { key, module, outputs, inputs } of LINEARS) {
    const O = width[outputs], I = width[inputs]
    weights.set(`${PREFIX}.${module}.weight`, { shape: [O, I], data: tensors[`${key}.weight`] })
    weights.set(`${PREFIX}.${module}.bias`, { shape: [O], data: tensors[`${key}.bias`] })
    if (!adapted.includes(key)) continue
    weights.set(`${PREFIX}.${module}.lora_A`, { shape: [R, I], data: tensors[`${key}.loraA`] })
    weights.set(`${PREFIX}.${module}.lora_B`, { shape: [O, R], data: tensors[`${key}.loraB`] })
  }
  for (const { key, module } of NORMS) {
    weights.set(`${PREFIX}.${module}.weight`, { shape: [C], data: tensors[`${key}.gain`] })
    weights.set(`${PREFIX}.${module}.bias`, { shape: [C], data: tensors[`${key}.bias`] })
  }
  return weights
}

/** What forward saves, in float64 by the oracle's operations, and the block's output. */
function trace(oracle: Oracle, sizes: BlockSizes, tensors: Tensors, x: Float64Array): Tensors {
  const { C, H, R, adapted, eps } = sizes
  const offsets = offsetsOf(sizes.lengths)
  const N = x.length / C
  const weights = oracleWeights(sizes, tensors)
  const apply = (module: string, from: Float64Array) => oracle.runLinear(weights, `${PREFIX}.${module}`, from, LORA_SCALE)
  const norm = (module: string, from: Float64Array) => oracle.runLayerNorm(weights, `${PREFIX}.${module}`, from, eps)
  const query = apply('attention.self.query', x), key = apply('attention.self.key', x), value = apply('attention.self.value', x)
  const context = oracle.attention(query, key, value, offsets, C, H)
  const sum1 = oracle.add(apply('attention.output.dense', context), x)
  const hidden = norm('attention.output.LayerNorm', sum1)
  const up = apply('intermediate.dense', hidden)
  const activated = oracle.gelu(up)
  const sum2 = oracle.add(apply('output.dense', activated), hidden)
  const inputs = { query: x, key: x, value: x, attention: context, up: hidden, down: activated }
  const low = LINEARS.filter(({ key }) => adapted.includes(key)).map(({ key: layer, saved }) => {
    const from = inputs[layer], I = from.length / N
    const a = tensors[`${layer}.loraA`]
    return [saved, Float64Array.from({ length: N * R }, (_, i) => {
      const row = Math.floor(i / R), r = i % R
      let sum = 0
      for (let k = 0; k < I; k++) sum += from[row * I + k] * a[r * I + k]
      return LORA_SCALE * sum
    })]
  })
  return {
    query, key, value, context, sum1, stats1: rowStats(sum1, eps, N, C), hidden, up, sum2, stats2: rowStats(sum2, eps, N, C),
    ...Object.fromEntries(low),
  }
}

/** Elements of what forward saves, by field. */
function savedCounts({ C, F, R, adapted }: BlockSizes, N: number): Record<string, number> {
  const fields = { query: C, key: C, value: C, context: C, sum1: C, stats1: 2, hidden: C, up: F, sum2: C, stats2: 2 }
  const low = LINEARS.filter(({ key }) => adapted.includes(key)).map(({ saved }) => [saved, N * R])
  return { ...Object.fromEntries(Object.entries(fields).map(([field, width]) => [field, N * width])), ...Object.fromEntries(low) }
}

function linearSlot(layer: (typeof LINEARS)[number], { C, F, R, adapted }: BlockSizes): Slot {
  const width = { C, F }
  const { key } = layer
  const on = adapted.includes(key)
  return {
    role: 'record', record: 'linear',
    fields: (at) => ({
      weight: at[`${key}.weight`], bias: at[`${key}.bias`], loraA: at[`${key}.loraA`] ?? 0, loraB: at[`${key}.loraB`] ?? 0,
      dWeight: at[`d ${key}.weight`] ?? 0, dBias: at[`d ${key}.bias`] ?? 0, dLoraA: at[`d ${key}.loraA`] ?? 0, dLoraB: at[`d ${key}.loraB`] ?? 0,
      inputs: width[layer.inputs], outputs: width[layer.outputs], rank: on ? R : 0, scale: on ? LORA_SCALE : 0,
    }),
  }
}

function normSlot(key: string, { C, eps }: BlockSizes): Slot {
  return {
    role: 'record', record: 'norm',
    fields: (at) => ({
      gain: at[`${key}.gain`], bias: at[`${key}.bias`], dGain: at[`d ${key}.gain`] ?? 0, dBias: at[`d ${key}.bias`] ?? 0, width: C, eps,
    }),
  }
}

/** The block's record, those of its layers and of what is saved, its parameters, and offsets. */
function blockSlots(sizes: BlockSizes, tensors: Record<string, Source>, ffnRows: number): Slots {
  const layers = Object.fromEntries([
    ...LINEARS.map((layer) => [`record ${layer.key}`, linearSlot(layer, sizes)]),
    ...NORMS.map(({ key }) => [`record ${key}`, normSlot(key, sizes)]),
  ]) as Record<string, Slot>
  const fields = (names: readonly string[], at: Addresses, prefix: string): Record<string, number> =>
    Object.fromEntries(names.map((name) => [name, at[`${prefix}${name}`] ?? 0]))
  return {
    ...Object.fromEntries(Object.entries(tensors).map(([name, source]) => [name, input(source)])),
    offsets: input(list(offsetsOf(sizes.lengths)), 'i32'),
    ...layers,
    block: {
      role: 'record', record: 'block',
      fields: (at) => ({ ...fields([...ALL, ...NORMS.map(({ key }) => key)], at, 'record '), heads: sizes.H, ffnRows }),
    },
    saved: { role: 'record', record: 'saved', fields: (at) => fields(SAVED_FIELDS, at, 'saved ') },
  }
}

const under = <T>(prefix: string, entries: Record<string, T>): Record<string, T> =>
  Object.fromEntries(Object.entries(entries).map(([name, value]) => [`${prefix} ${name}`, value]))

/** The lengths, or how many there are of one. */
const nameLengths = (lengths: readonly number[]) =>
  (lengths.length > 8 && lengths.every((length) => length === lengths[0]) ? `${lengths.length}×${lengths[0]}` : lengths.join())

const nameAdapted = (adapted: readonly LinearKey[]) => (adapted.length === ALL.length ? 'all' : adapted.join())

const labelOf = ({ lengths, C, H, F, R, adapted }: BlockSizes) =>
  `lengths=${nameLengths(lengths)} C=${C} H=${H} F=${F} R=${R}${R ? ` on ${nameAdapted(adapted)}` : ''}`

/** Fields of the saved record that are 0 where nothing needs them after the forward pass. */
const OPTIONAL = ['context', 'hidden', 'up']

/** N rows, S sequences, T rows of the longest. */
function shapeOf({ lengths }: BlockSizes): { N: number; S: number; T: number } {
  return { N: lengths.reduce((sum, length) => sum + length, 0), S: lengths.length, T: Math.max(...lengths) }
}

/** Forward from `x` [N, C], which is drawn unless given; `kept` false leaves out what only a backward pass may need. */
export function forwardCase(sizes: BlockSizes, from?: Source, kept = true): Case {
  const { lengths, C, H, F, R, large } = sizes
  const { N, S, T } = shapeOf(sizes)
  const tensors = parametersOf(sizes)
  const x = from ?? draw(N * C, 'x')
  const keeps = (name: string) => kept || !OPTIONAL.includes(name)
  const saved = Object.entries(savedCounts(sizes, N)).filter(([name]) => keeps(name)).map(([name, count]) => [name, output(count)] as const)
  return kernelCase({
    operation: 'blockForward', sizes: `${labelOf(sizes)}${kept ? '' : ', nothing kept'}`, tolerance: 2e-6, aliases: [['out', 'saved x']], large,
    slots: {
      out: output(N * C), 'saved x': input(x), ...under('saved', Object.fromEntries(saved)),
      ...blockSlots(sizes, tensors, FFN_ROWS), scratch: scratch((kernel) => kernel.blockScratchBytes(N, C, H, F, R, T, FFN_ROWS, 1)),
    } as Record<string, Slot>,
    call: (kernel, at) => kernel.blockForward(at.out, at.saved, at.block, at.offsets, N, S, T, at.scratch),
    expect(oracle) {
      const values = readAll(tensors)
      const config = { layers: 1, heads: H, layerNormEps: sizes.eps, loraScale: LORA_SCALE }
      const traced = Object.fromEntries(Object.entries(trace(oracle, sizes, values, read(x))).filter(([name]) => keeps(name)))
      return { out: oracle.runBlock(oracleWeights(sizes, values), config, 0, read(x), offsetsOf(lengths)), ...under('saved', traced) }
    },
  })
}

/**
 * Forward, then gradients of every parameter or of the adapters alone; of the input, or not. x and dOut [N, C] are drawn
 * unless given.
 */
export function backwardCase(sizes: BlockSizes, trained: 'all' | 'adapters', dxWanted: boolean, given?: { x: Source; dOut: Source }): Case {
  const { lengths, C, H, F, R, eps, large } = sizes
  const { N, S, T } = shapeOf(sizes)
  const tensors = parametersOf(sizes)
  const { x, dOut } = given ?? { x: draw(N * C, 'x'), dOut: draw(N * C, 'dOut') }
  const names = Object.keys(tensors).filter((name) => trained === 'all' || name.includes('lora'))
  const start = under('d', Object.fromEntries(names.map((name) => [name, draw(countOfSource(tensors[name]), `d ${name}`)])))
  const saved = Object.entries(savedCounts(sizes, N)).map(([name, count]) => [name, between(count)] as const)
  const ffnTrained = trained === 'all' || sizes.adapted.includes('up') || sizes.adapted.includes('down')
  const ffnRows = ffnTrained ? N : FFN_ROWS
  return kernelCase({
    operation: 'blockBackward', sizes: `${labelOf(sizes)}, ${trained} trained${dxWanted ? '' : ', no dx'}`, large,
    tolerance: 8e-6, floor: large ? LARGE_FLOOR : 0.1,
    aliases: dxWanted ? [['dx', 'dOut']] : [],
    slots: {
      ...(dxWanted && { dx: output(N * C) }), ...Object.fromEntries(Object.entries(start).map(([name, source]) => [name, running(source)])),
      dOut: input(dOut), out: between(N * C), 'saved x': input(x), ...under('saved', Object.fromEntries(saved)),
      ...blockSlots(sizes, tensors, ffnRows), scratch: scratch((kernel) => kernel.blockScratchBytes(N, C, H, F, R, T, ffnRows, 1)),
    } as Record<string, Slot>,
    before: (kernel, at) => kernel.blockForward(at.out, at.saved, at.block, at.offsets, N, S, T, at.scratch),
    call: (kernel, at) => kernel.blockBackward(at.dx ?? 0, at.dOut, at.saved, at.block, at.offsets, N, S, T, at.scratch),
    expect(oracle) {
      const values = readAll(tensors), from = read(x)
      const config = { layers: 1, heads: H, layerNormEps: eps, loraScale: LORA_SCALE }
      const weights = oracleWeights(sizes, values)
      const moved = { ...(dxWanted && { dx: from }), ...under('d', Object.fromEntries(names.map((name) => [name, values[name]]))) }
      const forward = () => oracle.runBlock(weights, config, 0, from, offsetsOf(lengths))
      return oracle.gradients(forward, read(dOut), moved, readAll(start), large ? 1 : C * F > 10000 || N > 100 ? 2 : 8)
    },
  })
}

const backwards = (sizes: BlockSizes) => [
  ...(sizes.large ? [] : [backwardCase(sizes, 'all', true)]), backwardCase(sizes, 'adapters', true), backwardCase(sizes, 'adapters', false),
]

export const listBlock = (): Case[] => [
  ...BLOCK_SIZES.flatMap((sizes) => [forwardCase(sizes), forwardCase(sizes, undefined, false)]),
  ...BLOCK_SIZES.flatMap(backwards),
]
