/**
 * Each operation alone, at a model's sizes: what it costs, the tensors it works on, and the call.
 * N rows of S sequences of T rows, C width, F hidden, H heads, D = C / H, V vocabulary, P adapter parameters.
 */
import type { KernelExports } from '../kernel/abi.ts'
import type { WeightFormat } from '../kernel/format.ts'
import { formatBytes, formatCode } from '../kernel/format.ts'
import type { Kernel } from '../kernel/load.ts'
import { PAGE_BYTES, createMemory, instantiate } from '../kernel/load.ts'
import { createPlanner } from '../kernel/plan.ts'
import { LINEAR_BYTES, writeLinear } from '../kernel/records.ts'
import type { ModelConfig } from '../model/config.ts'
import { createRandom } from '../random.ts'
import type { Cost } from './cost.ts'
import * as count from './cost.ts'
import { fillDrawn } from './presets.ts'

type Memory = { f32: Float32Array; i32: Int32Array; bytes: Int8Array }
type Addresses<Name extends string> = Readonly<Record<Name, number>>

/** `rows` 0 where they do not matter. */
export type Operation = {
  operation: string
  sizes: string
  rows: number
  cost: Cost
  bytes(kernel: Kernel): number
  open(arena: Arena): () => void
}

/** One memory for operation after operation. */
export type Arena = { kernel: KernelExports; memory: Memory; shared: Kernel }

/** `floats` are counted in values and drawn in ±1; `scratch` in bytes; `write` sets what has to be otherwise. */
type Parts<Name extends string> = Omit<Operation, 'bytes' | 'open'> & {
  floats: Readonly<Record<Name, number>>
  scratch?(kernel: KernelExports): number
  write?(memory: Memory, at: Addresses<NoInfer<Name>>, kernel: KernelExports): void
  call(kernel: KernelExports, at: Addresses<NoInfer<Name>>, scratch: number): void
}

function defineOperation<Name extends string>({ floats, scratch, write, call, ...parts }: Parts<Name>): Operation {
  const place = (kernel: KernelExports) => {
    const planner = createPlanner()
    const names = Object.keys(floats) as Name[]
    const places = names.map((name) => [name, planner.place(name, 'activations', 'call', 4 * floats[name])])
    const at = Object.fromEntries(places) as Record<Name, number>
    const scratchAt = planner.place('scratch', 'scratch', 'call', scratch?.(kernel) ?? 0)
    return { names, at, scratchAt, bytes: planner.finish().bytes }
  }
  return {
    ...parts,
    bytes: ({ exports }) => place(exports).bytes,
    open({ kernel, memory, shared }) {
      const { names, at, scratchAt } = place(shared.exports)
      names.forEach((name, index) => fillDrawn(memory.f32.subarray(at[name] >> 2, (at[name] >> 2) + floats[name]), 1, index))
      write?.(memory, at, kernel)
      return () => call(kernel, at, scratchAt)
    },
  }
}

/** A memory that the largest of `operations` fits. Refuses `plan.bytes` for one over 4 GiB. */
export async function openArena(kernel: Kernel, operations: readonly Operation[]): Promise<Arena> {
  const bytes = Math.max(...operations.map((operation) => operation.bytes(kernel)))
  const pages = bytes / PAGE_BYTES
  const memory = createMemory(pages, false)
  const { buffer } = memory
  const views = { f32: new Float32Array(buffer), i32: new Int32Array(buffer), bytes: new Int8Array(buffer) }
  return { kernel: await instantiate(kernel.module, memory, kernel.tile), memory: views, shared: kernel }
}

/** `rows` in sequences of at most `length`, as a ragged batch lays them out. */
export function cutRows(rows: number, length: number): number[] {
  return Array.from({ length: Math.ceil(rows / length) }, (_, s) => Math.min(length, rows - s * length))
}

export function offsetsOf(lengths: readonly number[]): Int32Array {
  const offsets = new Int32Array(lengths.length + 1)
  lengths.forEach((length, s) => { offsets[s + 1] = offsets[s] + length })
  return offsets
}

