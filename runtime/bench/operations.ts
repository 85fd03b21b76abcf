/**
 * Each operation alone, at a model's sizes: a case of the one table (cases/) with what it costs.
 * N rows of S sequences of T rows, C width, F hidden, H heads, D = C / H, V vocabulary, P adapter parameters.
 */
import type { Places } from '../cases/arena.ts'
import { addressesOf, bytesOfSlot, fillSlots } from '../cases/arena.ts'
import { activationCases } from '../cases/activation.ts'
import { attentionCases } from '../cases/attention.ts'
import type { Case } from '../cases/case.ts'
import { byteCases, checksumCase, halfCases } from '../cases/convert.ts'
import { vectorCases } from '../cases/elementwise.ts'
import { embeddingCase } from '../cases/embedding.ts'
import { frozenCases } from '../cases/linear.ts'
import { productCases } from '../cases/matmul.ts'
import { normCases, softmaxCase } from '../cases/rows.ts'
import { draw } from '../cases/source.ts'
import { adamwCase } from '../cases/update.ts'
import type { KernelExports } from '../kernel/abi.ts'
import type { WeightFormat } from '../kernel/format.ts'
import type { Kernel } from '../kernel/load.ts'
import { PAGE_BYTES, createMemory, instantiate } from '../kernel/load.ts'
import { createPlanner } from '../kernel/plan.ts'
import type { ModelConfig } from '../model/config.ts'
import { createRandom } from '../random.ts'
import type { Cost } from './cost.ts'
import * as count from './cost.ts'

/** `rows` 0 where they do not matter. */
export type Operation = { sizes: string; rows: number; cost: Cost; case: Case }

/** One memory for operation after operation. */
export type Arena = { kernel: KernelExports; buffer: ArrayBufferLike; shared: Kernel }

/** Aligned, as a run's plan places tensors. */
function placeSlots({ slots }: Case, { exports }: Kernel): { places: Places; bytes: number } {
  const planner = createPlanner()
  const places = new Map(Object.keys(slots).map((name) => {
    const bytes = bytesOfSlot(slots[name], exports)
    return [name, { address: planner.place(name, 'activations', 'call', bytes), bytes }] as const
  }))
  return { places, bytes: planner.finish().bytes }
}

export function bytesOfOperation(operation: Operation, kernel: Kernel): number {
  return placeSlots(operation.case, kernel).bytes
}

/** A memory that the largest of `operations` fits. Refuses `plan.bytes` for one over 4 GiB. */
export async function openArena(kernel: Kernel, operations: readonly Operation[]): Promise<Arena> {
  const bytes = Math.max(...operations.map((operation) => bytesOfOperation(operation, kernel)))
  const memory = createMemory(bytes / PAGE_BYTES, false)
  return { kernel: await instantiate(kernel.module, memory, kernel.tile), buffer: memory.buffer, shared: kernel }
}

/** Fills the memory with an operation's tensors; returns the call that is timed, which may be made again and again. */
export function openOperation({ kernel, buffer, shared }: Arena, { case: it }: Operation): () => void {
  const { places } = placeSlots(it, shared)
  const addresses = addressesOf(places)
  fillSlots(buffer, it.slots, places, addresses)
  it.before?.(kernel, addresses)
  return () => { it.call(kernel, addresses) }
}

/** `rows` in sequences of at most `length`, as a ragged batch lays them out. */
export function cutRows(rows: number, length: number): number[] {
  return Array.from({ length: Math.ceil(rows / length) }, (_, s) => Math.min(length, rows - s * length))
}

/** `N` ids below `vocabulary`. */
export function drawIds(N: number, vocabulary: number): Int32Array {
  const random = createRandom(1, 'weights', N)
  return Int32Array.from({ length: N }, () => random.below(vocabulary))
}

