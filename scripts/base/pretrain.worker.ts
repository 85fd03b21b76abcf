/** One shard of pretraining: computes its share of every step's gradient; see pretrain.ts. */
import { workerData, parentPort } from 'node:worker_threads'
import { openKernel } from '../../runtime/kernel/load.ts'
import { raisePowers } from '../../runtime/model/optimizer.ts'
import { createRandom } from '../../runtime/random.ts'
import { MaskedModel, maskBatch } from './mlm.ts'
import type { Job } from './pretrain.ts'
import { initialWeights, learningRateAt } from './pretrain.schedule.ts'

const BETAS = { beta1: 0.9, beta2: 0.98 }

const job = workerData as Job
const port = parentPort!
const { shard, shards, options, config, special } = job
const ids = new Int32Array(job.ids)
const starts = new Int32Array(job.starts)
const order = new Int32Array(job.order)
const sequence = (index: number) => ids.subarray(starts[index], starts[index + 1])

const kernel = await openKernel(job.module, 'simd')
const model = await MaskedModel.open(kernel, config, job.limits)
const { stage } = model
const { weights } = stage.plan
initialWeights(stage, options.seed, kernel)
if (job.initial) stage.view(weights.params, weights.count).set(new Float32Array(job.initial))
if (job.resume) {
  stage.view(weights.params, weights.count).set(new Float32Array(job.resume.params))
  stage.view(weights.m, weights.count).set(new Float32Array(job.resume.m))
  stage.view(weights.v, weights.count).set(new Float32Array(job.resume.v))
  // A save holds no powers of the betas: they follow from the steps.
  for (let step = 0; step < job.resume.step; step++) stage.weightsPowers = raisePowers(stage.weightsPowers, BETAS)
}
const shared = job.gradients.map((buffer) => new Float32Array(buffer))
const gate = new Int32Array(job.gate)

/** All shards arrive before any leaves. */
function meet(): void {
  const turn = Atomics.load(gate, 1)
  if (Atomics.add(gate, 0, 1) === shards - 1) {
    Atomics.store(gate, 0, 0)
    Atomics.add(gate, 1, 1)
    Atomics.notify(gate, 1)
  } else {
    while (Atomics.load(gate, 1) === turn) Atomics.wait(gate, 1, turn)
  }
}

/** Mean loss over the held-out sequences with masks that never change. */
function evaluate(): number {
  let sum = 0, masked = 0
  const random = createRandom(options.seed, 'mask', 0xffff)
  for (let first = 0; first < job.heldout.length; first += 16) {
    const some = job.heldout.slice(first, first + 16)
    const batch = maskBatch(some, random, special.mask, special.first, config.vocabSize, { words: 0, keep: job.keep })
    if (batch.rows.length === 0) continue
    sum += model.run(batch, false) * batch.rows.length
    masked += batch.rows.length
  }
  return sum / masked
}

const before = job.resume ? job.resume.before : shard === 0 ? evaluate() : 0
const gradient = stage.view(weights.grads, weights.count)
for (let step = job.resume?.step ?? 0; step < options.steps; step++) {
  const take = options.batch
  const first = (step * shards + shard) * take
  const sequences = Array.from({ length: take }, (_, index) => sequence(order[(first + index) % order.length]))
  const random = createRandom(options.seed, 'mask', step * shards + shard + 0x10000)
  stage.clearGradients()
  const how = { words: options.summary, keep: job.keep }
  const loss = model.run(maskBatch(sequences, random, special.mask, special.first, config.vocabSize, how), true)
  shared[shard].set(gradient)
  meet()
  // Every shard sums all gradients in shard order, so all copies of the weights stay equal.
  gradient.set(shared[0])
  for (let other = 1; other < shards; other++) for (let i = 0; i < gradient.length; i++) gradient[i] += shared[other][i]
  for (let i = 0; i < gradient.length; i++) gradient[i] /= shards
  stage.update({ learningRate: learningRateAt(step, options), ...BETAS, eps: 1e-6, weightDecay: 0.01, gradientNorm: Infinity })
  meet()
  if (shard === 0) {
    port.postMessage({ event: 'step', step: step + 1, loss })
    const due = (step + 1) % options.saveEvery === 0 || step + 1 === options.steps
    if (due) {
      const part = (at: number) => stage.view(at, weights.count).slice().buffer
      const parts = { params: part(weights.params), m: part(weights.m), v: part(weights.v) }
      port.postMessage({ event: 'save', step: step + 1, before, heldout: evaluate(), ...parts })
    }
  }
}
port.postMessage({ event: 'done' })