/** `N` ids below `vocabulary`. */
export function drawIds(N: number, vocabulary: number): Int32Array {
  const random = createRandom(1, 'weights', N)
  return Int32Array.from({ length: N }, () => random.below(vocabulary))
}

/** Room of a frozen matrix, in f32. */
function formatFloats(format: WeightFormat, rows: number, width: number): number {
  return Math.ceil((rows * width * formatBytes(format)) / 4)
}

/** Makes drawn bits a matrix of `format`: halves below 2, so that none is infinite; bytes and f32 are fine as they are. */
function settleFormat({ f32: { buffer } }: Memory, format: WeightFormat, address: number, values: number): void {
  if (format !== 'f16') return
  const halves = new Uint16Array(buffer, address, values)
  for (let i = 0; i < values; i++) halves[i] &= 0xbfff
}

/** The layer from [N, C] to [N, F] with its weight in a narrow format, widened while it is packed. */
function listNarrowLinear({ hiddenSize: I, intermediateSize: O }: ModelConfig, N: number, format: WeightFormat): Operation[] {
  const sizes = `${N} × ${I} → ${O}, ${format}`
  const floats = { y: N * O, x: N * I, weight: formatFloats(format, O, I), scales: O, bias: O, record: LINEAR_BYTES / 4 }
  const scratch = (kernel: KernelExports) => kernel.linearScratchBytes(N, I, O, 0)
  const write = (memory: Memory, { weight, scales, bias, record }: Addresses<'weight' | 'scales' | 'bias' | 'record'>) => {
    settleFormat(memory, format, weight, O * I)
    writeLinear(memory.f32.buffer, record, {
      weight, bias, loraA: 0, loraB: 0, dWeight: 0, dBias: 0, dLoraA: 0, dLoraB: 0, inputs: I, outputs: O, rank: 0, scale: 0,
      format: formatCode(format), scales,
    })
  }
  return [
    defineOperation({
      operation: 'linear', sizes, rows: N, cost: count.linearCost(N, O, I, 0, format), floats, scratch, write,
      call: (kernel, { y, x, record }, rest) => kernel.linear(y, 0, x, record, N, rest),
    }),
    defineOperation({
      operation: 'linearBackward', sizes, rows: N, floats, scratch, write,
      cost: count.linearBackwardCost({ N, O, I, R: 0, format, wanted: true, accumulate: false }),
      call: (kernel, { y, x, record }, rest) => kernel.linearBackward(x, y, 0, 0, record, N, 0, rest),
    }),
  ]
}

/** The three forms of the block's widest product, [N, C] to [N, F], and its frozen layer where that is held in less than f32. */
export function listProducts(config: ModelConfig, N: number, format: WeightFormat): Operation[] {
  const { hiddenSize: I, intermediateSize: O } = config
  const sizes = `${N} × ${I} → ${O}`
  const floats = { y: N * O, x: N * I, w: O * I }
  return [
    defineOperation({
      operation: 'matmul', sizes, rows: N, cost: count.productCost(N, O, I), floats, scratch: (kernel) => kernel.productScratchBytes(O),
      call: (kernel, { y, x, w }, scratch) => kernel.matmul(y, x, w, N, O, I, 0, scratch),
    }),
    defineOperation({
      operation: 'matmulBackwardInput', sizes, rows: N, cost: count.productCost(N, O, I), floats,
      scratch: (kernel) => kernel.productScratchBytes(I),
      call: (kernel, { y, x, w }, scratch) => kernel.matmulBackwardInput(x, y, w, N, O, I, 0, scratch),
    }),
    defineOperation({
      operation: 'matmulBackwardWeight', sizes, rows: N, cost: count.productCost(N, O, I, true), floats,
      scratch: (kernel) => kernel.productScratchBytes(I),
      call: (kernel, { y, x, w }, scratch) => kernel.matmulBackwardWeight(w, y, x, N, O, I, 1, scratch),
    }),
    ...(format === 'f32' ? [] : listNarrowLinear(config, N, format)),
  ]
}

