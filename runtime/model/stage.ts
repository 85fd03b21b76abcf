/**
 * A stage computes blocks [from, to) of one model, forward and backward, on its own
 * linear memory: a device's stage starts at the embeddings, a server's ends at the
 * loss, a whole model does both.
 * N rows, S sequences, C width, K labels.
 */
import { refuse } from '../error.ts'
import type { KernelExports } from '../kernel/abi.ts'
import { blockBackward, blockForward, embedding, embeddingBackward, layerNorm, layerNormBackward } from '../kernel/calls.ts'
import type { Kernel } from '../kernel/load.ts'
import { PANELS_CODE, formatCode } from '../kernel/format.ts'
import { PAGE_BYTES, createMemory, instantiate, instantiateTeam } from '../kernel/load.ts'
import type { LinearRecord } from '../kernel/records.ts'
import { BLOCK_BYTES, LINEAR_BYTES, NORM_BYTES, writeBlock, writeLinear, writeNorm, writeSaved } from '../kernel/records.ts'
import { countOf, prefixCount } from './layout.ts'
import type { LinearKey } from './names.ts'
import { LINEARS, blockName, widthOf } from './names.ts'
import type { Optimizer, Powers, SetState } from './optimizer.ts'
import { FRESH, clipGradients, stepAdamw } from './optimizer.ts'
import type { PlacedTensor, StagePlan, StageSpec } from './plan.ts'
import { planStage } from './plan.ts'
import type { WeightTensor, Weights } from './weights.ts'
import { placeWeight } from './weights.place.ts'

/** What a stage steps with, unless it is told otherwise. */
export { ADAMW } from './optimizer.ts'

/** A ragged batch: sequence s owns rows offsets[s] … offsets[s + 1]. */
export type Batch = {
  offsets: Int32Array
  /** [N]; a stage from block 0 reads them. */
  ids?: Int32Array
  types?: Int32Array
  /** [N, C]; a stage from a later block starts here. */
  activation?: Float32Array
}

const EMBEDDING_TABLES = ['word', 'position', 'token_type'].map((table) => `embeddings.${table}_embeddings.weight`)

export class Stage {
  readonly spec: StageSpec
  readonly plan: StagePlan
  readonly kernel: KernelExports
  readonly memory: WebAssembly.Memory
  private readonly f32: Float32Array
  private readonly i32: Int32Array
  private readonly tensors: ReadonlyMap<string, PlacedTensor>
  private set = 0
  private begin = 0
  private rows = 0
  private sequences = 0
  private longest = 0
  private typed = false
  private readonly powers: Powers[]
  /** Of the weights' optimiser, where all of them are trained; whoever puts moments back puts these back too. */
  weightsPowers: Powers = FRESH

  private constructor(spec: StageSpec, plan: StagePlan, kernel: KernelExports, memory: WebAssembly.Memory) {
    this.spec = spec
    this.plan = plan
    this.kernel = kernel
    this.memory = memory
    this.f32 = new Float32Array(memory.buffer)
    this.i32 = new Int32Array(memory.buffer)
    this.tensors = new Map(plan.weights.tensors.map((tensor) => [tensor.name, tensor]))
    this.powers = plan.sets.map(() => FRESH)
    this.writeRecords()
    if (plan.sets.length > 0) this.selectSet(0)
  }

  /** A stage with the weights it runs read from `weights`, and its adapter sets zero. Memory is exactly the plan's. */
  static async open(kernel: Kernel, spec: StageSpec, weights: Weights): Promise<Stage> {
    const stage = await Stage.blank(kernel, spec)
    for (const tensor of stage.plan.weights.tensors) stage.writeWeight(tensor, await weights.read(tensor.name, tensor.shape))
    return stage
  }

  /** A stage whose weights are all zero, to be written through `weight`. */
  static async blank(kernel: Kernel, spec: StageSpec): Promise<Stage> {
    const plan = planStage(spec, kernel.exports)
    const { threads = 1 } = spec
    const memory = createMemory(plan.memory.pages, threads > 1)
    const exports = threads > 1
      ? await instantiateTeam(kernel, memory, plan.team, threads)
      : await instantiate(kernel.module, memory, kernel.tile)
    return new Stage(spec, plan, exports, memory)
  }

  /** Ends the stage's other threads, if it has any; it computes nothing afterwards. */
  close(): void {
    if (this.plan.team) this.kernel.dismissTeam()
  }

  private writeWeight(tensor: PlacedTensor, stored: WeightTensor): void {
    placeWeight(this.kernel, this.memory, tensor, stored, { address: this.plan.scratch, bytes: this.plan.scratchBytes })
  }

