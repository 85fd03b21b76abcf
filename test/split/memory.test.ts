/** Promise 3: the server's memory grows by the devices' sets and optimiser states and by nothing else. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { serverSpecs } from '../../runtime/federation/run.ts'
import type { Kernel } from '../../runtime/kernel/load.ts'
import { PAGE_BYTES } from '../../runtime/kernel/load.ts'
import { sumPurposes } from '../../runtime/kernel/plan.ts'
import { layoutOf } from '../../runtime/model/layout.ts'
import { planStage } from '../../runtime/model/plan.ts'
import type { SchemeName } from '../../runtime/split/scheme.ts'
import type { BatchSize } from '../../runtime/split/spec.ts'
import { openKernelBuild } from '../kernels.ts'
import { train } from './harness.ts'
import { LABELS, LAYERS, adapter, config, makeContract } from './model.ts'

const ALIGNMENT_BYTES = 64
const size: BatchSize = { rows: 24, sequences: 3, longest: 8 }

/** Parameters and both moments of the blocks from `cut` on, each rounded up to the plan's alignment. */
function setBytes(cut: number): number {
  const { count } = layoutOf(config, adapter, LABELS.length, cut, LAYERS)
  return 3 * Math.ceil((4 * count) / ALIGNMENT_BYTES) * ALIGNMENT_BYTES
}

/** Bytes before they are rounded up to pages, stage by stage. */
function usedBytes(scheme: SchemeName, cuts: readonly number[], kernel: Kernel): number[] {
  const contract = makeContract({ scheme, cuts })
  return serverSpecs(config, contract, cuts.map(() => size)).map((spec) => planStage(spec, kernel.exports).memory.usedBytes)
}

for (const cuts of [[1, 1, 1, 1, 1, 1], [1, 2, 3, 1, 3, 2]]) {
  test(`kerf: one more device of cuts ${cuts} adds its set to the byte`, async () => {
    const kernel = await openKernelBuild('simd')
    for (let clients = 1; clients < cuts.length; clients++) {
      const [before] = usedBytes('kerf', cuts.slice(0, clients), kernel)
      const [after, ...more] = usedBytes('kerf', cuts.slice(0, clients + 1), kernel)
      assert.is(more.length, 0)
      assert.is(after - before, setBytes(cuts[clients]))
    }
  })
}

test('kerf: a thousand devices are a thousand sets', async () => {
  const kernel = await openKernelBuild('simd')
  const [one] = usedBytes('kerf', [1], kernel)
  const [thousand] = usedBytes('kerf', new Array<number>(1000).fill(1), kernel)
  assert.is(thousand - one, 999 * setBytes(1))
})

test('sl and splitlora hold one set, however many devices', async () => {
  const kernel = await openKernelBuild('simd')
  for (const scheme of ['sl', 'splitlora'] as const) {
    assert.equal(usedBytes(scheme, [1, 2, 3, 1], kernel), usedBytes(scheme, [1], kernel))
  }
})

test('sfl holds a whole stage for each device, fl and central none', async () => {
  const kernel = await openKernelBuild('simd')
  assert.equal(usedBytes('sfl', [1, 2, 1], kernel), [1, 2, 1].map((cut) => usedBytes('kerf', [cut], kernel)[0]))
  assert.equal(usedBytes('fl', [LAYERS, LAYERS], kernel), [])
})

test('a run takes just what its plans say', async () => {
  const kernel = await openKernelBuild('simd')
  for (const [scheme, cuts] of [['kerf', [1, 2, 3]], ['sfl', [1, 2, 3]], ['sl', [2, 1]], ['fl', [LAYERS, LAYERS]]] as const) {
    const contract = makeContract({ scheme, cuts })
    const { server, devices } = await train({ contract })
    assert.is(server.memoryBytes % PAGE_BYTES, 0)
    assert.is(server.setBytes, scheme === 'fl' ? 0 : scheme === 'sl' ? exactSetBytes(1) : cuts.reduce((sum, cut) => sum + exactSetBytes(cut), 0))
    const plans = serverSpecs(config, contract, cuts.map(() => size)).map((spec) => sumPurposes(planStage(spec, kernel.exports).memory))
    assert.is(server.modelBytes, plans.reduce((sum, { weights }) => sum + weights, 0))
    assert.ok(devices.every(({ memoryBytes }) => memoryBytes > 0 && memoryBytes % PAGE_BYTES === 0))
  }
})

/** As accounts give it: the values alone. */
function exactSetBytes(cut: number): number {
  return 12 * layoutOf(config, adapter, LABELS.length, cut, LAYERS).count
}

test.run()
