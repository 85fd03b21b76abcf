/** What a device computes with is made once, however often it comes: so a slow one is in time when it comes again. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createProvisions } from '../../runtime/program/provisions.ts'
import type { Contract } from '../../runtime/split/contract.ts'
import { optimizerOf } from '../../runtime/split/contract.ts'
import type { Provisions } from '../../runtime/split/device.ts'
import { runDevice } from '../../runtime/split/device.ts'
import { openStageHalf } from '../../runtime/split/half.stage.ts'
import { openKernelBuild } from '../kernels.ts'
import { expectBits } from '../split/bits.ts'
import { openScene, train } from '../split/harness.ts'
import { keyOf, makeAdmission } from '../split/keyring.ts'
import { FINGERPRINT, config, makeContract, makeShares, weights } from '../split/model.ts'

const kernel = await openKernelBuild('simd')
const contract = makeContract({ cuts: [1, 2], checkpointEvery: 1 })

/** A client's data and its half; `made` and `open` count. */
function makeProvisions(before = async () => {}) {
  const counts = { made: 0, open: 0 }
  const kept = createProvisions(async (agreed: Contract, client): Promise<Provisions> => {
    counts.made++
    await before()
    return {
      config, fingerprint: FINGERPRINT, data: makeShares(2)[client],
      async openHalf(spec) {
        counts.open++
        const half = await openStageHalf(kernel, spec, weights, optimizerOf(agreed), () => 0)
        return { ...half, close: () => { counts.open--; half.close() } }
      },
    }
  })
  return { kept, counts }
}

test('a device that was not ready in time is ready at once when it comes back', async () => {
  const scene = await openScene({ contract, admission: makeAdmission() })
  let finish = () => {}
  const slow = makeProvisions(() => new Promise<void>((resolve) => { finish = resolve }))
  let contracted: Promise<Provisions> | undefined
  const provide = async () => (contracted ??= slow.kept.provide(contract, 0))
  const link = scene.connect(0)

  const join = (own: typeof link) => runDevice({ name: 'slow', client: null, key: keyOf(0), link: own, clock: scene.clock, crc32c: scene.crc32c, provide })
  const first = join(link).catch((error: unknown) => error)
  await scene.until(() => slow.counts.made === 1, 'to begin')
  link.close()
  await scene.wait(0)
  assert.ok(scene.run.server.members.every(({ seat }) => seat.channel === null))
  finish()
  assert.is(await first, false)
  const second = join(scene.connect(0))
  await scene.until(() => scene.run.server.members[0].seat.ready, 'to be ready')
  const other = scene.join(1, { client: null, key: keyOf(1) })
  expectBits((await scene.finish()).vector, (await train({ contract })).vector)
  assert.equal(await Promise.all([second, other]), [true, 'done'])
  assert.equal(slow.counts, { made: 1, open: 1 })
  slow.kept.close()
  assert.is(slow.counts.open, 0)
})

test('a half that was used before gives the same bits on a new link', async () => {
  const expected = await train({ contract })
  const scene = await openScene({ contract, admission: makeAdmission() })
  const { kept, counts } = makeProvisions()
  const provisions = await kept.provide(contract, 0)
  const provide = () => provisions
  const other = scene.join(1)
  let cuts = 0
  const ending = async (): Promise<unknown> => {
    for (;;) {
      const end = await scene.join(0, {
        client: 0, key: keyOf(0), provide,
        watch: ({ direction, type, step }) => (direction === 'down' && type === 'gradient' && step === cuts && cuts++ < 5 ? 'cut' : undefined),
      })
      if (end !== 'lost') return end
    }
  }
  const ended = ending()
  expectBits((await scene.finish()).vector, expected.vector)
  assert.equal([await ended, await other], ['done', 'done'])
  assert.ok(cuts > 3)
  assert.is(counts.open, 1)
  kept.close()
})

test('another number or contract is prepared anew, and what failed is tried again', async () => {
  const { kept, counts } = makeProvisions()
  await kept.provide(contract, 0)
  await kept.provide({ ...contract }, 0)
  assert.is(counts.made, 1)
  await kept.provide(contract, 1)
  await kept.provide({ ...contract, seed: 6 }, 1)
  assert.is(counts.made, 3)
  let fails = true
  const shaky = makeProvisions(async () => { if (fails) throw new Error('disk') })
  await shaky.kept.provide(contract, 0).then(() => assert.unreachable(), () => {})
  fails = false
  await shaky.kept.provide(contract, 0)
  assert.is(shaky.counts.made, 2)
})

test.run()