/** The three forms of the block's widest product, [N, C] to [N, F], and its frozen layer where that is held in less than f32. */
export function listProducts({ hiddenSize: I, intermediateSize: O }: ModelConfig, N: number, format: WeightFormat): Operation[] {
  const sizes = `${N} × ${I} → ${O}`
  const [product, toInput] = productCases({ N, O, I, accumulate: 0 })
  const [, , toWeight] = productCases({ N, O, I, accumulate: 1 })
  const products = [
    { sizes, rows: N, cost: count.productCost(N, O, I), case: product }, { sizes, rows: N, cost: count.productCost(N, O, I), case: toInput },
    { sizes, rows: N, cost: count.productCost(N, O, I, true), case: toWeight },
  ]
  if (format === 'f32') return products
  const [forward, backward] = frozenCases({ N, O, I, R: 0, bias: true, format })
  return [
    ...products,
    { sizes: `${sizes}, ${format}`, rows: N, cost: count.linearCost(N, O, I, 0, format), case: forward },
    {
      sizes: `${sizes}, ${format}`, rows: N, case: backward,
      cost: count.linearBackwardCost({ N, O, I, R: 0, format, wanted: true, accumulate: false }),
    },
  ]
}

function listAttention({ hiddenSize: C, heads: H }: ModelConfig, N: number, length: number): Operation[] {
  const lengths = cutRows(N, length), T = Math.max(...lengths)
  const sizes = `${lengths.length} × ${T} × ${C}, ${H} heads`
  const [forward, backward] = attentionCases({ lengths, H, D: C / H, T })
  return [
    { sizes, rows: N, cost: count.attentionCost(lengths, H, C), case: forward },
    { sizes, rows: N, cost: count.attentionBackwardCost(lengths, H, C), case: backward },
  ]
}

function listRowwise({ hiddenSize: C, intermediateSize: F, heads: H }: ModelConfig, N: number, length: number): Operation[] {
  const K = Math.min(N, length)
  const [gelu, geluBackward] = activationCases(N * F)
  const [layerNorm, , , , layerNormBackward] = normCases(N, C)
  const [, add] = vectorCases(N * C)
  return [
    { sizes: `${N} × ${F}`, rows: N, cost: count.geluCost(N * F), case: gelu },
    { sizes: `${N} × ${F}`, rows: N, cost: count.geluBackwardCost(N * F), case: geluBackward },
    { sizes: `${N * H} × ${K}`, rows: N, cost: count.softmaxCost(N * H, K), case: softmaxCase(N * H, K, 1) },
    { sizes: `${N} × ${C}`, rows: N, cost: count.addCost(N * C), case: add },
    { sizes: `${N} × ${C}`, rows: N, cost: count.layerNormCost(N, C), case: layerNorm },
    { sizes: `${N} × ${C}`, rows: N, cost: count.layerNormBackwardCost(N, C), case: layerNormBackward },
  ]
}

function embeddingOperation({ hiddenSize: C, vocabSize: V, positionsMax: P }: ModelConfig, N: number, length: number, format: WeightFormat): Operation {
  const narrow = format !== 'f32'
  return {
    sizes: `${N} × ${C} of ${V}${narrow ? `, ${format}` : ''}`, rows: N, cost: count.embeddingCost(N, C, format),
    case: embeddingCase({ lengths: cutRows(N, length), V, C, P, ...(narrow && { format }) }),
  }
}

/** What a frame's tensors [N, C] go through. */
function listConversions({ hiddenSize: C }: ModelConfig, N: number): Operation[] {
  const n = N * C, sizes = `${N} × ${C}`
  const [widen, narrow] = halfCases(n)
  const [quantize, dequantize] = byteCases(N, C, draw(n, 'x'))
  return [
    { sizes: `${4 * n} bytes`, rows: N, cost: count.checksumCost(4 * n), case: checksumCase(4 * n) },
    { sizes, rows: N, cost: count.halfCost(n), case: narrow }, { sizes, rows: N, cost: count.halfCost(n), case: widen },
    { sizes, rows: N, cost: count.quantizeCost(N, C), case: quantize }, { sizes, rows: N, cost: count.dequantizeCost(N, C), case: dequantize },
  ]
}

/** An optimiser's step over P parameters. */
export function adamwOperation(P: number): Operation {
  return { sizes: String(P), rows: 0, cost: count.adamwCost(P), case: adamwCase(P, 1, 0) }
}

/** Every operation but the products at one model's sizes and N rows. */
export function listOperations(config: ModelConfig, N: number, length: number, format: WeightFormat): Operation[] {
  return [
    ...listAttention(config, N, length), ...listRowwise(config, N, length), embeddingOperation(config, N, length, format),
    ...listConversions(config, N),
  ]
}
