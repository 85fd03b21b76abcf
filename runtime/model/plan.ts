/**
 * The memory of one stage: a model over blocks [from, to). Device and server differ
 * only in that range and in how many adapter sets they hold.
 * N rows, S sequences, T longest sequence, C width, F hidden, R rank, K labels.
 */
import { refuse } from '../error.ts'
import type { KernelExports } from '../kernel/abi.ts'
import type { WeightFormat } from '../kernel/format.ts'
import { formatBytes } from '../kernel/format.ts'
import type { MemoryPlan, Purpose } from '../kernel/plan.ts'
import { createPlanner } from '../kernel/plan.ts'
import type { SavedRecord } from '../kernel/records.ts'
import { BLOCK_BYTES, LINEAR_BYTES, NORM_BYTES, SAVED_BYTES, SAVED_FIELDS } from '../kernel/records.ts'
import type { ModelConfig } from './config.ts'
import type { Layout } from './layout.ts'
import { countOf, layoutOf } from './layout.ts'
import type { LinearKey, TensorShape } from './names.ts'
import { LINEARS, blockTensors, classifierTensors, embeddingTensors, poolerTensors } from './names.ts'
import type { AdapterConfig } from './peft.ts'

export type StageSpec = {
  config: ModelConfig
  /** Blocks [from, to); from 0 brings the embeddings, to = layers the pooler and classifier. */
  from: number
  to: number
  /** K. */
  labels: number
  /** null: no adapters, and the classifier is a weight like others. */
  adapter: AdapterConfig | null
  /** What is trained: nothing (inference), the adapter sets, or every weight. */
  training: 'none' | 'adapters' | 'all'
  /** First block of each adapter set; a device has one, a server one for each device. */
  setsFrom: readonly number[]
  /** The largest batch: N, S and T. */
  rows: number
  sequences: number
  longest: number
  /** How frozen matrices are held, f32 unless given; what is trained and what is one row is always f32. */
  format?: WeightFormat
  /** Hold f32 matrices in panels of the kernel's tile, so that nothing is packed while it computes; for inference alone. */
  packed?: boolean
  /** Keep only each block's input, and compute the block once more before its backward pass: the same bits for less memory. */
  recompute?: boolean
  /** Threads that share the blocks' work, 1 unless given; more need a kernel with a team. */
  threads?: number
  /** false leaves the pooler and classifier out where `to` is the last block, as pretraining does. */
  head?: boolean
  /** Further weights to hold and train, such as a masked-language head's. */
  extra?: readonly TensorShape[]
  /** Bytes of the caller's own behind the stage's, such as that head's buffers. */
  reserveBytes?: number
}

/** How a party holds and computes its stage; all but `format` give the same bits. */
export type StageOptions = Pick<StageSpec, 'format' | 'recompute' | 'threads'>

/** A block's saved tensors but for its adapters'; see `assembly/records.ts`. */
export type SavedField = Exclude<keyof SavedRecord, `lora${string}`>
const PLAIN_FIELDS = SAVED_FIELDS.filter((field): field is SavedField => !field.startsWith('lora'))

export type SetPlan = { layout: Layout; params: number; m: number; v: number }
export type SavedPlan = { record: number; x: number; lora: Record<LinearKey, number>; fields: Record<SavedField, number> }
/** A tensor's place; `offset` in elements where all are f32; `scales` the address of int8's scales, one for each row. `packed`: in panels. */
export type PlacedTensor = TensorShape & { address: number; offset: number; format: WeightFormat; scales: number; packed: boolean }

/** Addresses by what they hold; 0 where a stage has no such thing. */
export type StagePlan = {
  memory: MemoryPlan
  head: boolean
  weights: { tensors: readonly PlacedTensor[]; count: number; params: number; grads: number; m: number; v: number }
  sets: readonly SetPlan[]
  setGrads: number
  records: { linears: number; norms: number; blocks: number; classifier: number; pooler: number }
  /** The team's record; 0 for one thread. */
  team: number
  /** Rows of a block's feed-forward part that are in work at a time. */
  ffnRows: number
  batch: { ids: number; types: number; offsets: number; labels: number }
  embeddings: { sum: number; stats: number }
  saved: readonly SavedPlan[]
  /** out [N, C] of the last block; its gradient takes its place. */
  out: number
  dOut: number
  classify: { first: number; pooled: number; logits: number; losses: number; dPooled: number }
  scratch: number
  scratchBytes: number
  reserve: number
}

const FLOAT_BYTES = 4
/** Tensors of a format begin at multiples of this. */
const TENSOR_ALIGNMENT_BYTES = 16
/** A feed-forward part is worked off in equal parts of at most so many rows for each thread, or a quarter of the batch: packing costs little then. */
const FFN_ROWS = 240
export const THREADS_MAX = 64

