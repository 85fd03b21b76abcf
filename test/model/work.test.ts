/** Multiply-adds against products counted by hand. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { ModelConfig } from '../../runtime/model/config.ts'
import { countWork } from '../../runtime/model/work.ts'

const config: ModelConfig = {
  vocabSize: 9, hiddenSize: 4, layers: 2, heads: 2, intermediateSize: 6, positionsMax: 8, typesMax: 2, layerNormEps: 1e-12, labels: [],
}
const adapter = { rank: 3, alpha: 3, targets: ['query', 'down'] as const }
/** N = 5 rows; T² adds up to 13. */
const tokens = [2, 3]
const base = { config, from: 0, to: 2, labels: 7, adapter, training: 'adapters' as const }
const square = 5 * 4 * 4, wide = 5 * 4 * 6, scores = 13 * 4
const queryA = 5 * 4 * 3, queryB = 5 * 3 * 4, downA = 5 * 6 * 3, downB = 5 * 3 * 4

test('forward: six linear layers, two pairs, two products of attention', () => {
  const block = 4 * square + 2 * wide + queryA + queryB + downA + downB + 2 * scores
  const head = 2 * 4 * 4 + 2 * 4 * 7
  assert.is(countWork(base, tokens).forward, 2 * block + head)
  assert.is(countWork({ ...base, to: 1 }, tokens).forward, block)
  assert.is(countWork({ ...base, head: false }, tokens).forward, 2 * block)
})

test('backward: gradients of inputs and pairs, none below the first block', () => {
  const pairs = 2 * (queryA + queryB + downA + downB)
  const block = 4 * square + 2 * wide + pairs + 5 * scores
  const first = block - 3 * square - queryA
  const head = 2 * 4 * 4 + 2 * (2 * 4 * 7)
  assert.is(countWork({ ...base, to: 1 }, tokens).backward, first)
  assert.is(countWork({ ...base, from: 1 }, tokens).backward, block + head)
  assert.is(countWork(base, tokens).backward, first + block + head)
})

test('other trainings: every weight has a gradient, or nothing has', () => {
  const all = countWork({ ...base, adapter: null, training: 'all' }, tokens)
  assert.is(all.backward, 2 * (2 * (4 * square + 2 * wide) + 5 * scores) + 2 * (2 * 4 * 4) + 2 * (2 * 4 * 7))
  assert.equal(countWork({ ...base, training: 'none' }, tokens), { forward: countWork(base, tokens).forward, backward: 0 })
})

test('recomputation: one more forward pass of every block but the last, head and embeddings apart', () => {
  const block = countWork({ ...base, to: 1 }, tokens).forward
  const deep = { ...base, config: { ...config, layers: 5 }, to: 5 }
  for (const training of ['adapters', 'all'] as const) {
    for (const [from, to] of [[0, 1], [0, 2], [1, 4], [2, 5], [0, 5]]) {
      const spec = { ...deep, training, from, to }
      const kept = countWork(spec, tokens), again = countWork({ ...spec, recompute: true }, tokens)
      assert.equal(again, { forward: kept.forward, backward: kept.backward + (to - from - 1) * block }, `${training} ${from} … ${to}`)
    }
  }
  const idle = { ...deep, training: 'none' as const }
  assert.equal(countWork({ ...idle, recompute: true }, tokens), countWork(idle, tokens))
})

test.run()
