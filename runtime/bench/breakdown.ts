/**
 * Where the time of one training step goes: every operation of `assembly/block.ts` and of the stage around it, in their
 * order, run alone on the step's own tensors and records, times how often the step runs it.
 * N rows of S sequences of at most T rows, C width, F hidden, H heads, R rank, K labels.
 */
import { BLOCK_BYTES, readBlock } from '../kernel/records.ts'
import type { LinearKey } from '../model/names.ts'
import { LINEARS, widthOf } from '../model/names.ts'
import type { Stage } from '../model/stage.ts'
import { ADAMW } from '../model/stage.ts'
import type { Cost } from './cost.ts'
import * as count from './cost.ts'
import { GRADIENT_BOUND, fillDrawn } from './presets.ts'

/** An operation that a step runs `count` times; `run` takes what `Stage.forward` has left. */
export type Part = { phase: 'forward' | 'backward'; operation: string; count: number; cost: Cost; run(): void }

/** Gradients that a block's backward pass keeps in its own scratch: six [N, C] and two [N, F]. */
const NARROW = ['sum2', 'sum1', 'hidden', 'query', 'key', 'value'] as const
const WIDE = ['up', 'gelu'] as const

/** What a stage of `rows` reserves for them. */
export function breakdownBytes(rows: number, C: number, F: number): number {
  return 4 * rows * (NARROW.length * C + WIDE.length * F)
}

type Context = {
  stage: Stage
  lengths: readonly number[]
  N: number
  S: number
  T: number
  C: number
  F: number
  /** Addresses of gradients. */
  d: Readonly<Record<(typeof NARROW)[number] | (typeof WIDE)[number], number>>
}

function openContext(stage: Stage, lengths: readonly number[]): Context {
  const { hiddenSize: C, intermediateSize: F } = stage.spec.config
  const N = lengths.reduce((sum, length) => sum + length, 0)
  const { reserve } = stage.plan
  const wide = reserve + 4 * N * C * NARROW.length
  const d = Object.fromEntries([
    ...NARROW.map((name, index) => [name, reserve + 4 * N * C * index]), ...WIDE.map((name, index) => [name, wide + 4 * N * F * index]),
  ]) as Context['d']
  fillDrawn(stage.view(reserve, breakdownBytes(N, C, F) / 4), GRADIENT_BOUND)
  return { stage, lengths, N, S: lengths.length, T: Math.max(...lengths), C, F, d }
}

/** The parts of a step over sequences of `lengths`, on which `forward` has run. The stage reserves `breakdownBytes`. */
export function listParts(stage: Stage, lengths: readonly number[]): Part[] {
  const context = openContext(stage, lengths)
  const head = stage.plan.head
  const all = [
    ...embeddingParts(context), ...forwardParts(context), ...(head ? headForwardParts(context) : []),
    clearPart(context), ...(head ? headBackwardParts(context) : []), ...backwardParts(context), updatePart(context),
  ]
  return all.filter((part) => part.count > 0)
}

function rankOf({ spec: { adapter } }: Stage, key: LinearKey): number {
  return adapter?.targets.includes(key) ? adapter.rank : 0
}

function embeddingParts({ stage, N, S, C }: Context): Part[] {
  const { kernel, plan: { batch, embeddings, saved }, spec: { config } } = stage
  const at = (name: string) => stage.addressOf(`embeddings.${name}`)
  const [word, position, type] = ['word', 'position', 'token_type'].map((name) => at(`${name}_embeddings.weight`))
  const out = saved[0].x
  return [
    {
      phase: 'forward', operation: 'embedding', count: 1, cost: count.embeddingCost(N, C),
      run: () => kernel.embedding(out, batch.ids, 0, batch.offsets, word, position, type, S, C),
    },
    {
      phase: 'forward', operation: 'embedding layerNorm', count: 1, cost: count.layerNormCost(N, C),
      run: () => kernel.layerNorm(out, embeddings.stats, out, at('LayerNorm.weight'), at('LayerNorm.bias'), N, C, config.layerNormEps),
    },
  ]
}

/** The last block's record, saved tensors and norms: all of its operations run in every step. */
function lastBlock(stage: Stage) {
  const { plan, spec: { to, from } } = stage
  const index = to - 1 - from
  const { fields, lora } = plan.saved[index]
  const record = readBlock(stage.memory.buffer, plan.records.blocks + BLOCK_BYTES * index)
  const norm = (name: string) => {
    const at = `encoder.layer.${to - 1}.${name}.LayerNorm`
    return { gain: stage.addressOf(`${at}.weight`), bias: stage.addressOf(`${at}.bias`) }
  }
  return { fields, lora, record, norm1: norm('attention.output'), norm2: norm('output') }
}

