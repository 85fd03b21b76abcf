/** FedAvg: weights, order, and one participant's own bits. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Average } from '../../runtime/federation/average.ts'
import { openAverage } from '../../runtime/federation/average.ts'
import { createRandom } from '../../runtime/random.ts'
import { BUILDS, openKernelBuild } from '../kernels.ts'
import { refusal } from '../refusal.ts'
import { expectBits } from '../split/bits.ts'
import { averageByHand } from '../split/reference.ts'

/** Not a multiple of any lane count. */
const COUNT = 1021

function drawVector(seed: number, count = COUNT): Float32Array {
  const random = createRandom(seed, 'mask')
  return Float32Array.from({ length: count }, () => (random.uniform() - 0.5) * 2 ** (random.below(80) - 40))
}

async function open(count = COUNT): Promise<Average> {
  return openAverage(await openKernelBuild('simd'), count)
}

for (const build of BUILDS) {
  test(`${build}: the weighted mean in f64, in the order given, bit for bit`, async () => {
    const average = await openAverage(await openKernelBuild(build), COUNT)
    const vectors = [1, 2, 3, 4, 5].map((seed) => drawVector(seed))
    const samples = [7, 1, 1000, 333, 20]
    expectBits(average(vectors.map((vector, index) => ({ vector, samples: samples[index] }))), averageByHand(vectors, samples))
  })
}

test('one participant gets its own bits back, whatever its weight', async () => {
  const vector = drawVector(3)
  vector.set([0, -0, 1e-45, -1.17e-38, 3.4e38, 1 / 3])
  const average = await open()
  for (const samples of [1, 3, 7, 12345, 2 ** 29 - 1]) expectBits(average([{ vector, samples }]), vector, `${samples} samples`)
})

test('equal vectors average to themselves', async () => {
  const vector = drawVector(4)
  expectBits((await open())([3, 5, 11].map((samples) => ({ vector, samples }))), vector)
})

test('the sample counts are the weights', async () => {
  const average = await open(4)
  const all = (value: number) => new Float32Array(4).fill(value)
  assert.equal([...average([{ vector: all(0), samples: 3 }, { vector: all(8), samples: 1 }])], [2, 2, 2, 2])
  assert.equal([...average([{ vector: all(0), samples: 1 }, { vector: all(8), samples: 3 }])], [6, 6, 6, 6])
})

test('a call leaves nothing behind for the next, and does not touch its inputs', async () => {
  const average = await open()
  const [a, b] = [drawVector(5), drawVector(6)]
  const copies = [a.slice(), b.slice()]
  const first = average([{ vector: a, samples: 2 }, { vector: b, samples: 5 }])
  average([{ vector: b, samples: 1 }])
  expectBits(average([{ vector: a, samples: 2 }, { vector: b, samples: 5 }]), first)
  expectBits(a, copies[0])
  expectBits(b, copies[1])
})

test('nobody to average, and a vector of another size, are refused by name', async () => {
  const average = await open()
  assert.is(refusal(() => average([])).code, 'average-empty')
  assert.is(refusal(() => average([{ vector: new Float32Array(3), samples: 1 }])).code, 'average-count')
})

test.run()