  /** `count` f32 at an address of the plan, as a view. */
  view(address: number, count: number): Float32Array {
    return this.f32.subarray(address >> 2, (address >> 2) + count)
  }

  /** A weight by name, as a view of its values; only where it is held as f32. */
  weight(name: string): Float32Array {
    const tensor = this.tensors.get(name)
    if (tensor?.format !== 'f32' || tensor.packed) refuse('stage.weight', 'weight', 'a tensor of this stage, held as f32 in rows', name)
    return this.view(tensor.address, countOf(tensor.shape))
  }

  /** The gradient of a weight; only where every weight is trained. */
  gradient(name: string): Float32Array {
    const tensor = this.tensors.get(name)
    if (!tensor || !this.plan.weights.grads) refuse('stage.gradient', 'gradient', 'a trained weight of this stage', name)
    return this.view(this.plan.weights.grads + 4 * tensor.offset, countOf(tensor.shape))
  }

  /** Address of a weight, or 0 where the stage has none of that name. */
  private addressOf(name: string): number {
    return this.tensors.get(name)?.address ?? 0
  }

  /** Address of a weight's gradient, or 0 where it has none. */
  private gradientOf(name: string): number {
    const { grads } = this.plan.weights
    const tensor = this.tensors.get(name)
    return tensor && grads ? grads + 4 * tensor.offset : 0
  }

  private linearRecord(name: string, outputs: number, inputs: number): LinearRecord {
    const { format = 'f32', scales = 0, packed = false } = this.tensors.get(`${name}.weight`) ?? {}
    return {
      weight: this.addressOf(`${name}.weight`), bias: this.addressOf(`${name}.bias`), loraA: 0, loraB: 0,
      dWeight: this.gradientOf(`${name}.weight`), dBias: this.gradientOf(`${name}.bias`), dLoraA: 0, dLoraB: 0,
      inputs, outputs, rank: 0, scale: 0, format: packed ? PANELS_CODE : formatCode(format), scales,
    }
  }

  private linearAddress(block: number, key: LinearKey): number {
    const index = LINEARS.findIndex((linear) => linear.key === key)
    return this.plan.records.linears + LINEAR_BYTES * ((block - this.spec.from) * LINEARS.length + index)
  }

  private writeNormRecord(address: number, name: string): void {
    const { hiddenSize, layerNormEps } = this.spec.config
    writeNorm(this.memory.buffer, address, {
      gain: this.addressOf(`${name}.weight`), bias: this.addressOf(`${name}.bias`),
      dGain: this.gradientOf(`${name}.weight`), dBias: this.gradientOf(`${name}.bias`),
      width: hiddenSize, eps: layerNormEps,
    })
  }

  private writeRecords(): void {
    const { config, from, to, labels, adapter } = this.spec
    const buffer = this.memory.buffer
    for (let block = from; block < to; block++) {
      const name = blockName(block)
      const norms = this.plan.records.norms + 2 * NORM_BYTES * (block - from)
      for (const { key, module, input, output } of LINEARS) {
        writeLinear(buffer, this.linearAddress(block, key), this.linearRecord(`${name}.${module}`, widthOf(config, output), widthOf(config, input)))
      }
      this.writeNormRecord(norms, `${name}.attention.output.LayerNorm`)
      this.writeNormRecord(norms + NORM_BYTES, `${name}.output.LayerNorm`)
      const at = (key: LinearKey) => this.linearAddress(block, key)
      writeBlock(buffer, this.plan.records.blocks + BLOCK_BYTES * (block - from), {
        query: at('query'), key: at('key'), value: at('value'), attention: at('attention'), up: at('up'), down: at('down'),
        norm1: norms, norm2: norms + NORM_BYTES, heads: config.heads, ffnRows: this.plan.ffnRows,
      })
    }
    for (const { record, fields, lora } of this.plan.saved) {
      writeSaved(buffer, record, {
        ...fields,
        loraQuery: lora.query, loraKey: lora.key, loraValue: lora.value,
        loraAttention: lora.attention, loraUp: lora.up, loraDown: lora.down,
      })
    }
    if (this.plan.head) {
      writeLinear(buffer, this.plan.records.pooler, this.linearRecord('pooler.dense', config.hiddenSize, config.hiddenSize))
      if (adapter === null) writeLinear(buffer, this.plan.records.classifier, this.linearRecord('classifier', labels, config.hiddenSize))
    }
  }