/** Where each linear layer reads and writes, among what forward saves. */
const FLOW: Readonly<Record<LinearKey, { x: string; y: string }>> = {
  query: { x: 'x', y: 'query' }, key: { x: 'x', y: 'key' }, value: { x: 'x', y: 'value' },
  attention: { x: 'context', y: 'sum1' }, up: { x: 'hidden', y: 'up' }, down: { x: 'gelu', y: 'sum2' },
}

function linearPart({ stage, N }: Context, key: LinearKey): Part {
  const { kernel, plan: { scratch }, spec: { config, from, to } } = stage
  const { fields, lora, record } = lastBlock(stage)
  const { input, output } = LINEARS.find((linear) => linear.key === key)!
  const { x, y } = FLOW[key]
  return {
    phase: 'forward', operation: `${key} linear`, count: to - from,
    cost: count.linearCost(N, widthOf(config, output), widthOf(config, input), rankOf(stage, key)),
    run: () => kernel.linear(fields[y], lora[key], fields[x], record[key], N, scratch),
  }
}

/** A block's forward pass: each part once, in order, writes what `blockForward` writes. */
function forwardParts(context: Context): Part[] {
  const { stage, lengths, N, S, T, C, F } = context
  const { kernel, plan: { batch, scratch }, spec: { config: { heads: H, layerNormEps: eps }, from, to } } = stage
  const { fields, norm1, norm2 } = lastBlock(stage)
  const part = (operation: string, cost: Cost, run: () => void): Part => ({ phase: 'forward', operation, count: to - from, cost, run })
  const residual = (name: string, out: number, x: number) => part(name, count.addCost(N * C), () => kernel.add(out, x, N * C))
  return [
    ...(['query', 'key', 'value'] as const).map((key) => linearPart(context, key)),
    part('attention', count.attentionCost(lengths, H, C),
      () => kernel.attention(fields.context, fields.query, fields.key, fields.value, batch.offsets, S, H, C / H, T, scratch)),
    linearPart(context, 'attention'),
    residual('attention residual', fields.sum1, fields.x),
    part('attention layerNorm', count.layerNormCost(N, C),
      () => kernel.layerNorm(fields.hidden, fields.stats1, fields.sum1, norm1.gain, norm1.bias, N, C, eps)),
    linearPart(context, 'up'),
    part('gelu', count.geluCost(N * F), () => kernel.gelu(fields.gelu, fields.up, N * F)),
    linearPart(context, 'down'),
    residual('output residual', fields.sum2, fields.hidden),
    part('output layerNorm', count.layerNormCost(N, C),
      () => kernel.layerNorm(stage.plan.out, fields.stats2, fields.sum2, norm2.gain, norm2.bias, N, C, eps)),
  ]
}

/** `times` of a layer's backward pass with dx, added to where `accumulate`, or without it. */
function linearBackwardPart({ stage, N }: Context, key: LinearKey, times: number, dx: number, dy: number, accumulate: boolean): Part {
  const { kernel, plan: { scratch }, spec: { config } } = stage
  const { fields, lora, record } = lastBlock(stage)
  const { input, output } = LINEARS.find((linear) => linear.key === key)!
  const R = rankOf(stage, key), O = widthOf(config, output), I = widthOf(config, input)
  const wanted = dx !== 0
  return {
    phase: 'backward', operation: `${key} linear${wanted ? '' : ', adapter only'}`, count: wanted || R > 0 ? times : 0,
    cost: count.linearBackwardCost({ N, O, I, R, wanted, accumulate }),
    run: () => kernel.linearBackward(dx, dy, fields[FLOW[key].x], lora[key], record[key], N, accumulate ? 1 : 0, scratch),
  }
}

