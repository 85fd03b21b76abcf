/** Each scheme trains, and by its own rule: compared with plain loops over stages. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Contract } from '../../runtime/split/contract.ts'
import type { SchemeName } from '../../runtime/split/scheme.ts'
import { expectBits, expectOtherBits } from './bits.ts'
import type { Outcome } from './harness.ts'
import { train } from './harness.ts'
import { LAYERS, makeContract, makeInitial, makeShares } from './model.ts'
import { trainFederated, trainInTurns, trainShared } from './reference.ts'

const SCHEMES: SchemeName[] = ['kerf', 'sl', 'sfl', 'splitlora', 'fl', 'central']

function contractOf(scheme: SchemeName, changes: Partial<Contract> = {}): Contract {
  const cuts = scheme === 'central' ? [LAYERS] : scheme === 'fl' ? [LAYERS, LAYERS] : [1, 2]
  return makeContract({ scheme, cuts, ...changes })
}

function meanLoss({ steps }: Outcome, from: number, to: number): number {
  const losses = steps.filter(({ step }) => step >= from && step < to).map(({ loss }) => loss)
  return losses.reduce((sum, loss) => sum + loss, 0) / losses.length
}

for (const scheme of SCHEMES) {
  test(`${scheme}: the loss falls and every adapter tensor changes`, async () => {
    const contract = contractOf(scheme, { steps: 30, interval: 10 })
    const initial = await makeInitial(contract.seed)
    const outcome = await train({ contract, initial })
    assert.ok(meanLoss(outcome, 25, 30) < 0.7 * meanLoss(outcome, 0, 5), `${meanLoss(outcome, 0, 5)} to ${meanLoss(outcome, 25, 30)}`)
    assert.ok(outcome.vector.every(Number.isFinite))
    assert.ok(outcome.vector.filter((value, index) => value !== initial[index]).length > 0.95 * initial.length)
    assert.is(outcome.steps.length, 30 * contract.cuts.length)
    assert.equal(outcome.intervals.map(({ step }) => step), [10, 20, 30])
    expectBits(outcome.intervals[2].vector, outcome.vector)
  })
}

test('sl and splitlora compute something else than kerf, and than each other', async () => {
  const vectors = await Promise.all((['kerf', 'sl', 'splitlora'] as const).map(async (scheme) => (await train({ contract: contractOf(scheme) })).vector))
  for (const [a, b] of [[0, 1], [0, 2], [1, 2]]) expectOtherBits(vectors[a], vectors[b])
})

test('kerf: two devices of other cuts give FedAvg by hand, a short last interval included', async () => {
  const contract = contractOf('kerf', { steps: 8, interval: 3 })
  const outcome = await train({ contract })
  expectBits(outcome.vector, await trainFederated(contract, makeShares(2), await makeInitial(contract.seed)))
  assert.equal(outcome.intervals.map(({ step }) => step), [3, 6, 8])
})

test('sl: the set goes from device to device, as in one row of central steps', async () => {
  const contract = contractOf('sl', { cuts: [1, 3, 2], steps: 8, interval: 3 })
  const outcome = await train({ contract })
  expectBits(outcome.vector, await trainInTurns(contract, makeShares(3), await makeInitial(contract.seed)))
  const order = outcome.steps.map(({ client, step }) => `${client}:${step}`).slice(0, 9)
  assert.equal(order, ['0:0', '0:1', '0:2', '1:0', '1:1', '1:2', '2:0', '2:1', '2:2'])
})

for (const cuts of [[1, 2], [2, 1], [2, 2], [3, 1]]) {
  test(`splitlora: one server set learns from cuts ${cuts} in turn, as by hand`, async () => {
    const contract = contractOf('splitlora', { cuts, steps: 8, interval: 3 })
    expectBits((await train({ contract })).vector, await trainShared(contract, makeShares(2), await makeInitial(contract.seed)))
  })
}

test('weight decay and the learning rate reach both halves', async () => {
  const contract = contractOf('kerf', { weightDecay: 0.1, learningRate: 3e-3 })
  expectBits((await train({ contract })).vector, await trainFederated(contract, makeShares(2), await makeInitial(contract.seed)))
})

test('a batch larger than a share meets its samples again', async () => {
  const contract = contractOf('kerf', { batch: 7 })
  expectBits((await train({ contract })).vector, await trainFederated(contract, makeShares(2), await makeInitial(contract.seed)))
})

test.run()
