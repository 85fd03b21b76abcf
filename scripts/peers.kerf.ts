/**
 * Kerf as a participant. Which kernel build, how many threads, which tiles and which weights it runs is one setting;
 * a setting that this version has not is answered by an error. The kernel is read from dist/ in the working directory.
 */
import { readFileSync } from 'node:fs'
import type { Kernel, KernelBuild } from '../runtime/kernel/load.ts'
import { instantiate, loadKernel } from '../runtime/kernel/load.ts'
import { createPlanner } from '../runtime/kernel/plan.ts'
import { countOf } from '../runtime/model/layout.ts'
import type { StageSpec } from '../runtime/model/plan.ts'
import { ADAMW, Stage, freshState } from '../runtime/model/stage.ts'
import type { Batch } from '../runtime/model/stage.ts'
import { countWork } from '../runtime/model/work.ts'
import { checkOutput, checkOutputs, drawTensor } from './peers.numbers.ts'
import type { Tensor } from './peers.numbers.ts'
import { measurePeak } from './peers.peak.ts'
import type { Setting, Task } from './peers.protocol.ts'
import { serve } from './peers.protocol.ts'
import type { BlockWork, ModelWork, ProductWork, StepWork, Work } from './peers.work.ts'
import { nameIn } from './peers.work.ts'

/** Builds by profile. */
const BUILDS: Readonly<Record<string, KernelBuild>> = { strict: 'simd' }

async function openKernel({ profile, threads, weights, tile }: Setting): Promise<Kernel> {
  const build = BUILDS[profile]
  if (!build) throw new Error(`this version has no ${profile} profile`)
  if (threads !== 1) throw new Error(`this version has one thread, not ${threads}`)
  if (weights !== 'f32') throw new Error(`this version has no ${weights} weights`)
  if (tile !== 'auto') throw new Error(`this version has no choice of tiles, such as ${tile}`)
  return loadKernel(readFileSync(`dist/kerf.${build}.wasm`), build)
}

async function prepareProduct(kernel: Kernel, { form, N, O, I, a, b }: ProductWork): Promise<Task> {
  const shape = form === 'forward' ? [N, O] : form === 'input' ? [N, I] : [O, I]
  const planner = createPlanner()
  const place = (name: string, count: number) => planner.place(name, 'activations', 'run', 4 * count)
  const at = { out: place('out', countOf(shape)), a: place('a', countOf(a.shape)), b: place('b', countOf(b.shape)) }
  const scratch = planner.place('scratch', 'scratch', 'call', kernel.exports.productScratchBytes(shape[1]))
  const { pages } = planner.finish()
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages })
  const exports = await instantiate(kernel.module, memory)
  for (const [tensor, address] of [[a, at.a], [b, at.b]] as const) new Float32Array(memory.buffer, address).set(drawTensor(tensor))
  const product = { forward: exports.matmul, input: exports.matmulBackwardInput, weight: exports.matmulBackwardWeight }[form]
  return {
    run: () => product(at.out, at.a, at.b, N, O, I, 0, scratch),
    check: () => ({ out: checkOutput(new Float32Array(memory.buffer, at.out, countOf(shape))) }),
  }
}

function offsetsOf(lengths: readonly number[]): Int32Array {
  const offsets = new Int32Array(lengths.length + 1)
  lengths.forEach((length, index) => { offsets[index + 1] = offsets[index] + length })
  return offsets
}

function placeWeights(stage: Stage, weights: readonly Tensor[]): void {
  for (const tensor of weights) stage.weight(tensor.name).set(drawTensor(tensor))
}

function specOf(lengths: readonly (readonly number[])[], rest: Omit<StageSpec, 'rows' | 'sequences' | 'longest'>): StageSpec {
  return {
    ...rest,
    rows: Math.max(...lengths.map((batch) => offsetsOf(batch)[batch.length])),
    sequences: Math.max(...lengths.map((batch) => batch.length)),
    longest: Math.max(...lengths.flat()),
  }
}

