/** The memory plan, and the scratch sizes that plans ask the kernel for. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { PAGE_BYTES } from '../../runtime/kernel/load.ts'
import { MEMORY_BYTES_MAX, createPlanner, sumPurposes } from '../../runtime/kernel/plan.ts'
import { BUILDS, openKernelBuild } from '../kernels.ts'
import { refusal } from '../refusal.ts'

test('regions are aligned, apart, in order and above address 0', () => {
  const planner = createPlanner()
  const sizes = [1, 64, 65, 4096, 3, 128]
  const addresses = sizes.map((bytes, i) => planner.place(`region ${i}`, 'weights', 'run', bytes))
  const { regions, usedBytes } = planner.finish()
  assert.equal(regions.map(({ address }) => address), addresses)
  addresses.forEach((address, i) => {
    assert.is(address % 64, 0)
    assert.ok(address > 0)
    assert.ok((addresses[i + 1] ?? usedBytes) >= address + sizes[i])
  })
})

test('nothing has no address and no region', () => {
  const planner = createPlanner()
  assert.is(planner.place('nothing', 'sets', 'run', 0), 0)
  assert.equal(planner.finish().regions, [])
})

test('the memory is the whole pages that hold the regions', () => {
  for (const [bytes, pages] of [[1, 1], [PAGE_BYTES - 64, 1], [PAGE_BYTES - 63, 2], [10 * PAGE_BYTES, 11]]) {
    const planner = createPlanner()
    planner.place('region', 'scratch', 'call', bytes)
    const plan = planner.finish()
    assert.is(plan.pages, pages)
    assert.is(plan.bytes, pages * PAGE_BYTES)
    assert.ok(plan.usedBytes <= plan.bytes)
  }
})

test('purposes add up', () => {
  const planner = createPlanner()
  planner.place('a', 'weights', 'run', 100)
  planner.place('b', 'sets', 'run', 7)
  planner.place('c', 'weights', 'step', 20)
  assert.equal(sumPurposes(planner.finish()), { records: 0, weights: 120, sets: 7, gradients: 0, activations: 0, batch: 0, scratch: 0 })
})

test('a plan beyond 32 bits is refused', () => {
  const planner = createPlanner()
  planner.place('most', 'weights', 'run', MEMORY_BYTES_MAX - 64)
  assert.is(planner.finish().usedBytes, MEMORY_BYTES_MAX)
  planner.place('one more', 'weights', 'run', 1)
  const error = refusal(() => planner.finish())
  assert.is(error.code, 'plan.bytes')
  assert.match(error.message, `plan: expected at most ${MEMORY_BYTES_MAX} bytes`)
})

for (const build of BUILDS) {
  const { exports: kernel } = await openKernelBuild(build)
  // A plan is made for the largest batch and serves every smaller one.
  const sizes: Record<string, { of: (...dimensions: number[]) => number; dimensions: readonly number[] }> = {
    productScratchBytes: { of: kernel.productScratchBytes, dimensions: [17] },
    linearScratchBytes: { of: kernel.linearScratchBytes, dimensions: [5, 13, 24, 3] },
    attentionScratchBytes: { of: kernel.attentionScratchBytes, dimensions: [11, 8] },
    blockScratchBytes: { of: kernel.blockScratchBytes, dimensions: [27, 24, 3, 40, 3, 12, 9, 1] },
  }

  test(`${build}: scratch never shrinks as a dimension grows`, () => {
    for (const [name, { of, dimensions }] of Object.entries(sizes)) {
      const heads = name.startsWith('block') ? 2 : -1
      dimensions.forEach((_, moved) => {
        if (moved === heads) return
        for (let more = 1, before = of(...dimensions); more <= 96; more++) {
          const after = of(...dimensions.map((size, i) => (i === moved ? size + more : size)))
          assert.ok(after >= before, `${name} with dimension ${moved} + ${more}: expected at least ${before}, got ${after}`)
          before = after
        }
      })
    }
  })
}

test.run()
