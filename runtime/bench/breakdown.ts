/**
 * Where the time of one training step goes: every operation of `assembly/block.ts` and of the stage around it, in their
 * order, run alone on the step's own tensors and records, times how often the step runs it. One thread.
 * N rows of S sequences of at most T rows, C width, F hidden, H heads, R rank, K labels.
 */
import { adamw, attention, attentionBackward, embedding, layerNorm, layerNormBackward } from '../kernel/calls.ts'
import { formatCode } from '../kernel/format.ts'
import { BLOCK_BYTES, readBlock } from '../kernel/records.ts'
import type { LinearKey } from '../model/names.ts'
import { LINEARS, blockName, widthOf } from '../model/names.ts'
import type { PlacedTensor } from '../model/plan.ts'
import type { Stage } from '../model/stage.ts'
import { ADAMW } from '../model/optimizer.ts'
import type { Cost } from './cost.ts'
import * as count from './cost.ts'
import { drawGradient } from './presets.ts'

/**
 * An operation that a step runs `count` times, after `Stage.forward`. The feed-forward part takes some rows at a time
 * (`ffnRows`): its operations have a call for each of these chunks, and a step makes the first of all before the second.
 */
export type Part = { phase: 'forward' | 'backward'; operation: string; count: number; cost: Cost; calls: readonly (() => void)[] }

/**
 * Tensors that a block keeps in its own scratch. Gradients have places of their own here, where the block puts them in
 * the place of what they are computed from: so an operation can run again and again.
 */
const NARROW = ['context', 'hidden', 'dSum2', 'dSum1', 'dContext', 'dQuery', 'dKey', 'dValue'] as const
const WIDE = ['gelu', 'dGelu', 'dUp'] as const

/** What a stage of `rows` reserves for them: [N, C] each, and at most [N, F]. */
export function breakdownBytes(rows: number, C: number, F: number): number {
  return 4 * rows * (NARROW.length * C + WIDE.length * F)
}

type Own = Readonly<Record<(typeof NARROW)[number] | (typeof WIDE)[number], number>>
type Chunk = { row: number; rows: number }

type Context = {
  stage: Stage
  lengths: readonly number[]
  N: number
  S: number
  T: number
  C: number
  F: number
  /** Addresses of the tensors above. */
  own: Own
  /** Rows of the feed-forward part that are in work at a time. */
  chunks: readonly Chunk[]
}

function placeOwn({ reserve, ffnRows }: Stage['plan'], N: number, C: number, F: number): Own {
  const wide = reserve + 4 * N * C * NARROW.length
  const rows = Math.min(N, ffnRows)
  return Object.fromEntries([
    ...NARROW.map((name, index) => [name, reserve + 4 * N * C * index]), ...WIDE.map((name, index) => [name, wide + 4 * rows * F * index]),
  ]) as Own
}

function openContext(stage: Stage, lengths: readonly number[]): Context {
  const { hiddenSize: C, intermediateSize: F } = stage.spec.config
  const { ffnRows } = stage.plan
  const N = lengths.reduce((sum, length) => sum + length, 0)
  const chunks = Array.from({ length: Math.ceil(N / ffnRows) }, (_, index) => ({ row: index * ffnRows, rows: Math.min(ffnRows, N - index * ffnRows) }))
  return { stage, lengths, N, S: lengths.length, T: Math.max(...lengths), C, F, own: placeOwn(stage.plan, N, C, F), chunks }
}

/** The parts of a step over sequences of `lengths`, on which `forward` has run. The stage has one thread and reserves `breakdownBytes`. */
export function listParts(stage: Stage, lengths: readonly number[]): Part[] {
  const context = openContext(stage, lengths)
  const { head } = stage.plan
  const all = [
    ...embeddingParts(context), ...forwardParts(context), ...(head ? headForwardParts(context) : []),
    clearPart(context), ...(head ? headBackwardParts(context) : [gradientPart(context)]), ...backwardParts(context), updatePart(context),
  ]
  return all.filter((part) => part.count > 0)
}

/** Runs a part once: all its chunks. */
export function runPart({ calls }: Part): void {
  for (const call of calls) call()
}

function rankOf({ spec: { adapter } }: Stage, key: LinearKey): number {
  return adapter?.targets.includes(key) ? adapter.rank : 0
}

/** What the frozen matrices are held in. */
function formatOf({ spec: { format = 'f32' } }: Stage) {
  return format
}

function tensorOf(stage: Stage, name: string): PlacedTensor {
  return stage.plan.weights.tensors.find((tensor) => tensor.name === name)!
}

function normOf(stage: Stage, name: string): { gain: number; bias: number } {
  return { gain: tensorOf(stage, `${name}.weight`).address, bias: tensorOf(stage, `${name}.bias`).address }
}

