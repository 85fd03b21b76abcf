/** Promise 1: split equals unsplit, bit for bit; and schemes that compute the same mathematics give the same bits. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { BUILDS } from '../kernels.ts'
import type { SchemeName } from '../../runtime/split/scheme.ts'
import { expectBits } from './bits.ts'
import { sortLosses, train } from './harness.ts'
import { LAYERS, makeContract, makeInitial, makeShares } from './model.ts'
import { trainFederated } from './reference.ts'

const alone = makeContract({ scheme: 'central', cuts: [LAYERS], steps: 7, interval: 3 })

for (const build of BUILDS) {
  for (const cut of [1, 2, 3]) {
    for (const scheme of ['kerf', 'sl', 'sfl', 'splitlora'] as const) {
      test(`${build}: ${scheme} with one client cut at ${cut} gives the bits and losses of central`, async () => {
        const whole = await train({ contract: alone, build })
        const split = await train({ contract: { ...alone, scheme, cuts: [cut] }, build })
        expectBits(split.vector, whole.vector)
        assert.equal(sortLosses(split.steps), sortLosses(whole.steps))
        assert.equal(split.endings, ['done'])
      })
    }
  }
}

test('scalar and simd give the same bits in every scheme', async () => {
  for (const scheme of ['kerf', 'sl', 'sfl', 'splitlora', 'fl'] as const) {
    const contract = makeContract({ scheme, cuts: scheme === 'fl' ? [LAYERS, LAYERS] : [1, 3] })
    expectBits((await train({ contract, build: 'scalar' })).vector, (await train({ contract, build: 'simd' })).vector, scheme)
  }
})

test('kerf, sfl and fl give the same bits with several clients, and those of FedAvg by hand', async () => {
  const contract = makeContract({ cuts: [1, 2, 3], steps: 7 })
  const expected = await trainFederated(contract, makeShares(3), await makeInitial(contract.seed))
  const cases: [SchemeName, number[]][] = [['kerf', [1, 2, 3]], ['kerf', [2, 2, 2]], ['sfl', [3, 1, 2]], ['fl', [4, 4, 4]]]
  for (const [scheme, cuts] of cases) expectBits((await train({ contract: { ...contract, scheme, cuts } })).vector, expected, `${scheme} ${cuts}`)
})

test('sfl gives the same bits when its halves answer late', async () => {
  const contract = makeContract({ scheme: 'sfl', cuts: [1, 2, 3], checkpointEvery: 1 })
  expectBits((await train({ contract, slowHalves: true })).vector, (await train({ contract })).vector)
})

test.run()