function listAttention({ hiddenSize: C, heads: H }: ModelConfig, N: number, length: number): Operation[] {
  const lengths = cutRows(N, length), S = lengths.length, T = Math.max(...lengths), D = C / H
  const sizes = `${S} × ${T} × ${C}, ${H} heads`
  const floats = { offsets: S + 1, q: N * C, k: N * C, v: N * C, out: N * C }
  const scratch = (kernel: KernelExports) => kernel.attentionScratchBytes(T, D)
  const write = ({ i32 }: Memory, { offsets }: Addresses<'offsets'>) => i32.set(offsetsOf(lengths), offsets >> 2)
  return [
    defineOperation({
      operation: 'attention', sizes, rows: N, cost: count.attentionCost(lengths, H, C), floats, scratch, write,
      call: (kernel, { out, q, k, v, offsets }, rest) => kernel.attention(out, q, k, v, offsets, S, H, D, T, rest),
    }),
    defineOperation({
      operation: 'attentionBackward', sizes, rows: N, cost: count.attentionBackwardCost(lengths, H, C),
      floats: { ...floats, dq: N * C, dk: N * C, dv: N * C }, scratch, write,
      call: (kernel, { dq, dk, dv, out, q, k, v, offsets }, rest) => (
        kernel.attentionBackward(dq, dk, dv, out, q, k, v, offsets, S, H, D, T, rest)),
    }),
  ]
}

function listNorms({ hiddenSize: C }: ModelConfig, N: number): Operation[] {
  const sizes = `${N} × ${C}`
  const floats = { out: N * C, stats: 2 * N, x: N * C, gain: C, bias: C }
  return [
    defineOperation({
      operation: 'layerNorm', sizes, rows: N, cost: count.layerNormCost(N, C), floats,
      call: (kernel, { out, stats, x, gain, bias }) => kernel.layerNorm(out, stats, x, gain, bias, N, C, 1e-12),
    }),
    defineOperation({
      operation: 'layerNormBackward', sizes, rows: N, cost: count.layerNormBackwardCost(N, C),
      floats: { dx: N * C, dOut: N * C, stats: 2 * N, x: N * C, gain: C }, scratch: () => 4 * C,
      call: (kernel, { dx, dOut, stats, x, gain }, row) => kernel.layerNormBackward(dx, 0, 0, dOut, stats, x, gain, N, C, row),
    }),
  ]
}

function listActivations({ hiddenSize: C, intermediateSize: F, heads: H }: ModelConfig, N: number, length: number): Operation[] {
  const n = N * F, K = Math.min(N, length)
  const scratch = (kernel: KernelExports) => kernel.tableScratchBytes()
  return [
    defineOperation({
      operation: 'gelu', sizes: `${N} × ${F}`, rows: N, cost: count.geluCost(n), floats: { out: n, x: n }, scratch,
      call: (kernel, { out, x }, room) => kernel.gelu(out, x, n, room),
    }),
    defineOperation({
      operation: 'geluBackward', sizes: `${N} × ${F}`, rows: N, cost: count.geluBackwardCost(n), floats: { dx: n, dOut: n, x: n }, scratch,
      call: (kernel, { dx, dOut, x }, room) => kernel.geluBackward(dx, dOut, x, n, room),
    }),
    defineOperation({
      operation: 'softmax', sizes: `${N * H} × ${K}`, rows: N, cost: count.softmaxCost(N * H, K),
      floats: { out: N * H * K, x: N * H * K }, scratch,
      call: (kernel, { out, x }, room) => kernel.softmax(out, x, N * H, K, room),
    }),
    defineOperation({
      operation: 'add', sizes: `${N} × ${C}`, rows: N, cost: count.addCost(N * C), floats: { out: N * C, x: N * C },
      call: (kernel, { out, x }) => kernel.add(out, x, N * C),
    }),
  ]
}

