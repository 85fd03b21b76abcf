/** Threads: the same bits as one thread alone, whatever their number and the batch; and what the command line says of them. */
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { KerfError } from '../../runtime/error.ts'
import type { Kernel } from '../../runtime/kernel/load.ts'
import type { ModelConfig } from '../../runtime/model/config.ts'
import type { StageSpec } from '../../runtime/model/plan.ts'
import { planStage } from '../../runtime/model/plan.ts'
import { ADAMW } from '../../runtime/model/optimizer.ts'
import { Stage } from '../../runtime/model/stage.ts'
import { makeDirectory, runKerf } from '../command.ts'
import { openKernelBuild } from '../kernels.ts'
import { adapter, config as small, makeWeights } from '../split/model.ts'
import { ends, openThreaded } from '../threads.ts'
import { makeTinyData, makeTinyModel } from '../tiny.ts'

/** Matrices of more than one block of columns and of k, and rows enough for threads to come together. */
const config: ModelConfig = { ...small, layers: 2, hiddenSize: 48, intermediateSize: 800, positionsMax: 40 }
const weights = makeWeights(config)
const SPEC: StageSpec = {
  config, from: 0, to: config.layers, labels: 3, adapter, training: 'adapters', setsFrom: [0], rows: 100, sequences: 5, longest: 40,
}
/** Those of one and four tokens thread 0 does alone. */
const BATCHES = [[40, 3, 8, 1, 40], [1], [2, 2], [40]]

/** For two batches of four, forward and backward of each block; recomputing makes all but the last once more. Then the end. */
function countJobs({ recompute }: StageSpec): number {
  return 2 * (2 * config.layers + (recompute ? config.layers - 1 : 0)) + 1
}

/** Logits, losses and parameters of a step on each batch. */
async function runSteps(kernel: Kernel, spec: StageSpec): Promise<Float32Array[]> {
  const stage = await Stage.open(kernel, spec, weights)
  const results: Float32Array[] = []
  if (spec.adapter) {
    const state = stage.readSet(0)
    state.params.forEach((_, i) => { state.params[i] = ((i * 37) % 19) / 40 - 0.2 })
    stage.writeSet(0, state)
  }
  for (const lengths of BATCHES) {
    const offsets = Int32Array.from([0, ...lengths]).map((_, s) => lengths.slice(0, s).reduce((a, b) => a + b, 0))
    const ids = Int32Array.from({ length: offsets[lengths.length] }, (_, i) => (i * 7) % config.vocabSize)
    stage.forward({ offsets, ids })
    results.push(stage.logits(), Float32Array.of(stage.loss(Int32Array.from(lengths, (length) => length % 3))))
    stage.clearGradients()
    stage.backward()
    stage.update(ADAMW)
  }
  results.push(stage.readSet(0).params)
  const { memory, plan } = stage
  stage.close()
  assert.is(memory.buffer.byteLength, planStage(spec, kernel.exports).memory.bytes)
  if (spec.threads) assert.is(new Int32Array(memory.buffer)[plan.team / 4 + 2], countJobs(spec), 'jobs given to the team')
  return results
}

const ALL: StageSpec = { ...SPEC, adapter: { ...adapter, targets: ['query', 'key', 'value', 'attention', 'up', 'down'] } }

const CASES = [['query and value', SPEC], ['every linear layer', ALL], ['recomputed', { ...SPEC, recompute: true }]] as const
for (const [name, spec] of CASES) {
  test(`${name}: two and three threads give the bits of one`, async () => {
    const alone = await runSteps(await openKernelBuild('simd'), spec)
    const kernel = await openThreaded()
    for (const threads of [2, 3]) assert.equal(await runSteps(kernel, { ...spec, threads }), alone, `${threads} threads`)
  })
}

test('a dismissed team ends its threads', async () => {
  await Promise.all(ends)
  assert.ok(ends.length >= 9)
})

test('threads without a shared build are refused', async () => {
  const opened = Stage.blank(await openKernelBuild('simd'), { ...SPEC, threads: 2 })
  const error: unknown = await opened.then(() => null, (reason: unknown) => reason)
  assert.instance(error, KerfError)
  assert.is((error as KerfError).message, 'threads: expected 1 on a host without shared memory, got 2')
})

test('the command line: two threads answer as one does, and the scalar build says that it has but one', () => {
  const directory = makeDirectory()
  const labels = ['joy', 'fear', 'anger']
  const model = join(directory, 'model'), data = join(directory, 'data.txt')
  makeTinyModel(model, { labels })
  makeTinyData(data, 12, labels)
  const evaluate = (...more: string[]) => runKerf(['eval', '--model', model, '--data', data, '--json', ...more])
  const alone = evaluate()
  assert.is(alone.exitCode, 0)
  assert.is(evaluate('--threads', '2').stdout, alone.stdout)
  const scalar = evaluate('--threads', '2', '--build', 'scalar')
  assert.is(scalar.stdout, alone.stdout)
  assert.match(scalar.stderr, /--threads 2: the scalar build has no shared memory; 1 thread instead/)
  const refused = evaluate('--threads', '65')
  assert.is(refused.exitCode, 2)
  assert.match(refused.stderr, /^kerf: --threads: expected a whole number of 1 … 64, got "65"/)
})

test.run()
