/** From uploads to a base: who is clipped and by how much, who weighs what, and what a trial on data leaves out. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openAverage } from '../../runtime/federation/average.ts'
import { CLIP_DEFAULT, clipLimit, clipUpdate, normOf } from '../../runtime/federation/clip.ts'
import type { MergeOptions } from '../../runtime/federation/merge.ts'
import { createMerge } from '../../runtime/federation/merge.ts'
import { createRandom } from '../../runtime/random.ts'
import { openKernelBuild } from '../kernels.ts'
import { expectBits, expectOtherBits } from '../split/bits.ts'
import { averageByHand } from '../split/reference.ts'
import { openScene, train } from '../split/harness.ts'
import { makeContract } from '../split/model.ts'

const COUNT = 301

function draw(seed: number, size = 1): Float32Array {
  const random = createRandom(seed, 'mask')
  return Float32Array.from({ length: COUNT }, () => size * (random.uniform() - 0.5))
}

const base = draw(1)
/** The base and a step of about that size. */
const moved = (seed: number, size: number) => draw(seed, size).map((step, i) => base[i] + step)

async function open(options: Partial<MergeOptions> = {}) {
  const told: string[] = []
  const merge = createMerge({
    average: await openAverage(await openKernelBuild('simd'), COUNT), clip: CLIP_DEFAULT, samplesMax: Infinity, trial: async () => 1,
    tell: (client, what) => { told.push(`${client} ${what}`) }, ...options,
  })
  return { merge, told }
}

test('a norm is the root of the summed squares of the update', () => {
  assert.is(normOf(Float32Array.of(4, 6), Float32Array.of(1, 2)), 5)
  assert.is(normOf(Float32Array.of(3e38, 0), Float32Array.of(-3e38, 0)), 2 * Math.fround(3e38))
})

test('the limit: so many times the median, the larger of two middle ones; none for fewer than three or a factor of 0', () => {
  assert.is(clipLimit([1, 9, 2], 4), 8)
  assert.is(clipLimit([1, 2, 3, 100], 4), 12)
  assert.is(clipLimit([1, 100], 4), Infinity)
  assert.is(clipLimit([1, 2, 100], 0), Infinity)
})

test('an update within the limit keeps its bits; one beyond has the limit\'s norm and its own direction', () => {
  const vector = moved(2, 1)
  const norm = normOf(vector, base)
  assert.is(clipUpdate(vector, base, norm, norm), vector)
  const clipped = clipUpdate(vector, base, norm, norm / 10)
  assert.ok(Math.abs(normOf(clipped, base) / (norm / 10) - 1) < 1e-6)
  assert.ok(vector.every((value, i) => (value - base[i]) * (clipped[i] - base[i]) >= 0))
})

test('honest updates make FedAvg to the bit; of three, one a thousand times as large counts as so many medians', async () => {
  const { merge, told } = await open()
  const vectors = [moved(2, 1), moved(3, 2), moved(4, 3)]
  const given = vectors.map((vector, client) => ({ client, vector, samples: 3 + client }))
  expectBits(await merge(base, given), averageByHand(vectors, [3, 4, 5]))
  assert.equal(told, [])
  const large = moved(5, 1000)
  const lied = await merge(base, [...given.slice(0, 2), { client: 2, vector: large, samples: 5 }])
  const norms = [...vectors.slice(0, 2), large].map((vector) => normOf(vector, base))
  const limit = clipLimit(norms, CLIP_DEFAULT)
  expectBits(lied, averageByHand([vectors[0], vectors[1], clipUpdate(large, base, norms[2], limit)], [3, 4, 5]))
  assert.match(told[0], /^2 clipped: its update of norm [\d.e+]+ counts as [\d.]+, \d+ times the median$/)
  assert.ok(normOf(lied, base) < 2 * limit)
})

test('claimed samples count as what the run can show at most, said once', async () => {
  const { merge, told } = await open({ samplesMax: 10 })
  const vectors = [moved(2, 1), moved(3, 1)]
  const given = [{ client: 0, vector: vectors[0], samples: 10 }, { client: 1, vector: vectors[1], samples: Number.MAX_SAFE_INTEGER }]
  for (let round = 0; round < 2; round++) expectBits(await merge(base, given), averageByHand(vectors, [10, 10]))
  assert.equal(told, ['1 claims 9007199254740991 samples: counts as 10, the most that this run can show'])
})

test('a set whose loss on data is no number is not taken: the furthest go first, and in the end the base stays', async () => {
  const vectors = [moved(2, 1), moved(3, 3), moved(4, 2)]
  const given = vectors.map((vector, client) => ({ client, vector, samples: 1 }))
  const without = async (bad: readonly number[]) => {
    const tried: Float32Array[] = []
    const trial = async (vector: Float32Array) => {
      tried.push(vector)
      return tried.length <= bad.length ? NaN : 0.5
    }
    const { merge, told } = await open({ trial })
    return { vector: await merge(base, given), told, tried }
  }
  const one = await without([1])
  expectBits(one.vector, averageByHand([vectors[0], vectors[2]], [1, 1]))
  assert.equal(one.told, ['1 left out of the average: with it the loss on data is NaN'])
  expectBits((await without([1, 2])).vector, vectors[0])
  const none = await without([1, 2, 0])
  assert.is(none.vector, base)
  assert.is(none.told.length, 3)
})

test('in a run: what a trial refuses is not saved, not told and not sent, and its devices are named', async () => {
  for (const scheme of ['kerf', 'sl'] as const) {
    const contract = makeContract({ scheme, cuts: [1, 2, 3] })
    let trials = 0
    const outcome = await train({ contract, options: { trial: async () => (++trials === 1 ? NaN : 1) } })
    assert.equal(outcome.endings, ['done', 'done', 'done'])
    assert.is(outcome.events.filter((event) => event.includes('left out of the average')).length, 1)
    expectOtherBits(outcome.vector, (await train({ contract })).vector)
    const sure = await train({ contract, options: { trial: async () => 1 } })
    expectBits(sure.vector, (await train({ contract })).vector)
  }
})

test('a trial that fails ends the run by its error', async () => {
  const contract = makeContract()
  const scene = await openScene({ contract, options: { trial: async () => { throw new Error('no memory') } } })
  const endings = [scene.join(0), scene.join(1)]
  const failure = await scene.finish().then(() => '', (error: unknown) => String(error))
  assert.is(failure, 'Error: no memory')
  await Promise.all(endings)
})

test('honest runs of three and more are not clipped by the default', async () => {
  for (const scheme of ['kerf', 'sfl', 'fl', 'splitlora'] as const) {
    const contract = makeContract({ scheme, cuts: scheme === 'fl' ? [4, 4, 4, 4] : [1, 2, 3, 1], steps: 12 })
    expectBits((await train({ contract })).vector, (await train({ contract, options: { clip: 0 } })).vector, scheme)
  }
})

test.run()
