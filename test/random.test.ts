/** Random numbers: Threefry's known answers, and that what is drawn from it is even, complete and repeatable. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { STREAMS, createRandom, drawNormal, permute, threefry } from '../runtime/random.ts'
import type { Stream } from '../runtime/random.ts'
import { openKernelBuild } from './kernels.ts'

/** Random123's kat_vectors for threefry2x32, 20 rounds: key, counter, result. */
const KNOWN = [
  [[0, 0], [0, 0], [0x6b200159, 0x99ba4efe]],
  [[0xffffffff, 0xffffffff], [0xffffffff, 0xffffffff], [0x1cb996fc, 0xbb002be7]],
  [[0x13198a2e, 0x03707344], [0x243f6a88, 0x85a308d3], [0xc4923a9c, 0x483df7a0]],
] as const

test('known answers of Threefry-2x32-20', () => {
  for (const [key, counter, result] of KNOWN) assert.equal(threefry(key[0], key[1], counter[0], counter[1]), [...result])
})

const take = (count: number, seed: number, stream: Stream, index?: number) => {
  const random = createRandom(seed, stream, index)
  return Array.from({ length: count }, () => random.bits())
}

test('a sequence depends on seed, stream and index, each alone, and on nothing else', () => {
  const first = take(64, 1, 'shuffle')
  assert.equal(take(64, 1, 'shuffle', 0), first)
  const others = [
    take(64, 2, 'shuffle'), take(64, 1, 'mask'), take(64, 1, 'shuffle', 1), take(64, 0, 'shuffle', 1), take(64, -1, 'shuffle'),
  ]
  for (const other of others) assert.is(other.filter((bits) => first.includes(bits)).length, 0)
})

test('no two streams share a number', () => {
  const numbers = Object.values(STREAMS)
  assert.is(new Set(numbers).size, numbers.length)
})

test('uniform stays inside (0, 1) with the moments of even numbers', () => {
  const random = createRandom(3, 'weights')
  const count = 100000
  let sum = 0, squares = 0
  for (let i = 0; i < count; i++) {
    const value = random.uniform()
    assert.ok(value > 0 && value < 1)
    sum += value
    squares += value * value
  }
  assert.ok(Math.abs(sum / count - 1 / 2) < 0.003, `mean ${sum / count}`)
  assert.ok(Math.abs(squares / count - 1 / 3) < 0.003, `mean square ${squares / count}`)
})

test('below is even over its range, also where 2³² is no multiple of it', () => {
  const random = createRandom(4, 'partition')
  for (const count of [1, 2, 3, 6, 7, 10]) {
    const draws = 30000
    const counts = new Array<number>(count).fill(0)
    for (let i = 0; i < draws; i++) counts[random.below(count)]++
    // Four standard deviations of a binomial count.
    const spread = 4 * Math.sqrt(draws / count)
    counts.forEach((value, i) => assert.ok(Math.abs(value - draws / count) <= spread, `${i} of ${count}: ${value} times`))
  }
  // Three quarters of 2³²: without rejection the first third would come twice as often as the others.
  const wide = 3 * 2 ** 30
  const thirds = [0, 0, 0]
  for (let i = 0; i < 30000; i++) thirds[Math.floor(random.below(wide) / 2 ** 30)]++
  thirds.forEach((value) => assert.ok(Math.abs(value - 10000) < 400, `${thirds}`))
})

test('permute gives each number once, each order as often, and the same for the same seed', () => {
  for (const count of [0, 1, 2, 7, 1000]) {
    const order = permute(count, createRandom(5, 'shuffle', count))
    assert.equal([...order].sort((a, b) => a - b), Array.from({ length: count }, (_, i) => i))
    assert.equal(permute(count, createRandom(5, 'shuffle', count)), order)
  }
  const random = createRandom(6, 'shuffle')
  const orders = new Map<string, number>()
  for (let i = 0; i < 6000; i++) {
    const order = permute(3, random).join('')
    orders.set(order, (orders.get(order) ?? 0) + 1)
  }
  assert.is(orders.size, 6)
  for (const [order, times] of orders) assert.ok(Math.abs(times - 1000) < 150, `${order}: ${times} times`)
})

test('normals have the moments of the normal distribution', async () => {
  const { exports } = await openKernelBuild('scalar')
  const random = createRandom(7, 'weights')
  const count = 100000
  const moments = [0, 0, 0, 0]
  let beyond = 0
  for (let i = 0; i < count; i++) {
    const value = drawNormal(random, exports.log64)
    assert.ok(Number.isFinite(value))
    moments.forEach((_, power) => { moments[power] += value ** (power + 1) / count })
    if (Math.abs(value) > 2) beyond++
  }
  const [mean, variance, skew, kurtosis] = moments
  assert.ok(Math.abs(mean) < 0.013, `mean ${mean}`)
  assert.ok(Math.abs(variance - 1) < 0.018, `variance ${variance}`)
  assert.ok(Math.abs(skew) < 0.05, `third moment ${skew}`)
  assert.ok(Math.abs(kurtosis - 3) < 0.15, `fourth moment ${kurtosis}`)
  assert.ok(Math.abs(beyond / count - 0.0455) < 0.003, `share beyond two deviations ${beyond / count}`)
})

test.run()
