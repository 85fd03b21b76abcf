/** The whole stage against PyTorch: logits within 1e-5, every gradient within 1e-4 relative, in every build. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { goldenIntegers, goldenTensor, goldenTensors } from '../oracle/golden.ts'
import { distance } from '../distance.ts'
import { BUILDS, missingRelaxed, openKernelBuild } from '../kernels.ts'
import { skipTest } from '../skip.ts'
import { freshState } from '../../runtime/model/optimizer.ts'
import { Stage } from '../../runtime/model/stage.ts'
import type { KernelBuild } from '../../runtime/kernel/load.ts'
import type { StageSpec } from '../../runtime/model/plan.ts'
import type { AdapterConfig } from '../../runtime/model/peft.ts'
import type { ModelConfig } from '../../runtime/model/config.ts'

export const config: ModelConfig = {
  vocabSize: 61, hiddenSize: 24, layers: 3, heads: 3, intermediateSize: 40, positionsMax: 20, typesMax: 2, layerNormEps: 1e-12, labels: [],
}
const adapter: AdapterConfig = { rank: 3, alpha: 5, targets: ['query', 'key', 'value', 'attention', 'up', 'down'] }
const weights = goldenTensors('weight.')
const gradients = goldenTensors('grad.')
const batch = { ids: goldenIntegers('in.ids'), offsets: goldenIntegers('in.offsets'), types: goldenIntegers('in.types') }
const labels = goldenIntegers('in.labels')
const source = {
  names: [...weights.keys()], has: (name: string) => weights.has(name),
  read: async (name: string) => ({ dtype: 'F32' as const, data: new Uint8Array(Float32Array.from(weights.get(name)!.data).buffer) }),
}
const limits = { rows: 27, sequences: 5, longest: 12, labels: 5 }

function fillSet(stage: Stage, index = 0): void {
  const { layout } = stage.plan.sets[index]
  const vector = new Float32Array(layout.count)
  for (const { name, offset } of layout.entries) vector.set(Float32Array.from(weights.get(name)!.data), offset)
  stage.writeSet(index, freshState(vector))
}

function open(build: KernelBuild, spec: Partial<StageSpec>): Promise<Stage> {
  return openKernelBuild(build).then((kernel) =>
    Stage.open(kernel, { config, from: 0, to: 3, adapter, training: 'adapters', setsFrom: [spec.from ?? 0], ...limits, ...spec }, source))
}

const missing = missingRelaxed()

for (const build of [...BUILDS, 'relaxed'] as const) {
  const lacks = build === 'relaxed' ? missing : undefined

  test(`${build}: forward with adapters, logits and every hidden state`, async () => {
    if (lacks) return skipTest(lacks)
    const stage = await open(build, {})
    fillSet(stage)
    stage.forward(batch)
    assert.ok(distance(stage.logits(), goldenTensor('out.logits.f64').data) < 1e-5)
    for (let block = 0; block < 3; block++) {
      const { x } = stage.plan.saved[block].fields
      assert.ok(distance(stage.view(x, 27 * 24), goldenTensor(`out.hidden.${block}`).data) < 1e-5)
    }
    assert.ok(Math.abs(stage.loss(labels) - goldenTensor('out.loss.f64').data[0]) < 1e-5)
  })

  test(`${build}: the gradient of every adapter tensor`, async () => {
    if (lacks) return skipTest(lacks)
    const stage = await open(build, {})
    fillSet(stage)
    stage.forward(batch)
    stage.loss(labels)
    stage.clearGradients()
    stage.backward()
    for (const { name, offset, count } of stage.plan.sets[0].layout.entries) {
      const gap = distance(stage.view(stage.plan.setGrads + 4 * offset, count), gradients.get(name)!.data)
      assert.ok(gap < 1e-4, `${name}: ${gap}`)
    }
  })

  test(`${build}: the gradient of every weight, with the adapters folded in`, async () => {
    if (lacks) return skipTest(lacks)
    const stage = await open(build, { adapter: null, training: 'all', setsFrom: [] })
    for (const [name, { shape, data }] of weights) {
      if (!name.endsWith('lora_A')) continue
      const base = name.slice(0, -'.lora_A'.length)
      const b = weights.get(`${base}.lora_B`)!.data
      const [R, I] = shape
      const target = stage.weight(`${base}.weight`)
      for (let i = 0; i < target.length; i++) {
        const o = Math.floor(i / I)
        let sum = 0
        for (let r = 0; r < R; r++) sum += b[o * R + r] * data[r * I + (i % I)]
        target[i] += (5 / 3) * sum
      }
    }
    stage.forward(batch)
    stage.loss(labels)
    stage.clearGradients()
    stage.backward()
    for (const { name } of stage.plan.weights.tensors) {
      // A key's bias shifts all scores of a row alike: its true gradient is zero, and only rounding is left.
      const gap = distance(stage.gradient(name), gradients.get(name)!.data, name.endsWith('key.bias') ? 0.01 : 0)
      assert.ok(gap < 1e-4, `${name}: ${gap}`)
    }
  })

  for (const cut of [1, 2]) {
    test(`${build}: cut ${cut} gives the unsplit bits and the hidden gradient`, async () => {
      if (lacks) return skipTest(lacks)
      const [device, server, whole] = [await open(build, { to: cut }), await open(build, { from: cut }), await open(build, {})]
      for (const stage of [device, server, whole]) fillSet(stage)
      whole.forward(batch)
      const loss = whole.loss(labels)
      whole.clearGradients()
      whole.backward()
      device.forward(batch)
      server.forward({ offsets: batch.offsets, activation: device.activation() })
      assert.is(server.loss(labels), loss)
      server.clearGradients()
      const dActivation = server.backward()!
      assert.ok(distance(dActivation, gradients.get(`hidden.${cut}`)!.data) < 1e-4)
      device.clearGradients()
      assert.is(device.backward(dActivation), null)
      const joined = [device, server].flatMap((stage) => [...stage.view(stage.plan.setGrads, stage.plan.sets[0].layout.count)])
      assert.equal(Float32Array.from(joined), whole.view(whole.plan.setGrads, whole.plan.sets[0].layout.count).slice())
    })
  }
}

test.run()