function embeddingParts({ stage, N, S, C }: Context): Part[] {
  const { kernel, plan: { batch, embeddings, saved }, spec: { config } } = stage
  const [word, position, type] = ['word', 'position', 'token_type'].map((name) => tensorOf(stage, `embeddings.${name}_embeddings.weight`))
  const { gain, bias } = normOf(stage, 'embeddings.LayerNorm')
  const out = saved[0].x, format = formatOf(stage)
  return [
    {
      phase: 'forward', operation: 'embedding', count: 1, cost: count.embeddingCost(N, C, format),
      calls: [() => embedding(kernel, {
        out, ids: batch.ids, types: 0, offsets: batch.offsets, word: word.address, position: position.address, type: type.address,
        format: formatCode(format), wordScales: word.scales, positionScales: position.scales, typeScales: type.scales, S, C,
      })],
    },
    {
      phase: 'forward', operation: 'embedding layerNorm', count: 1, cost: count.layerNormCost(N, C),
      calls: [() => layerNorm(kernel, { out, stats: embeddings.stats, x: out, gain, bias, N, C, eps: config.layerNormEps })],
    },
  ]
}

/** The last block's record, saved tensors and norms: all of its operations run in every step. */
function lastBlock({ stage, own }: Context) {
  const { plan, spec: { to, from } } = stage
  const index = to - 1 - from
  const { fields, lora } = plan.saved[index]
  const record = readBlock(stage.memory.buffer, plan.records.blocks + BLOCK_BYTES * index)
  const norm = (name: string) => normOf(stage, `${blockName(to - 1)}.${name}.LayerNorm`)
  // What no trained layer reads, the block does not save.
  const kept = { ...fields, context: fields.context || own.context, hidden: fields.hidden || own.hidden }
  return { fields: kept, lora, record, norm1: norm('attention.output'), norm2: norm('output') }
}

/** A layer of the last block: O outputs, I inputs, R rank; t and its record. */
function layerOf(context: Context, key: LinearKey) {
  const { config } = context.stage.spec
  const { lora, record } = lastBlock(context)
  const { input, output } = LINEARS.find((linear) => linear.key === key)!
  return { O: widthOf(config, output), I: widthOf(config, input), R: rankOf(context.stage, key), t: lora[key], record: record[key] }
}

/** Address of a tensor's row; of none where there is no tensor. */
function rowsAt(address: number, row: number, width: number): number {
  return address && address + 4 * row * width
}

/** What [N, width] is read or written: row by row as chunks come, or in the one place that every chunk uses. */
type Operand = { address: number; shared?: boolean }

function operandAt({ address, shared }: Operand, row: number, width: number): number {
  return shared ? address : rowsAt(address, row, width)
}

function linearPart(context: Context, key: LinearKey, y: Operand, x: Operand, chunks: readonly Chunk[]): Part {
  const { stage, N } = context
  const { kernel, plan: { scratch }, spec: { from, to } } = stage
  const { O, I, R, t, record } = layerOf(context, key)
  return {
    phase: 'forward', operation: `${key} linear`, count: to - from, cost: count.linearCost(N, O, I, R, formatOf(stage)),
    calls: chunks.map(({ row, rows }) => () =>
      kernel.linear(operandAt(y, row, O), rowsAt(t, row, R), operandAt(x, row, I), record, rows, scratch)),
  }
}

/** A block's forward pass: each part once, in order, writes what `blockForward` writes. */
function forwardParts(context: Context): Part[] {
  const { stage, lengths, N, S, T, C, F, own, chunks } = context
  const { kernel, plan: { batch, scratch }, spec: { config: { heads: H, layerNormEps: eps }, from, to } } = stage
  const { fields, norm1, norm2 } = lastBlock(context)
  const whole = [{ row: 0, rows: N }]
  const part = (operation: string, cost: Cost, ...calls: (() => void)[]): Part => ({ phase: 'forward', operation, count: to - from, cost, calls })
  const residual = (name: string, out: number, x: number) => part(name, count.addCost(N * C), () => kernel.add(out, x, N * C))
  const gelu = { address: own.gelu, shared: true }
  return [
    ...(['query', 'key', 'value'] as const).map((key) => linearPart(context, key, { address: fields[key] }, { address: fields.x }, whole)),
    part('attention', count.attentionCost(lengths, H, C),
      () => attention(kernel, {
        out: fields.context, q: fields.query, k: fields.key, v: fields.value, offsets: batch.offsets, S, H, D: C / H, T, scratch,
      })),
    linearPart(context, 'attention', { address: fields.sum1 }, { address: fields.context }, whole),
    residual('attention residual', fields.sum1, fields.x),
    part('attention layerNorm', count.layerNormCost(N, C),
      () => layerNorm(kernel, { out: fields.hidden, stats: fields.stats1, x: fields.sum1, gain: norm1.gain, bias: norm1.bias, N, C, eps })),
    linearPart(context, 'up', { address: fields.up }, { address: fields.hidden }, chunks),
    part('gelu', count.geluCost(N * F), ...chunks.map(({ row, rows }) => () => kernel.gelu(own.gelu, rowsAt(fields.up, row, F), rows * F, scratch))),
    linearPart(context, 'down', { address: fields.sum2 }, gelu, chunks),
    residual('output residual', fields.sum2, fields.hidden),
    part('output layerNorm', count.layerNormCost(N, C),
      () => layerNorm(kernel, {
        out: stage.plan.out, stats: fields.stats2, x: fields.sum2, gain: norm2.gain, bias: norm2.bias, N, C, eps,
      })),
  ]
}

