/** Promise 2: one seed gives one result, and a run stopped at any saved checkpoint and resumed gives the same. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Contract } from '../../runtime/split/contract.ts'
import type { SchemeName } from '../../runtime/split/scheme.ts'
import { refusalOf } from '../refusal.ts'
import { expectBits, expectOtherBits } from './bits.ts'
import { openScene, sortLosses, train } from './harness.ts'
import { LAYERS, makeContract } from './model.ts'

const SCHEMES: readonly [SchemeName, number[]][] = [
  ['kerf', [1, 2]], ['kerf', [2]], ['sl', [2, 1]], ['sl', [2]], ['sfl', [1, 2]], ['splitlora', [1, 2]], ['splitlora', [2, 1, 1]], ['splitlora', [1]],
  ['fl', [LAYERS, LAYERS]], ['central', [LAYERS]],
]

function contractOf(scheme: SchemeName, cuts: number[], checkpointEvery: number): Contract {
  return makeContract({ scheme, cuts, checkpointEvery, steps: 8, interval: 5 })
}

for (const [scheme, cuts] of SCHEMES) {
  test(`${scheme} ${cuts}: the same seed gives the same bits, another seed does not`, async () => {
    const contract = contractOf(scheme, cuts, 0)
    const { vector, steps } = await train({ contract })
    const again = await train({ contract })
    expectBits(again.vector, vector)
    assert.equal(sortLosses(again.steps), sortLosses(steps))
    expectOtherBits((await train({ contract: { ...contract, seed: 6 } })).vector, vector)
  })

  for (const checkpointEvery of [0, 1, 2, 3]) {
    test(`${scheme} ${cuts}: resumed from every checkpoint, one each ${checkpointEvery} rounds`, async () => {
      const contract = contractOf(scheme, cuts, checkpointEvery)
      const alone = await train({ contract: { ...contract, checkpointEvery: 0 } })
      const kept = await train({ contract })
      expectBits(kept.vector, alone.vector, 'saving changes nothing')
      const steps = new Set(kept.saves.map(({ step }) => step))
      const due = Array.from({ length: contract.steps }, (_, index) => index + 1).filter((step) => checkpointEvery > 0 && step % checkpointEvery === 0)
      for (const step of due) assert.ok(steps.has(step) || step % 5 === 0 || step === 8, `saved at ${step}`)
      for (const [index, { step, bytes }] of kept.saves.entries()) {
        const resumed = await train({ contract, resume: bytes })
        expectBits(resumed.vector, alone.vector, `from save ${index} of step ${step}`)
        const told = new Map(sortLosses(alone.steps))
        for (const [name, loss] of sortLosses(resumed.steps)) assert.is(loss, told.get(name), `${name} after step ${step}`)
      }
    })
  }
}

test('resumed twice, from a checkpoint of a resumed run', async () => {
  const contract = contractOf('kerf', [1, 2], 1)
  const first = await train({ contract })
  const second = await train({ contract, resume: first.saves[1].bytes })
  const third = await train({ contract, resume: second.saves[2].bytes })
  expectBits(third.vector, first.vector)
  assert.equal(second.saves.at(-1)!.bytes, first.saves.at(-1)!.bytes)
})

test('a checkpoint of other settings is refused before any device is waited for', async () => {
  const { saves } = await train({ contract: contractOf('kerf', [1, 2], 1) })
  const error = await refusalOf(openScene({ contract: contractOf('kerf', [1, 3], 1), resume: saves[0].bytes }))
  assert.is(error.code, 'checkpoint-run')
})

test.run()
