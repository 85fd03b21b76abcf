/**
 * Kerf as a participant. Which kernel build, how many threads and which weights it runs is one setting; the tile is the
 * one that is fastest on the host. The kernel is read from dist/ in the working directory.
 */
import { readFileSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { calibrate } from '../../runtime/kernel/calibrate.ts'
import type { Kernel, KernelBuild, StartThread } from '../../runtime/kernel/load.ts'
import { instantiate, loadKernel } from '../../runtime/kernel/load.ts'
import { createPlanner, sumPurposes } from '../../runtime/kernel/plan.ts'
import { countOf } from '../../runtime/model/layout.ts'
import type { StageSpec } from '../../runtime/model/plan.ts'
import { weightTensors } from '../../runtime/model/plan.ts'
import type { Weights } from '../../runtime/model/weights.ts'
import { ADAMW, freshState } from '../../runtime/model/optimizer.ts'
import { Stage } from '../../runtime/model/stage.ts'
import type { Batch } from '../../runtime/model/stage.ts'
import { countWork } from '../../runtime/model/work.ts'
import { checkOutput, checkOutputs, drawTensor } from './numbers.ts'
import type { Tensor } from './numbers.ts'
import { measurePeak } from './peak.ts'
import type { Setting, Task } from './protocol.ts'
import { serve } from './protocol.ts'
import type { BlockWork, ModelWork, ProductWork, StepWork, Work } from './work.ts'
import { nameIn } from './work.ts'

/** Builds by profile. */
const BUILDS: Readonly<Record<string, KernelBuild>> = { strict: 'simd', fast: 'relaxed' }

const start: StartThread = (job) => new Promise((resolve, reject) => {
  const worker = new Worker('./dist/thread.js', { workerData: job })
  worker.once('message', () => resolve())
  worker.once('error', reject)
})

/** The kernel with the tile that is fastest here. */
async function openKernel({ profile, threads }: Setting): Promise<Kernel> {
  const build = BUILDS[String(profile)]
  if (!build) throw new Error(`this version has no ${profile} profile`)
  const plain = await loadKernel(readFileSync(`dist/kerf.${build}.wasm`), build)
  const [{ tile }] = await calibrate(plain.module, plain.exports, build === 'simd', () => performance.now())
  const shared = Number(threads) > 1 ? new WebAssembly.Module(readFileSync(`dist/kerf.${build}.shared.wasm`)) : undefined
  return { ...plain, tile, team: shared && { module: shared, start } }
}

async function prepareProduct(kernel: Kernel, { form, N, O, I, a, b }: ProductWork): Promise<Task> {
  const shape = form === 'forward' ? [N, O] : form === 'input' ? [N, I] : [O, I]
  const planner = createPlanner()
  const place = (name: string, count: number) => planner.place(name, 'activations', 'run', 4 * count)
  const at = { out: place('out', countOf(shape)), a: place('a', countOf(a.shape)), b: place('b', countOf(b.shape)) }
  const scratch = planner.place('scratch', 'scratch', 'call', kernel.exports.productScratchBytes(shape[1]))
  const { pages } = planner.finish()
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages })
  const exports = await instantiate(kernel.module, memory, kernel.tile)
  for (const [tensor, address] of [[a, at.a], [b, at.b]] as const) new Float32Array(memory.buffer, address).set(drawTensor(tensor))
  const product = { forward: exports.matmul, input: exports.matmulBackwardInput, weight: exports.matmulBackwardWeight }[form]
  return {
    note: `tile ${kernel.tile}`,
    run: () => product(at.out, at.a, at.b, N, O, I, 0, scratch),
    check: () => ({ out: checkOutput(new Float32Array(memory.buffer, at.out, countOf(shape))) }),
  }
}

function offsetsOf(lengths: readonly number[]): Int32Array {
  const offsets = new Int32Array(lengths.length + 1)
  lengths.forEach((length, index) => { offsets[index + 1] = offsets[index] + length })
  return offsets
}

/** Drawn tensors as a model's file; `rounded` puts each row of a matrix on int8's grid first, so that int8 loses nothing more. */
function drawnWeights(tensors: readonly Tensor[], rounded: boolean): Weights {
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]))
  return {
    names: [...byName.keys()],
    has: (name) => byName.has(name),
    read: async (name) => {
      const tensor = byName.get(name)!
      const values = drawTensor(tensor)
      if (rounded && tensor.shape.length === 2) roundRows(values, tensor.shape[1])
      return { dtype: 'F32', data: new Uint8Array(values.buffer) }
    },
  }
}