type LayerBackward = { key: LinearKey; dx: Operand; dy: Operand; x: number; accumulate?: boolean; times: number; chunks?: readonly Chunk[] }

/** `times` of a layer's backward pass with dx, added to where `accumulate`, or without it (address 0). */
function linearBackwardPart(context: Context, { key, dx, dy, x, accumulate = false, times, chunks }: LayerBackward): Part {
  const { stage, N } = context
  const { kernel, plan: { scratch } } = stage
  const { O, I, R, t, record } = layerOf(context, key)
  const wanted = dx.address !== 0
  return {
    phase: 'backward', operation: `${key} linear${wanted ? '' : ', adapter only'}`, count: wanted || R > 0 ? times : 0,
    cost: count.linearBackwardCost({ N, O, I, R, wanted, accumulate, format: formatOf(stage) }),
    calls: (chunks ?? [{ row: 0, rows: N }]).map(({ row, rows }) => () => kernel.linearBackward(
      operandAt(dx, row, I), operandAt(dy, row, O), rowsAt(x, row, I), rowsAt(t, row, R), record, rows, accumulate ? 1 : 0, scratch)),
  }
}

/** The feed-forward part: where one of its layers is trained, GELU is computed again for it, and there is one chunk. */
function feedForwardBackwardParts(context: Context): Part[] {
  const { stage, N, F, own, chunks } = context
  const { kernel, plan: { scratch }, spec: { from, to } } = stage
  const { fields } = lastBlock(context)
  const times = to - from
  const trained = rankOf(stage, 'up') + rankOf(stage, 'down') > 0
  const dGelu = { address: own.dGelu, shared: true }, dUp = { address: own.dUp, shared: true }, dSum2 = { address: own.dSum2 }
  return [
    {
      phase: 'backward', operation: 'gelu again', count: trained ? times : 0, cost: count.geluCost(N * F),
      calls: [() => kernel.gelu(own.gelu, fields.up, N * F, scratch)],
    },
    linearBackwardPart(context, { key: 'down', dx: dGelu, dy: dSum2, x: trained ? own.gelu : 0, times, chunks }),
    {
      phase: 'backward', operation: 'gelu', count: times, cost: count.geluBackwardCost(N * F),
      calls: chunks.map(({ row, rows }) => () => kernel.geluBackward(own.dUp, own.dGelu, rowsAt(fields.up, row, F), rows * F, scratch)),
    },
    linearBackwardPart(context, { key: 'up', dx: dSum2, dy: dUp, x: fields.hidden, accumulate: true, times, chunks }),
  ]
}

/** A block's backward pass, likewise, but for `dx`, which is not copied first. */
function backwardParts(context: Context): Part[] {
  const { stage, lengths, N, S, T, C, own } = context
  const { kernel, plan: { batch, scratch, dOut }, spec: { config: { heads: H }, from, to } } = stage
  const { fields, norm1, norm2 } = lastBlock(context)
  const blocks = to - from, upper = from === 0 ? blocks - 1 : blocks
  const part = (operation: string, cost: Cost, run: () => void): Part => ({ phase: 'backward', operation, count: blocks, cost, calls: [run] })
  const norm = (name: string, { dx, dOut, stats, x, gain }: { dx: number; dOut: number; stats: number; x: number; gain: number }) =>
    part(name, count.layerNormBackwardCost(N, C), () =>
      layerNormBackward(kernel, { dx, dGain: 0, dBias: 0, dOut, stats, x, gain, N, C, row: scratch }))
  const inputs = [['query', own.dQuery], ['key', own.dKey], ['value', own.dValue]] as const
  return [
    norm('output layerNorm', { dx: own.dSum2, dOut, stats: fields.stats2, x: fields.sum2, gain: norm2.gain }),
    ...feedForwardBackwardParts(context),
    norm('attention layerNorm', { dx: own.dSum1, dOut: own.dSum2, stats: fields.stats1, x: fields.sum1, gain: norm1.gain }),
    linearBackwardPart(context, { key: 'attention', dx: { address: own.dContext }, dy: { address: own.dSum1 }, x: fields.context, times: blocks }),
    part('attention', count.attentionBackwardCost(lengths, H, C), () => attentionBackward(kernel, {
      dq: own.dQuery, dk: own.dKey, dv: own.dValue, dOut: own.dContext, q: fields.query, k: fields.key, v: fields.value,
      offsets: batch.offsets, S, H, D: C / H, T, scratch,
    })),
    // Below the first block nothing is trained, so its inputs' gradient is not wanted.
    ...inputs.flatMap(([key, address]) => {
      const layer = { key, dy: { address }, x: fields.x, accumulate: true }
      return [
        linearBackwardPart(context, { ...layer, dx: { address: own.dSum1 }, times: upper }),
        linearBackwardPart(context, { ...layer, dx: { address: 0 }, times: blocks - upper }),
      ]
    }),
  ]
}