async function prepareBlock(kernel: Kernel, work: BlockWork): Promise<Task> {
  const { config, block, adapter, weights, lora, batches } = work
  const spec = specOf(batches, { config, from: block, to: block + 1, labels: 1, adapter, training: 'adapters', setsFrom: [block], head: false })
  const stage = await Stage.blank(kernel, spec)
  placeWeights(stage, weights)
  const { layout } = stage.plan.sets[0]
  const params = new Float32Array(layout.count)
  for (const { name, offset } of layout.entries) {
    const tensor = lora.find((candidate) => candidate.name === name)
    if (tensor) params.set(drawTensor(tensor), offset)
  }
  stage.writeSet(0, freshState(params))
  const inputs = batches.map((lengths, index) => (
    { batch: { offsets: offsetsOf(lengths), activation: drawTensor(work.xs[index]) } satisfies Batch, dOut: drawTensor(work.dOuts[index]) }))
  const step = (index: number) => {
    const { batch, dOut } = inputs[index]
    stage.clearGradients()
    stage.forward(batch)
    return stage.backward(dOut)!
  }
  const gradient = (name: string) => {
    const { offset, count } = layout.entries.find((entry) => entry.name === name)!
    return stage.view(stage.plan.setGrads + 4 * offset, count)
  }
  return {
    steps: batches.length,
    run: () => { for (let index = 0; index < inputs.length; index++) step(index) },
    check: () => {
      const dx = step(0)
      const gradients = lora.map(({ name }) => [name.replace(nameIn(block, ''), ''), gradient(name)] as const)
      return checkOutputs({ out: stage.activation(), dx, ...Object.fromEntries(gradients) })
    },
  }
}

async function prepareModel(kernel: Kernel, { config, weights, ids }: ModelWork): Promise<Task> {
  const lengths = [ids.length]
  const stage = await Stage.blank(kernel, specOf([lengths], {
    config, from: 0, to: config.layers, labels: 1, adapter: null, training: 'none', setsFrom: [], head: false,
  }))
  placeWeights(stage, weights)
  const batch: Batch = { offsets: offsetsOf(lengths), ids: Int32Array.from(ids) }
  return { run: () => stage.forward(batch), check: () => ({ out: checkOutput(stage.activation()) }) }
}

async function prepareStep(kernel: Kernel, { config, adapter, labels, lengths }: StepWork): Promise<Task> {
  const spec = specOf([lengths], { config, from: 0, to: config.layers, labels, adapter, training: 'adapters', setsFrom: [0] })
  const stage = await Stage.blank(kernel, spec)
  placeWeights(stage, stage.plan.weights.tensors.map(({ name, shape }) => (
    { name, shape, scale: 0.0625, center: name.endsWith('LayerNorm.weight') ? 1 : 0 })))
  const batch: Batch = { offsets: offsetsOf(lengths), ids: Int32Array.from({ length: spec.rows }, (_, row) => (row * 7919) % config.vocabSize) }
  const truths = Int32Array.from(lengths, (_, index) => index % labels)
  const { forward, backward } = countWork(spec, lengths)
  let loss = 0
  return {
    flops: 2 * (forward + backward),
    run: () => {
      stage.clearGradients()
      stage.forward(batch)
      loss = stage.loss(truths)
      stage.backward()
      stage.update(ADAMW)
    },
    check: () => ({ loss: checkOutput([loss]) }),
  }
}

async function prepare(work: Work, setting: Setting): Promise<Task> {
  if (work.kind === 'peak') return measurePeak(setting.profile === 'fast')
  const kernel = await openKernel(setting)
  if (work.kind === 'product') return prepareProduct(kernel, work)
  if (work.kind === 'block') return prepareBlock(kernel, work)
  return work.kind === 'model' ? prepareModel(kernel, work) : prepareStep(kernel, work)
}

await serve(async () => ({ version: process.versions.v8, prepare }))