function roundRows(values: Float32Array, width: number): void {
  for (let begin = 0; begin < values.length; begin += width) {
    const row = values.subarray(begin, begin + width)
    const step = row.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0) / 127
    row.forEach((value, index) => { row[index] = Math.round(value / step) * step })
  }
}

function specOf(lengths: readonly (readonly number[])[], rest: Omit<StageSpec, 'rows' | 'sequences' | 'longest'>): StageSpec {
  return {
    ...rest,
    rows: Math.max(...lengths.map((batch) => offsetsOf(batch)[batch.length])),
    sequences: Math.max(...lengths.map((batch) => batch.length)),
    longest: Math.max(...lengths.flat()),
  }
}

async function prepareBlock(kernel: Kernel, work: BlockWork, { threads, weights: format }: Setting): Promise<Task> {
  const { config, block, adapter, weights, lora, batches } = work
  const spec = specOf(batches, {
    threads: Number(threads), format: format === 'int8' ? 'int8' : 'f32',
    config, from: block, to: block + 1, labels: 1, adapter, training: 'adapters', setsFrom: [block], head: false,
  })
  const stage = await Stage.open(kernel, spec, drawnWeights(weights, work.rounded))
  const { layout } = stage.plan.sets[0]
  const params = new Float32Array(layout.count)
  for (const { name, offset } of layout.entries) {
    const tensor = lora.find((candidate) => candidate.name === name)
    if (tensor) params.set(drawTensor(tensor), offset)
  }
  stage.writeSet(0, freshState(params))
  const inputs = batches.map((lengths, index) => {
    const batch: Batch = { offsets: offsetsOf(lengths), activation: drawTensor(work.xs[index]) }
    return { batch, dOut: drawTensor(work.dOuts[index]) }
  })
  const forward = (index: number) => {
    stage.clearGradients()
    stage.forward(inputs[index].batch)
  }
  const { weights: weightBytes } = sumPurposes(stage.plan.memory)
  const gradient = (name: string) => {
    const { offset, count } = layout.entries.find((entry) => entry.name === name)!
    return stage.view(stage.plan.setGrads + 4 * offset, count)
  }
  return {
    steps: batches.length,
    note: `tile ${kernel.tile}, weights ${weightBytes} bytes`,
    run: () => {
      inputs.forEach(({ dOut }, index) => {
        forward(index)
        stage.backward(dOut)
      })
    },
    check: () => {
      forward(0)
      const out = stage.activation()
      const dx = stage.backward(inputs[0].dOut)!
      const gradients = lora.map(({ name }) => [name.replace(nameIn(block, ''), ''), gradient(name)] as const)
      return checkOutputs({ out, dx, ...Object.fromEntries(gradients) })
    },
  }
}

async function prepareModel(kernel: Kernel, { config, weights, ids }: ModelWork): Promise<Task> {
  const lengths = [ids.length]
  const spec = specOf([lengths], {
    config, from: 0, to: config.layers, labels: 1, adapter: null, training: 'none', setsFrom: [], head: false, packed: true,
  })
  const stage = await Stage.open(kernel, spec, drawnWeights(weights, false))
  const batch: Batch = { offsets: offsetsOf(lengths), ids: Int32Array.from(ids) }
  return { note: `tile ${kernel.tile}`, run: () => stage.forward(batch), check: () => ({ out: checkOutput(stage.activation()) }) }
}

async function prepareStep(kernel: Kernel, { config, adapter, labels, lengths }: StepWork): Promise<Task> {
  const spec = specOf([lengths], { config, from: 0, to: config.layers, labels, adapter, training: 'adapters', setsFrom: [0] })
  const tensors = weightTensors(spec).map(({ name, shape }) => (
    { name, shape, scale: 0.0625, center: name.endsWith('LayerNorm.weight') ? 1 : 0 }))
  const stage = await Stage.open(kernel, spec, drawnWeights(tensors, false))
  const ids = Int32Array.from({ length: spec.rows }, (_, row) => (row * 7919) % config.vocabSize)
  const batch: Batch = { offsets: offsetsOf(lengths), ids }
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
  if (work.kind === 'block') return prepareBlock(kernel, work, setting)
  return work.kind === 'model' ? prepareModel(kernel, work) : prepareStep(kernel, work)
}

await serve(async () => ({ version: process.versions.v8, prepare }))
