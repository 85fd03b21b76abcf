/** What a device has made for one connection serves the next. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { StageSpec } from '../../runtime/model/plan.ts'
import { createProvisions } from '../../runtime/program/provisions.ts'
import type { Provisions } from '../../runtime/split/device.ts'
import type { Half } from '../../runtime/split/half.ts'
import { makeContract } from '../split/model.ts'

const spec = (rows: number) => ({ rows }) as StageSpec

function makeCounted(fail = 0) {
  const counts = { made: 0, opened: 0, closed: 0 }
  const provisions = createProvisions(async () => {
    counts.made++
    if (counts.made <= fail) throw new Error('no data')
    const openHalf = async () => {
      counts.opened++
      return { close: () => { counts.closed++ } } as Half
    }
    return { fingerprint: 1, openHalf } as unknown as Provisions
  })
  return { counts, provisions }
}

test('one client, one contract: made once, opened once, closed at the end', async () => {
  const { counts, provisions } = makeCounted()
  const contract = makeContract({ cuts: [1, 2] })
  for (let connection = 0; connection < 3; connection++) {
    const { openHalf } = await provisions.provide(contract, 0)
    const half = await openHalf(spec(4))
    half.close()
  }
  assert.equal(counts, { made: 1, opened: 1, closed: 0 })
  provisions.close()
  provisions.close()
  assert.equal(counts, { made: 1, opened: 1, closed: 1 })
})

test('another client, another contract or another size is made anew, and the half before it is closed', async () => {
  const { counts, provisions } = makeCounted()
  const contract = makeContract({ cuts: [1, 2] })
  await (await provisions.provide(contract, 0)).openHalf(spec(4))
  await (await provisions.provide(contract, 0)).openHalf(spec(5))
  assert.equal(counts, { made: 1, opened: 2, closed: 1 })
  await (await provisions.provide(contract, 1)).openHalf(spec(5))
  await (await provisions.provide(makeContract({ cuts: [1, 2], seed: 9 }), 1)).openHalf(spec(5))
  assert.equal(counts, { made: 3, opened: 4, closed: 3 })
})

test('what failed is tried again', async () => {
  const { counts, provisions } = makeCounted(1)
  const contract = makeContract({ cuts: [1, 2] })
  assert.is(await provisions.provide(contract, 0).catch((error: Error) => error.message), 'no data')
  await provisions.provide(contract, 0)
  assert.is(counts.made, 2)
})

test.run()