function embeddingOperation(config: ModelConfig, N: number, length: number, format: WeightFormat): Operation {
  const { hiddenSize: C, vocabSize: V, positionsMax, typesMax } = config
  const lengths = cutRows(N, length), S = lengths.length
  const tables = { word: V, position: positionsMax, type: typesMax }
  const names = ['word', 'position', 'type'] as const
  const floatsOf = (name: (typeof names)[number]) => formatFloats(format, tables[name], C)
  return defineOperation({
    operation: 'embedding', sizes: `${N} × ${C} of ${V}${format === 'f32' ? '' : `, ${format}`}`,
    rows: N, cost: count.embeddingCost(N, C, format),
    floats: {
      out: N * C, ids: N, offsets: S + 1, word: floatsOf('word'), position: floatsOf('position'), type: floatsOf('type'),
      scales: format === 'int8' ? Math.max(V, positionsMax) : 0,
    },
    write(memory, at) {
      for (const name of names) settleFormat(memory, format, at[name], tables[name] * C)
      memory.i32.set(drawIds(N, V), at.ids >> 2)
      memory.i32.set(offsetsOf(lengths), at.offsets >> 2)
    },
    // One row of scales serves all three tables.
    call: (kernel, { out, ids, offsets, word, position, type, scales }) =>
      kernel.embedding(out, ids, 0, offsets, word, position, type, formatCode(format), scales, scales, scales, S, C),
  })
}

/** What a frame's tensors [N, C] go through. */
function listConversions({ hiddenSize: C }: ModelConfig, N: number): Operation[] {
  const n = N * C, sizes = `${N} × ${C}`, floats = { wide: n, narrow: n, scales: N }
  const drawBytes = ({ bytes }: Memory, { narrow }: Addresses<'narrow'>) => {
    const random = createRandom(1, 'weights', n)
    for (let i = 0; i < n; i++) bytes[narrow + i] = random.below(255) - 127
  }
  return [
    defineOperation({
      operation: 'crc32c', sizes: `${4 * n} bytes`, rows: N, cost: count.checksumCost(4 * n), floats: { table: 1024, x: n },
      write: (_, { table }, kernel) => kernel.crc32cTable(table),
      call: (kernel, { table, x }) => { kernel.crc32c(table, x, 4 * n, 0) },
    }),
    defineOperation({
      operation: 'narrowF16', sizes, rows: N, cost: count.halfCost(n), floats,
      call: (kernel, { wide, narrow }) => kernel.narrowF16(narrow, wide, n),
    }),
    defineOperation({
      operation: 'widenF16', sizes, rows: N, cost: count.halfCost(n), floats,
      write: (_, { wide, narrow }, kernel) => kernel.narrowF16(narrow, wide, n),
      call: (kernel, { wide, narrow }) => kernel.widenF16(wide, narrow, n),
    }),
    defineOperation({
      operation: 'quantizeRows', sizes, rows: N, cost: count.quantizeCost(N, C), floats,
      call: (kernel, { wide, narrow, scales }) => kernel.quantizeRows(narrow, scales, wide, N, C),
    }),
    defineOperation({
      operation: 'dequantizeRows', sizes, rows: N, cost: count.dequantizeCost(N, C), floats, write: drawBytes,
      call: (kernel, { wide, narrow, scales }) => kernel.dequantizeRows(wide, narrow, scales, N, C),
    }),
  ]
}

/** An optimiser's step over P parameters. Learning rate 0: the same work again and again. */
export function adamwOperation(P: number): Operation {
  return defineOperation({
    operation: 'adamw', sizes: String(P), rows: 0, cost: count.adamwCost(P), floats: { p: P, m: P, v: P, g: P },
    write: ({ f32 }, { v }) => { f32.fill(0, v >> 2, (v >> 2) + P) },
    call: (kernel, { p, m, v, g }) => kernel.adamw(p, m, v, g, P, 1, 0.9, 1 - 0.9, 0.999, 1 - 0.999, 0, 1, 1e-8),
  })
}

/** Every operation but the products at one model's sizes and N rows. */
export function listOperations(config: ModelConfig, N: number, length: number, format: WeightFormat): Operation[] {
  return [
    ...listAttention(config, N, length), ...listActivations(config, N, length), ...listNorms(config, N),
    embeddingOperation(config, N, length, format), ...listConversions(config, N),
  ]
}
