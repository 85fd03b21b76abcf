/** Ways to make one set of several: trimmed mean and median by hand, and what one liar can do to each. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { AggregateName } from '../../runtime/federation/aggregate.ts'
import { AGGREGATES, openAggregate } from '../../runtime/federation/aggregate.ts'
import { openKernelBuild } from '../kernels.ts'
import { refusal } from '../refusal.ts'
import { expectBits } from '../split/bits.ts'

const COUNT = 5

async function aggregate(name: AggregateName, rows: readonly (readonly number[])[]): Promise<Float32Array> {
  const average = await openAggregate(name, await openKernelBuild('simd'), rows[0].length)
  return average(rows.map((row, index) => ({ vector: Float32Array.from(row), samples: index + 1 })))
}

const column = (values: readonly number[]) => values.map((value) => [value])

test('the median: the middle value, or the mean of the two middle ones', async () => {
  assert.equal([...await aggregate('median', column([3, 1, 2]))], [2])
  assert.equal([...await aggregate('median', column([4, 1, 3, 2]))], [2.5])
  assert.equal([...await aggregate('median', column([7]))], [7])
  assert.equal([...await aggregate('median', column([1, 2]))], [1.5])
})

test('the trimmed mean: a fifth goes at either end, and at least one of three', async () => {
  assert.equal([...await aggregate('trimmed', column([100, 1, 2]))], [2])
  assert.equal([...await aggregate('trimmed', column([1, 3]))], [2])
  assert.equal([...await aggregate('trimmed', column([1, 2, 3, 4, 1000, -1000]))], [2.5])
  assert.equal([...await aggregate('trimmed', column([9, 9, 1, 2, 3, 4, 5, 6, -9, -9]))], [3.5])
})

test('each parameter for itself, and the order of the clients changes nothing but the mean\'s roundings', async () => {
  const rows = [[1, -2, 0.5, 1e-8, 4], [2, 2, -0.25, 3e-8, 0], [3, 0, 0.125, 2e-8, -4]]
  assert.equal([...await aggregate('median', rows)], [...Float32Array.of(2, 0, 0.125, 2e-8, 0)])
  for (const name of ['median', 'trimmed'] as const) expectBits(await aggregate(name, rows), await aggregate(name, [...rows].reverse()), name)
})

test('one of five can put the mean anywhere, and the robust two nowhere beyond the honest', async () => {
  const honest = [[1], [2], [3], [4]]
  for (const lie of [3e38, -3e38]) {
    for (const name of ['median', 'trimmed'] as const) {
      const [value] = await aggregate(name, [...honest, [lie]])
      assert.ok(value >= 1 && value <= 4, `${name}: ${value}`)
    }
    assert.ok(Math.abs((await aggregate('mean', [...honest, [lie]]))[0]) > 1e36)
  }
})

test('the robust two count each once, whatever it claims', async () => {
  const average = await openAggregate('median', await openKernelBuild('simd'), 1)
  const vectors = [1, 2, 3].map((value) => Float32Array.of(value))
  expectBits(average(vectors.map((vector) => ({ vector, samples: 1 }))), average(vectors.map((vector, index) => ({ vector, samples: 9 ** index }))))
})

test('nobody, and a vector of another size, are refused by name in each', async () => {
  for (const name of AGGREGATES) {
    const average = await openAggregate(name, await openKernelBuild('simd'), COUNT)
    assert.is(refusal(() => average([])).code, 'average-empty', name)
    assert.is(refusal(() => average([{ vector: new Float32Array(COUNT + 1), samples: 1 }])).code, 'average-count', name)
  }
})

test.run()