/** Whether this stage ends in the pooler and classifier. */
export function hasHead(spec: Pick<StageSpec, 'config' | 'to' | 'head'>): boolean {
  return spec.to === spec.config.layers && spec.head !== false
}

/** Every frozen or fully trained tensor of the stage, in the order in which they lie in memory. */
export function weightTensors(spec: StageSpec): readonly TensorShape[] {
  const { config, from, to, labels, adapter } = spec
  const tensors: TensorShape[] = []
  if (from === 0) tensors.push(...embeddingTensors(config))
  for (let block = from; block < to; block++) tensors.push(...blockTensors(config, block))
  if (hasHead(spec)) tensors.push(...poolerTensors(config))
  if (hasHead(spec) && adapter === null) tensors.push(...classifierTensors(config, labels))
  return [...tensors, ...(spec.extra ?? [])]
}

/** Matrices of the encoder and the pooler are held in the stage's format where nothing but adapters is trained. */
function formatOf({ training, format = 'f32' }: StageSpec, tensor: TensorShape): WeightFormat {
  const table = tensor.shape.length === 2 && tensor.name.startsWith('embeddings.')
  return training !== 'all' && (table || isLinear(tensor)) ? format : 'f32'
}

/** A frozen linear layer's matrix. */
function isLinear({ name, shape }: TensorShape): boolean {
  return shape.length === 2 && /^(encoder|pooler)\./.test(name)
}

/** Places from 0 on, in bytes, and the end of the last. */
function placeTensors(spec: StageSpec, columns: number): { tensors: PlacedTensor[]; count: number; bytes: number } {
  const align = (bytes: number) => Math.ceil(bytes / TENSOR_ALIGNMENT_BYTES) * TENSOR_ALIGNMENT_BYTES
  const close = (spec.format ?? 'f32') === 'f32' || spec.training === 'all'
  let next = 0, count = 0
  const tensors = weightTensors(spec).map((tensor): PlacedTensor => {
    const format = formatOf(spec, tensor)
    const values = countOf(tensor.shape), address = next, offset = count
    const end = address + values * formatBytes(format)
    const scales = format === 'int8' ? align(end) : 0
    const last = format === 'int8' ? scales + FLOAT_BYTES * tensor.shape[0] : end
    // The optimiser sees trained weights as one vector.
    next = close ? last : align(last)
    count += values
    const packed = spec.packed === true && spec.training === 'none' && format === 'f32' && isLinear(tensor) && tensor.shape[0] % columns === 0
    return { ...tensor, address, offset, format, scales, packed }
  })
  return { tensors, count, bytes: next }
}

function checkSpec({ config, from, to, rows, sequences, longest, labels, threads = 1 }: StageSpec): void {
  if (from < 0 || to > config.layers || from >= to) {
    refuse('stage.range', 'stage.blocks', `a range within 0 … ${config.layers}`, `${from} … ${to}`)
  }
  if (longest < 1 || longest > config.positionsMax) refuse('stage.longest', 'stage.longest', `1 … ${config.positionsMax} tokens`, longest)
  if (sequences < 1 || rows < sequences) {
    refuse('stage.rows', 'stage.rows', 'at least one row for each of at least one sequence', `${rows} rows, ${sequences} sequences`)
  }
  if (labels < 1) refuse('stage.labels', 'stage.labels', 'at least 1', labels)
  if (!Number.isInteger(threads) || threads < 1 || threads > THREADS_MAX) refuse('stage.threads', 'stage.threads', `1 … ${THREADS_MAX}`, threads)
}

