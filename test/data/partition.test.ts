/** How a dataset is shared: nothing lost, nothing twice, the same for the same seed. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Partition } from '../../runtime/data/partition.ts'
import { parsePartition, partition, selectSamples } from '../../runtime/data/partition.ts'
import { createRandom } from '../../runtime/random.ts'
import { BUILDS, openKernelBuild } from '../kernels.ts'
import { refusal } from '../refusal.ts'

const LABELS = 6

function drawLabels(count: number, seed = 1): Int32Array {
  const random = createRandom(seed, 'mask')
  // Uneven, as emotions are: the first label is the commonest.
  return Int32Array.from({ length: count }, () => Math.min(random.below(LABELS), random.below(LABELS)))
}

const { exports } = await openKernelBuild('simd')
const share = (labels: Int32Array, clients: number, how: Partition, seed = 1) => partition(labels, LABELS, clients, how, seed, exports)
const WAYS: readonly Partition[] = [
  { kind: 'contiguous' }, { kind: 'iid' },
  ...[1e-6, 1e-3, 0.01, 0.1, 0.5, 1, 10, 1000].map((alpha): Partition => ({ kind: 'dirichlet', alpha })),
]
const nameOf = (how: Partition) => (how.kind === 'dirichlet' ? `dirichlet:${how.alpha}` : how.kind)

for (const how of WAYS) {
  test(`${nameOf(how)}: every sample has one client, every client a sample, in ascending order`, () => {
    for (const [samples, clients] of [[1, 1], [6, 6], [7, 6], [100, 3], [301, 10], [1000, 6]]) {
      for (let seed = 0; seed < 20; seed++) {
        const shares = share(drawLabels(samples, seed), clients, how, seed)
        const where = `${samples} samples, ${clients} clients, seed ${seed}`
        assert.is(shares.length, clients, where)
        assert.equal(shares.flat().sort((a, b) => a - b), [...new Array(samples).keys()], where)
        for (const own of shares) {
          assert.ok(own.length > 0, where)
          assert.ok(own.every((index, at) => at === 0 || own[at - 1] < index), where)
        }
      }
    }
  })

  test(`${nameOf(how)}: the same seed gives the same shares, in both builds`, async () => {
    const labels = drawLabels(200)
    const expected = share(labels, 5, how, 8)
    for (const build of BUILDS) assert.equal(partition(labels, LABELS, 5, how, 8, (await openKernelBuild(build)).exports), expected)
    if (how.kind !== 'contiguous') assert.not.equal(share(labels, 5, how, 9), expected)
  })
}

test('contiguous: equal shares in the order of the file', () => {
  assert.equal(share(drawLabels(7), 3, { kind: 'contiguous' }), [[0, 1], [2, 3], [4, 5, 6]])
})

test('iid: equal shares of a shuffle', () => {
  const shares = share(drawLabels(100), 7, { kind: 'iid' })
  for (const own of shares) assert.ok(own.length === 14 || own.length === 15)
  assert.not.equal(shares[0], [...shares[0].keys()])
})

/** Mean over clients of half the sum over labels of |share of the client − share of all|: 0 even, towards 1 skewed. */
function measureSkew(labels: Int32Array, shares: readonly (readonly number[])[]): number {
  const fraction = (indices: readonly number[], label: number) => indices.filter((index) => labels[index] === label).length / indices.length
  const fractions = (indices: readonly number[]) => Array.from({ length: LABELS }, (_, label) => fraction(indices, label))
  const all = fractions([...labels.keys()])
  const distances = shares.map((share) => fractions(share).reduce((sum, own, label) => sum + Math.abs(own - all[label]), 0) / 2)
  return distances.reduce((sum, distance) => sum + distance, 0) / shares.length
}

test('dirichlet: a small alpha is skewed, a large one nearly even, and it falls in between', () => {
  const labels = drawLabels(6000)
  const skews = [0.01, 0.5, 5, 1000].map((alpha) => {
    const seeds = [1, 2, 3, 4, 5].map((seed) => measureSkew(labels, share(labels, 6, { kind: 'dirichlet', alpha }, seed)))
    return seeds.reduce((sum, skew) => sum + skew, 0) / seeds.length
  })
  assert.ok(skews[0] > 0.5, `alpha 0.01: ${skews[0]}`)
  assert.ok(skews[3] < 0.05, `alpha 1000: ${skews[3]}`)
  assert.ok(skews[0] > skews[1] && skews[1] > skews[2] && skews[2] > skews[3], String(skews))
})

test('dirichlet: so small an alpha that every weight underflows gives a label to one client', () => {
  const labels = drawLabels(300)
  const owners = new Set<number>()
  for (let seed = 0; seed < 30; seed++) {
    const shares = share(labels, 3, { kind: 'dirichlet', alpha: 1e-6 }, seed)
    const holders = shares.flatMap((own, client) => (own.filter((index) => labels[index] === 0).length > 1 ? [client] : []))
    assert.is(holders.length, 1, `seed ${seed}`)
    owners.add(holders[0])
  }
  assert.is(owners.size, 3, 'each client in its turn')
})

function codeOf(call: () => unknown): string {
  const { code, message } = refusal(call)
  return `${code}: ${message}`
}

test('more clients than samples, or none, are refused', () => {
  for (const how of WAYS) {
    assert.match(codeOf(() => share(drawLabels(3), 4, how)), /^partition-clients: clients: expected 1 … 3/)
    assert.match(codeOf(() => share(drawLabels(3), 0, how)), /^partition-clients/)
  }
})

test('the text of a partition', () => {
  assert.equal(parsePartition('contiguous'), { kind: 'contiguous' })
  assert.equal(parsePartition('iid'), { kind: 'iid' })
  assert.equal(parsePartition('dirichlet:0.5'), { kind: 'dirichlet', alpha: 0.5 })
  const wrong = [
    '', 'even', 'dirichlet', 'dirichlet:', 'dirichlet:0', 'dirichlet:-1', 'dirichlet:x', 'dirichlet:Infinity', 'dirichlet:1:2', 'iid:3',
  ]
  for (const text of wrong) {
    assert.match(codeOf(() => parsePartition(text, '--partition')), /^partition: --partition: expected/, text)
  }
})

test('the samples of a share are those of its indices', () => {
  const sequences = [5, 6, 7, 8].map((id) => Int32Array.of(id))
  const { sequences: own, labels } = selectSamples({ sequences, labels: Int32Array.of(0, 1, 2, 3) }, [1, 3])
  assert.equal(own.map(([id]) => id), [6, 8])
  assert.equal([...labels], [1, 3])
})

test.run()