  /** Points the blocks at adapter set `index`: nothing is copied, so switching devices costs a few stores. */
  selectSet(index: number): void {
    const set = this.plan.sets[index]
    const { adapter, config } = this.spec
    if (!set || !adapter) refuse('stage.set', 'stage.set', `0 … ${this.plan.sets.length - 1}`, index)
    this.set = index
    const places = new Map(set.layout.entries.map(({ name, offset }) => [name, 4 * offset]))
    const at = (base: number, name: string) => (base && places.has(name) ? base + places.get(name)! : 0)
    for (let block = this.spec.from; block < this.spec.to; block++) {
      for (const key of adapter.targets) {
        const { module, input, output } = LINEARS.find((linear) => linear.key === key)!
        const name = `${blockName(block)}.${module}`
        writeLinear(this.memory.buffer, this.linearAddress(block, key), {
          ...this.linearRecord(name, widthOf(config, output), widthOf(config, input)),
          loraA: at(set.params, `${name}.lora_A`), loraB: at(set.params, `${name}.lora_B`),
          dLoraA: at(this.plan.setGrads, `${name}.lora_A`), dLoraB: at(this.plan.setGrads, `${name}.lora_B`),
          rank: adapter.rank, scale: adapter.alpha / adapter.rank,
        })
      }
    }
    if (this.plan.head) {
      writeLinear(this.memory.buffer, this.plan.records.classifier, {
        ...this.linearRecord('classifier', this.spec.labels, config.hiddenSize),
        weight: at(set.params, 'classifier.weight'), bias: at(set.params, 'classifier.bias'),
        dWeight: at(this.plan.setGrads, 'classifier.weight'), dBias: at(this.plan.setGrads, 'classifier.bias'),
      })
    }
  }

  /** A copy of set `index` with its optimiser. */
  readSet(index: number): SetState {
    const { params, m, v, layout } = this.plan.sets[index]
    const copy = (address: number) => (address ? this.view(address, layout.count).slice() : new Float32Array(layout.count))
    return { params: copy(params), m: copy(m), v: copy(v), ...this.powers[index] }
  }

  /** Replaces set `index` and its optimiser; refuses `stage.vector` for another length than the set's. */
  writeSet(index: number, state: SetState): void {
    const { params, m, v, layout } = this.plan.sets[index]
    for (const vector of [state.params, state.m, state.v]) {
      if (vector.length !== layout.count) refuse('stage.vector', 'adapter', `${layout.count} values`, vector.length)
    }
    this.view(params, layout.count).set(state.params)
    if (m) this.view(m, layout.count).set(state.m)
    if (v) this.view(v, layout.count).set(state.v)
    this.powers[index] = { power1: state.power1, power2: state.power2 }
  }

  private placeBatch({ offsets, ids, types, activation }: Batch, begin: number): void {
    const { from, to, config, rows, sequences, longest } = this.spec
    if (begin < from || begin >= to) refuse('batch.begin', 'batch.cut', `a block of ${from} … ${to - 1}`, begin)
    const S = offsets.length - 1
    if (S < 1 || S > sequences) refuse('batch.sequences', 'batch.offsets', `1 … ${sequences} sequences`, S)
    let T = 0
    for (let s = 0; s < S; s++) {
      const length = offsets[s + 1] - offsets[s]
      if (length < 1 || length > longest || offsets[0] !== 0) refuse('batch.length', `batch.offsets[${s}]`, `1 … ${longest} tokens from row 0`, length)
      T = Math.max(T, length)
    }
    const N = offsets[S]
    if (N > rows) refuse('batch.rows', 'batch.offsets', `at most ${rows} rows`, N)
    if (begin === 0) {
      if (ids?.length !== N) refuse('batch.ids', 'batch.ids', `${N} ids`, ids?.length ?? 'none')
      const strange = ids.findIndex((id) => id < 0 || id >= config.vocabSize)
      if (strange >= 0) refuse('batch.ids', `batch.ids[${strange}]`, `0 … ${config.vocabSize - 1}`, ids[strange])
      this.i32.set(ids, this.plan.batch.ids >> 2)
      const strangeType = types?.findIndex((type) => type < 0 || type >= config.typesMax) ?? -1
      if (types && (types.length !== N || strangeType >= 0)) {
        refuse('batch.types', 'batch.types', `${N} types below ${config.typesMax}`, types[strangeType] ?? types.length)
      }
      if (types) this.i32.set(types, this.plan.batch.types >> 2)
    } else {
      const count = N * config.hiddenSize
      if (activation?.length !== count) refuse('batch.activation', 'batch.activation', `${count} values`, activation?.length ?? 'none')
      this.f32.set(activation, this.savedAt(begin).x >> 2)
    }
    this.i32.set(offsets, this.plan.batch.offsets >> 2)
    this.begin = begin
    this.typed = types !== undefined
    this.rows = N
    this.sequences = S
    this.longest = T
  }