/** Plans a stage; `kernel` tells the operations' scratch sizes. */
export function planStage(spec: StageSpec, kernel: KernelExports): StagePlan {
  checkSpec(spec)
  const { config, from, to, adapter, training, rows: N, sequences: S, longest: T, labels: K } = spec
  const C = config.hiddenSize, F = config.intermediateSize
  const blocks = to - from
  const head = hasHead(spec)
  const planner = createPlanner()
  const floats = (name: string, purpose: Purpose, lifetime: 'run' | 'step' | 'call', count: number) =>
    planner.place(name, purpose, lifetime, FLOAT_BYTES * count)
  const bytes = (name: string, count: number) => planner.place(name, 'records', 'run', count)

  const records = {
    linears: bytes('records.linears', LINEAR_BYTES * LINEARS.length * blocks),
    norms: bytes('records.norms', NORM_BYTES * 2 * blocks),
    blocks: bytes('records.blocks', BLOCK_BYTES * blocks),
    pooler: bytes('records.pooler', head ? LINEAR_BYTES : 0),
    classifier: bytes('records.classifier', head ? LINEAR_BYTES : 0),
  }
  const team = bytes('team', (spec.threads ?? 1) > 1 ? kernel.teamBytes() : 0)

  const placed = placeTensors(spec, kernel.tileColumns())
  const { count } = placed
  const params = planner.place('weights', 'weights', 'run', placed.bytes)
  const tensors = placed.tensors.map((tensor) =>
    ({ ...tensor, address: params + tensor.address, scales: tensor.scales && params + tensor.scales }))
  const all = training === 'all' ? count : 0
  const weights = {
    tensors, count, params,
    grads: floats('weights.gradients', 'gradients', 'step', all),
    m: floats('weights.m', 'sets', 'run', all),
    v: floats('weights.v', 'sets', 'run', all),
  }

  const sets = adapter === null ? [] : spec.setsFrom.map((first, index) => {
    const layout = layoutOf(config, adapter, K, first, to)
    const moments = training === 'adapters' ? layout.count : 0
    return {
      layout,
      params: floats(`set ${index}`, 'sets', 'run', layout.count),
      m: floats(`set ${index}.m`, 'sets', 'run', moments),
      v: floats(`set ${index}.v`, 'sets', 'run', moments),
    }
  })
  const setGrads = floats('sets.gradients', 'gradients', 'step',
    training === 'adapters' ? Math.max(0, ...sets.map(({ layout }) => layout.count)) : 0)

  const batch = {
    ids: from === 0 ? floats('batch.ids', 'batch', 'step', N) : 0,
    types: from === 0 ? floats('batch.types', 'batch', 'step', N) : 0,
    offsets: floats('batch.offsets', 'batch', 'step', S + 1),
    labels: head ? floats('batch.labels', 'batch', 'step', S) : 0,
  }

  const hidden = (name: string, width = C, count = N) => floats(name, 'activations', 'step', count * width)
  const keep = training !== 'none'
  const embeddings = {
    sum: from === 0 && training === 'all' ? hidden('embeddings.sum') : 0,
    stats: from === 0 ? hidden('embeddings.stats', 2) : 0,
  }
  const rank = adapter?.rank ?? 0
  const trains = (key: LinearKey) => training === 'all' || (keep && (adapter?.targets.includes(key) ?? false))
  const recompute = keep && spec.recompute === true
  const widths: Record<SavedField, number> = {
    x: C, query: C, key: C, value: C, context: trains('attention') ? C : 0, sum1: C, stats1: 2,
    hidden: trains('up') ? C : 0, up: keep ? F : 0, sum2: C, stats2: 2,
  }
  const loraOf = (name: string) => Object.fromEntries(LINEARS.map(({ key }) =>
    [key, adapter?.targets.includes(key) ? hidden(`${name}.lora.${key}`, rank) : 0])) as Record<LinearKey, number>
  const fieldsOf = (name: string, fields: readonly SavedField[]) =>
    Object.fromEntries(fields.map((field) => [field, hidden(`${name}.${field}`, widths[field])])) as Record<SavedField, number>
  // Where blocks are computed again, or never backwards, all share one place but for their inputs.
  const shared = keep && !recompute ? undefined : { lora: loraOf('blocks'), fields: fieldsOf('blocks', PLAIN_FIELDS.filter((field) => field !== 'x')) }
  const saved: SavedPlan[] = []
  for (let index = 0; index < (keep ? blocks : 1); index++) {
    const name = keep ? `block ${from + index}` : 'block'
    const fields = shared ? { ...shared.fields, ...fieldsOf(name, ['x']) } : fieldsOf(name, PLAIN_FIELDS)
    saved.push({ record: planner.place(`${name}.record`, 'records', 'run', SAVED_BYTES), x: fields.x, lora: shared?.lora ?? loraOf(name), fields })
  }
  const out = hidden('out')
  const dOut = keep ? out : 0
  const classify = {
    first: head ? hidden('head.first', C, S) : 0,
    pooled: head ? hidden('head.pooled', C, S) : 0,
    logits: head ? hidden('head.logits', K, S) : 0,
    losses: head ? hidden('head.losses', 1, S) : 0,
    dPooled: head && keep ? hidden('head.pooled.gradient', C, S) : 0,
  }

  const { heads: H } = config
  const threads = spec.threads ?? 1
  const ffnParts = trains('up') || trains('down') ? 1 : Math.ceil(N / Math.max(FFN_ROWS * threads, Math.ceil(N / 4)))
  const ffnRows = Math.ceil(N / ffnParts)
  const scratchBytes = Math.max(
    kernel.blockScratchBytes(N, C, H, F, rank, T, ffnRows, threads),
    kernel.linearScratchBytes(S, C, Math.max(C, K), 0),
  )
  const scratch = planner.place('scratch', 'scratch', 'call', scratchBytes)
  const reserve = planner.place('reserve', 'scratch', 'step', spec.reserveBytes ?? 0)
  return {
    reserve, memory: planner.finish(), head, weights, sets, setGrads, records, team, ffnRows, batch, embeddings, saved, out, dOut, classify,
    scratch, scratchBytes,
  }
}
