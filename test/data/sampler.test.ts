/** Which samples a step uses. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { TokenizedDataset } from '../../runtime/data/dataset.ts'
import { createRandom } from '../../runtime/random.ts'
import type { LabelledBatch } from '../../runtime/data/sampler.ts'
import { collectBatch, createSampler, rowsMax } from '../../runtime/data/sampler.ts'

/** Sample i is i + 1 times the token i, so that a batch tells what it is made of. */
function numbered(count: number): TokenizedDataset {
  const sequences = Array.from({ length: count }, (_, index) => new Int32Array(index + 1).fill(index))
  return { sequences, labels: Int32Array.from(sequences, (_, index) => index % 3) }
}

function samplesOf({ offsets, ids, labels }: LabelledBatch): number[] {
  const samples = [...labels.keys()].map((sequence) => ids[offsets[sequence]])
  samples.forEach((sample, sequence) => {
    assert.is(offsets[sequence + 1] - offsets[sequence], sample + 1)
    assert.ok(ids.subarray(offsets[sequence], offsets[sequence + 1]).every((id) => id === sample))
    assert.is(labels[sequence], sample % 3)
  })
  return samples
}

/** The first `count` samples of a client's endless sequence. */
function drawSamples(n: number, size: number, count: number, shuffle = true, seed = 1, client = 0): number[] {
  const sampler = createSampler(numbered(n), size, seed, client, shuffle)
  const samples: number[] = []
  for (let step = 0; samples.length < count; step++) samples.push(...samplesOf(sampler.batch(step)))
  return samples.slice(0, count)
}

test('each epoch is a permutation, and no two are alike', () => {
  const n = 11
  const samples = drawSamples(n, 4, 6 * n)
  const epochs = Array.from({ length: 6 }, (_, epoch) => samples.slice(epoch * n, (epoch + 1) * n))
  for (const epoch of epochs) assert.equal([...epoch].sort((a, b) => a - b), [...new Array(n).keys()])
  assert.is(new Set(epochs.map(String)).size, 6)
})

test('the sequence does not depend on the batch size', () => {
  const whole = drawSamples(7, 1, 42)
  for (const size of [2, 3, 7, 10, 21]) assert.equal(drawSamples(7, size, 42), whole)
})

test('a step can be computed by itself, in any order', () => {
  const forwards = createSampler(numbered(7), 3, 1, 0, true)
  const batches = Array.from({ length: 12 }, (_, step) => samplesOf(forwards.batch(step)))
  const backwards = createSampler(numbered(7), 3, 1, 0, true)
  for (let step = 11; step >= 0; step--) assert.equal(samplesOf(backwards.batch(step)), batches[step])
})

test('seed and client choose the order', () => {
  const orders = [[1, 0], [2, 0], [1, 1], [1, 2]].map(([seed, client]) => String(drawSamples(20, 5, 60, true, seed, client)))
  assert.is(new Set(orders).size, 4)
  assert.is(String(drawSamples(20, 5, 60)), orders[0])
})

test('without shuffling: the order of the file, again and again', () => {
  assert.equal(drawSamples(5, 3, 12, false), [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1])
})

test('one sample alone, in a batch of several', () => {
  assert.equal(drawSamples(1, 4, 8), new Array(8).fill(0))
})

test('a batch of given samples is ragged, with no row between', () => {
  const { offsets, ids, labels } = collectBatch(numbered(4), [2, 0, 2])
  assert.equal([...offsets], [0, 3, 4, 7])
  assert.equal([...ids], [2, 2, 2, 0, 2, 2, 2])
  assert.equal([...labels], [2, 0, 2])
})

test('no batch has more rows than the bound, also where one epoch ends in it and the next begins', () => {
  const random = createRandom(4, 'mask')
  for (let n = 1; n <= 7; n++) {
    for (let size = 1; size <= 9; size++) {
      const sequences = Array.from({ length: n }, () => new Int32Array(1 + random.below(9)))
      const data = { sequences, labels: new Int32Array(n) }
      const bound = rowsMax(data, size)
      let most = 0
      for (const shuffle of [true, false]) {
        const sampler = createSampler(data, size, 1, 0, shuffle)
        for (let step = 0; step < 300; step++) most = Math.max(most, sampler.batch(step).ids.length)
      }
      assert.ok(most <= bound, `${n} samples, batches of ${size}: at most ${bound} rows, got ${most}`)
      // Three hundred random orders of few samples meet the worst one.
      if (n <= 3 || size === 1) assert.is(most, bound, `${n} samples, batches of ${size}`)
    }
  }
})

test.run()