  private embed(): void {
    const { batch, embeddings, saved } = this.plan
    const { config } = this.spec
    const sum = embeddings.sum || saved[0].x
    const at = (name: string) => this.addressOf(`embeddings.${name}`)
    const [word, position, type] = EMBEDDING_TABLES.map((name) => this.tensors.get(name)!)
    embedding(this.kernel, {
      out: sum, ids: batch.ids, types: this.typed ? batch.types : 0, offsets: batch.offsets,
      word: word.address, position: position.address, type: type.address, format: formatCode(word.format),
      wordScales: word.scales, positionScales: position.scales, typeScales: type.scales, S: this.sequences, C: config.hiddenSize,
    })
    layerNorm(this.kernel, {
      out: saved[0].x, stats: embeddings.stats, x: sum, gain: at('LayerNorm.weight'), bias: at('LayerNorm.bias'),
      N: this.rows, C: config.hiddenSize, eps: config.layerNormEps,
    })
  }

  /** A block's saved tensors; without training all blocks share one place. */
  private savedAt(block: number) {
    return this.plan.saved[Math.min(block - this.spec.from, this.plan.saved.length - 1)]
  }

  /**
   * Runs blocks [begin, to) on a batch, which then stays for `loss` and `backward`: a
   * server begins at each device's cut. Throws a KerfError, before anything is
   * computed, for a batch over the stage's limits.
   */
  forward(batch: Batch, begin = this.spec.from): void {
    this.placeBatch(batch, begin)
    const { to } = this.spec
    if (begin === 0) this.embed()
    for (let block = begin; block < to; block++) this.blockForward(block)
    if (this.plan.head) this.classify()
  }

  private blockForward(block: number): void {
    const { from, to } = this.spec
    const { records, out, batch, scratch } = this.plan
    const next = block + 1 === to ? out : this.savedAt(block + 1).x
    blockForward(this.kernel, {
      out: next, saved: this.savedAt(block).record, block: records.blocks + BLOCK_BYTES * (block - from),
      offsets: batch.offsets, N: this.rows, S: this.sequences, T: this.longest, scratch,
    })
  }

  private classify(): void {
    const { classify, records, out, batch, scratch } = this.plan
    const C = this.spec.config.hiddenSize, S = this.sequences
    this.kernel.gatherRows(classify.first, out, batch.offsets, S, C)
    this.kernel.linear(classify.pooled, 0, classify.first, records.pooler, S, scratch)
    this.kernel.tanh(classify.pooled, classify.pooled, S * C)
    this.kernel.linear(classify.logits, 0, classify.pooled, records.classifier, S, scratch)
  }

  /** out [N, C] of the last forward pass: the activation at the cut. A copy. */
  activation(): Float32Array {
    return this.activationView().slice()
  }

  /** The same as a view, which holds until the stage computes again. */
  activationView(): Float32Array {
    return this.view(this.plan.out, this.rows * this.spec.config.hiddenSize)
  }

  /** logits [S, K] of the last forward pass. A copy. */
  logits(): Float32Array {
    return this.view(this.plan.classify.logits, this.sequences * this.spec.labels).slice()
  }

  /** Softmax of the last logits [S, K]. Overwrites them. */
  probabilities(): Float32Array {
    const { classify: { logits }, scratch } = this.plan
    this.kernel.softmax(logits, logits, this.sequences, this.spec.labels, scratch)
    return this.logits()
  }

  /** Mean cross-entropy of the last forward pass, in nats; leaves its gradient for `backward`. Overwrites the logits. */
  loss(labels: Int32Array): number {
    const { classify, batch } = this.plan
    const { labels: K } = this.spec
    if (labels.length !== this.sequences) refuse('batch.labels', 'batch.labels', `${this.sequences} labels`, labels.length)
    const strange = labels.findIndex((label) => label < 0 || label >= K)
    if (strange >= 0) refuse('batch.labels', `batch.labels[${strange}]`, `0 … ${K - 1}`, labels[strange])
    this.i32.set(labels, batch.labels >> 2)
    return this.kernel.crossEntropy(classify.losses, classify.logits, classify.logits, batch.labels, this.sequences, K)
  }

  /** Clears the gradients that `backward` adds to. */
  clearGradients(): void {
    const { weights, setGrads, sets } = this.plan
    if (weights.grads) this.kernel.fill(weights.grads, 0, weights.count)
    if (setGrads) this.kernel.fill(setGrads, 0, sets[this.set].layout.count)
  }