function clearPart({ stage }: Context): Part {
  const { count: P } = stage.plan.sets[0].layout
  return { phase: 'backward', operation: 'clear gradients', count: 1, cost: count.fillCost(P), calls: [() => stage.clearGradients()] }
}

/** Where the stage ends below the head, dOut comes from outside. */
function gradientPart({ stage, N, C }: Context): Part {
  const received = drawGradient(N * C)
  return {
    phase: 'backward', operation: 'activation gradient', count: 1, cost: count.copyCost(N * C),
    calls: [() => stage.view(stage.plan.dOut, N * C).set(received)],
  }
}

function updatePart({ stage }: Context): Part {
  const { kernel, plan: { sets: [set], setGrads } } = stage
  const { beta1, beta2, eps } = ADAMW
  const P = set.layout.count
  return {
    phase: 'backward', operation: 'adamw', count: 1, cost: count.adamwCost(P),
    calls: [() => adamw(kernel, {
      p: set.params, m: set.m, v: set.v, g: setGrads, n: P,
      keep: 1, beta1, rest1: 1 - beta1, beta2, rest2: 1 - beta2, step: 0, correction: 1, eps,
    })],
  }
}

/** Both layers see the first row of each sequence; the classifier, which is trained, is f32. */
function headForwardParts({ stage, S, C }: Context): Part[] {
  const { kernel, plan: { classify, records, out, batch, scratch }, spec: { labels: K } } = stage
  const part = (operation: string, cost: Cost, run: () => void): Part => ({ phase: 'forward', operation, count: 1, cost, calls: [run] })
  return [
    part('gather first rows', count.gatherCost(S, C), () => kernel.gatherRows(classify.first, out, batch.offsets, S, C)),
    part('pooler linear', count.linearCost(S, C, C, 0, formatOf(stage)),
      () => kernel.linear(classify.pooled, 0, classify.first, records.pooler, S, scratch)),
    part('pooler tanh', count.tanhCost(S * C), () => kernel.tanh(classify.pooled, classify.pooled, S * C)),
    part('classifier linear', count.linearCost(S, K, C, 0, 'f32'), () => kernel.linear(classify.logits, 0, classify.pooled, records.classifier, S, scratch)),
  ]
}

function headBackwardParts({ stage, N, S, C, own }: Context): Part[] {
  const { kernel, plan: { classify, records, batch, scratch, dOut }, spec: { labels: K } } = stage
  const part = (operation: string, cost: Cost, run: () => void): Part => ({ phase: 'backward', operation, count: 1, cost, calls: [run] })
  const narrow = { N: S, I: C, R: 0, wanted: true, accumulate: false }
  return [
    part('cross-entropy', count.crossEntropyCost(S, K),
      () => { kernel.crossEntropy(classify.losses, classify.logits, classify.logits, batch.labels, S, K) }),
    part('classifier linear', count.linearBackwardCost({ ...narrow, O: K, format: 'f32', weight: true }),
      () => kernel.linearBackward(classify.dPooled, classify.logits, classify.pooled, 0, records.classifier, S, 0, scratch)),
    part('pooler tanh', count.tanhBackwardCost(S * C), () => kernel.tanhBackward(own.dQuery, classify.dPooled, classify.pooled, S * C)),
    part('pooler linear', count.linearBackwardCost({ ...narrow, O: C, format: formatOf(stage) }),
      () => kernel.linearBackward(classify.pooled, own.dQuery, classify.first, 0, records.pooler, S, 0, scratch)),
    part('clear activation gradient', count.fillCost(N * C), () => kernel.fill(dOut, 0, N * C)),
    part('scatter first rows', count.gatherCost(S, C, true), () => kernel.gatherRowsBackward(dOut, classify.pooled, batch.offsets, S, C)),
  ]
}
