/** Clipping of gradients: each block's norm and the head's, against the definition in float64, and nothing else. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { ModelConfig } from '../../runtime/model/config.ts'
import { layoutOf } from '../../runtime/model/layout.ts'
import { clipGradients } from '../../runtime/model/optimizer.ts'
import { createMemory, instantiate } from '../../runtime/kernel/load.ts'
import { BUILDS, openKernelBuild } from '../kernels.ts'

const CONFIG: ModelConfig = {
  vocabSize: 50, hiddenSize: 12, layers: 3, heads: 3, intermediateSize: 20, positionsMax: 30, typesMax: 2, layerNormEps: 1e-12, labels: [],
}
const LAYOUT = layoutOf(CONFIG, { rank: 2, alpha: 4, targets: ['query', 'value'] }, 5, 0, 3)
const AT = 64

/** [begin, end) of each block and of the head. */
const GROUPS = [0, 1, 2, -1].map((block) => {
  const own = LAYOUT.entries.filter((entry) => entry.block === block)
  return [own[0].offset, own[own.length - 1].offset + own[own.length - 1].count] as const
})

const normOf = (values: Float32Array) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0))

for (const build of BUILDS) {
  test(`${build}: each block and the head by themselves, from the block where the step began`, async () => {
    const { module, tile } = await openKernelBuild(build)
    const memory = createMemory(1, false)
    const kernel = await instantiate(module, memory, tile)
    const gradient = new Float32Array(memory.buffer, AT, LAYOUT.count)
    const drawn = Float32Array.from({ length: LAYOUT.count }, (_, i) => Math.sin(1 + i * i))
    // The second block is small already; the head's squares overflow.
    const factors = [1, 1e-3, 30, 1e20]
    GROUPS.forEach(([begin, end], group) => { for (let i = begin; i < end; i++) drawn[i] *= factors[group] })
    for (const first of [0, GROUPS[1][0]]) {
      gradient.set(drawn)
      clipGradients(kernel, LAYOUT, AT, first, 0.5)
      GROUPS.forEach(([begin, end], group) => {
        const before = drawn.subarray(begin, end), after = gradient.subarray(begin, end)
        const norm = normOf(before)
        const factor = begin >= first && norm > 0.5 ? 0.5 / norm : 1
        if (factor === 1) return assert.equal(after, before, `group ${group}`)
        after.forEach((value, i) => assert.ok(Math.abs(value - before[i] * factor) < 1e-6, `group ${group}, ${i}: ${value}`))
        assert.ok(Math.abs(normOf(after) - 0.5) < 1e-5)
      })
      gradient.set(drawn)
      clipGradients(kernel, LAYOUT, AT, first, Infinity)
      assert.equal(gradient, drawn)
    }
  })
}

test.run()