  /**
   * Backward from the loss, or from `dOut` [N, C], the gradient of the activation.
   * Gradients are added to what they hold. Returns the gradient of the stage's input
   * [N, C] as a copy, or null from block 0, where nothing below is sent anywhere.
   */
  backward(dOut?: Float32Array): Float32Array | null {
    return this.backwardView(dOut)?.slice() ?? null
  }

  /** The same with the gradient of the input as a view, which holds until the stage computes again. */
  backwardView(dOut?: Float32Array): Float32Array | null {
    const { from, to, config, training, recompute } = this.spec
    const { plan, rows, begin } = this
    const count = rows * config.hiddenSize
    if (plan.head) this.headBackward()
    else if (dOut) this.placeGradient(dOut, count)
    for (let block = to - 1; block >= begin; block--) {
      const wanted = block > 0 || training === 'all'
      // The last block's values are still there from the forward pass.
      if (recompute && block < to - 1) this.blockForward(block)
      blockBackward(this.kernel, {
        dx: wanted ? plan.dOut : 0, dOut: plan.dOut, saved: plan.saved[block - from].record,
        block: plan.records.blocks + BLOCK_BYTES * (block - from),
        offsets: plan.batch.offsets, N: rows, S: this.sequences, T: this.longest, scratch: plan.scratch,
      })
    }
    if (begin > 0) return this.view(plan.dOut, count)
    if (training === 'all') this.embedBackward()
    return null
  }

  private placeGradient(dOut: Float32Array, count: number): void {
    if (dOut.length !== count) refuse('stage.gradient', 'gradient', `${count} values`, dOut.length)
    this.f32.set(dOut, this.plan.dOut >> 2)
  }

  private headBackward(): void {
    const { classify, records, batch, dOut, scratch } = this.plan
    const C = this.spec.config.hiddenSize, S = this.sequences
    this.kernel.linearBackward(classify.dPooled, classify.logits, classify.pooled, 0, records.classifier, S, 0, scratch)
    this.kernel.tanhBackward(classify.dPooled, classify.dPooled, classify.pooled, S * C)
    // The pooler's input gradient takes the place of its output, which nothing needs any more.
    this.kernel.linearBackward(classify.pooled, classify.dPooled, classify.first, 0, records.pooler, S, 0, scratch)
    this.kernel.fill(dOut, 0, this.rows * C)
    this.kernel.gatherRowsBackward(dOut, classify.pooled, batch.offsets, S, C)
  }

  private embedBackward(): void {
    const { batch, embeddings, dOut, scratch } = this.plan
    const C = this.spec.config.hiddenSize
    const at = (name: string) => this.gradientOf(`embeddings.${name}`)
    layerNormBackward(this.kernel, {
      dx: dOut, dGain: at('LayerNorm.weight'), dBias: at('LayerNorm.bias'), dOut, stats: embeddings.stats, x: embeddings.sum,
      gain: this.addressOf('embeddings.LayerNorm.weight'), N: this.rows, C, row: scratch,
    })
    embeddingBackward(this.kernel, {
      dWord: at('word_embeddings.weight'), dPosition: at('position_embeddings.weight'), dType: at('token_type_embeddings.weight'),
      dOut, ids: batch.ids, types: this.typed ? batch.types : 0, offsets: batch.offsets, S: this.sequences, C,
    })
  }

  /**
   * One AdamW step of the selected set, from the block where forward began, or of every weight where all are trained; `rate` is a
   * factor on the learning rate. Clips gradients of a set alone.
   */
  update({ learningRate, ...others }: Optimizer, rate = 1): void {
    const optimizer = { ...others, learningRate: learningRate * rate }
    if (this.spec.training === 'all') {
      this.weightsPowers = stepAdamw(this.kernel, optimizer, this.weightsPowers, this.plan.weights)
    } else {
      const { params, m, v, layout } = this.plan.sets[this.set]
      const first = prefixCount(layout, this.begin), at = 4 * first
      clipGradients(this.kernel, layout, this.plan.setGrads, first, optimizer.gradientNorm)
      this.powers[this.set] = stepAdamw(this.kernel, optimizer, this.powers[this.set],
        { params: params + at, m: m + at, v: v + at, grads: this.plan.setGrads + at, count: layout.count - first })
    }
  }

  /** Bytes of the linear memory; always the plan's. */
  get bytes(): number {
    return this.plan.memory.pages * PAGE_BYTES
  }
}