/** A block's backward pass, likewise, but for `dx`, which is not copied first. */
function backwardParts(context: Context): Part[] {
  const { stage, lengths, N, S, T, C, F, d } = context
  const { kernel, plan: { batch, scratch, dOut }, spec: { config: { heads: H }, from, to } } = stage
  const { fields, norm1, norm2 } = lastBlock(stage)
  const blocks = to - from, upper = from === 0 ? blocks - 1 : blocks
  const part = (operation: string, cost: Cost, run: () => void): Part => ({ phase: 'backward', operation, count: blocks, cost, run })
  const norm = (name: string, dx: number, dy: number, stats: number, x: number, gain: number) =>
    part(name, count.layerNormBackwardCost(N, C), () => kernel.layerNormBackward(dx, 0, 0, dy, stats, x, gain, N, C, scratch))
  return [
    norm('output layerNorm', d.sum2, dOut, fields.stats2, fields.sum2, norm2.gain),
    linearBackwardPart(context, 'down', blocks, d.gelu, d.sum2, false),
    part('gelu', count.geluBackwardCost(N * F), () => kernel.geluBackward(d.up, d.gelu, fields.up, N * F)),
    linearBackwardPart(context, 'up', blocks, d.sum2, d.up, true),
    norm('attention layerNorm', d.sum1, d.sum2, fields.stats1, fields.sum1, norm1.gain),
    linearBackwardPart(context, 'attention', blocks, d.hidden, d.sum1, false),
    part('attention', count.attentionBackwardCost(lengths, H, C), () => kernel.attentionBackward(
      d.query, d.key, d.value, d.hidden, fields.query, fields.key, fields.value, batch.offsets, S, H, C / H, T, scratch)),
    // Below the first block nothing is trained, so its inputs' gradient is not wanted.
    ...(['query', 'key', 'value'] as const).flatMap((key) => [
      linearBackwardPart(context, key, upper, d.sum1, d[key], true), linearBackwardPart(context, key, blocks - upper, 0, d[key], true),
    ]),
  ]
}

function clearPart({ stage }: Context): Part {
  const { count: P } = stage.plan.sets[0].layout
  return { phase: 'backward', operation: 'clear gradients', count: 1, cost: count.fillCost(P), run: () => stage.clearGradients() }
}

function updatePart({ stage }: Context): Part {
  const { kernel, plan: { sets: [set], setGrads } } = stage
  const { beta1, beta2, eps } = ADAMW
  const P = set.layout.count
  return {
    phase: 'backward', operation: 'adamw', count: 1, cost: count.adamwCost(P),
    run: () => kernel.adamw(set.params, set.m, set.v, setGrads, P, 1, beta1, 1 - beta1, beta2, 1 - beta2, 0, 1, eps),
  }
}

/** Both layers see the first row of each sequence. */
function headForwardParts({ stage, S, C }: Context): Part[] {
  const { kernel, plan: { classify, records, out, batch, scratch }, spec: { labels: K } } = stage
  const part = (operation: string, cost: Cost, run: () => void): Part => ({ phase: 'forward', operation, count: 1, cost, run })
  return [
    part('gather first rows', count.gatherCost(S, C), () => kernel.gatherRows(classify.first, out, batch.offsets, S, C)),
    part('pooler linear', count.linearCost(S, C, C, 0), () => kernel.linear(classify.pooled, 0, classify.first, records.pooler, S, scratch)),
    part('pooler tanh', count.tanhCost(S * C), () => kernel.tanh(classify.pooled, classify.pooled, S * C)),
    part('classifier linear', count.linearCost(S, K, C, 0), () => kernel.linear(classify.logits, 0, classify.pooled, records.classifier, S, scratch)),
  ]
}

function headBackwardParts({ stage, N, S, C, d }: Context): Part[] {
  const { kernel, plan: { classify, records, batch, scratch, dOut }, spec: { labels: K } } = stage
  const part = (operation: string, cost: Cost, run: () => void): Part => ({ phase: 'backward', operation, count: 1, cost, run })
  const narrow = { N: S, I: C, R: 0, wanted: true, accumulate: false }
  return [
    part('cross-entropy', count.crossEntropyCost(S, K),
      () => { kernel.crossEntropy(classify.losses, classify.logits, classify.logits, batch.labels, S, K) }),
    part('classifier linear', count.linearBackwardCost({ ...narrow, O: K, weight: true }),
      () => kernel.linearBackward(classify.dPooled, classify.logits, classify.pooled, 0, records.classifier, S, 0, scratch)),
    part('pooler tanh', count.tanhBackwardCost(S * C), () => kernel.tanhBackward(d.query, classify.dPooled, classify.pooled, S * C)),
    part('pooler linear', count.linearBackwardCost({ ...narrow, O: C }),
      () => kernel.linearBackward(classify.pooled, d.query, classify.first, 0, records.pooler, S, 0, scratch)),
    part('clear activation gradient', count.fillCost(N * C), () => kernel.fill(dOut, 0, N * C)),
    part('scatter first rows', count.gatherCost(S, C, true), () => kernel.gatherRowsBackward(dOut, classify.pooled, batch.offsets, S, C)),
  ]
}
