/** What is learnt by: the rate over a run and the clipping of gradients change what a run learns, and no cut, scheme or restart changes it again. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Contract } from '../../runtime/split/contract.ts'
import { parseContract } from '../../runtime/split/contract.ts'
import { RATE_SCHEDULES, cosPi, rateAt } from '../../runtime/split/rate.ts'
import { refusal } from '../refusal.ts'
import { expectBits } from './bits.ts'
import { openScene, train } from './harness.ts'
import { LAYERS, makeContract } from './model.ts'

test('a cosine of sums and products alone, to the last bits of a double', () => {
  for (let i = 0; i <= 1000; i++) assert.ok(Math.abs(cosPi(i / 1000) - Math.cos(Math.PI * (i / 1000))) < 1e-15, String(i / 1000))
  assert.equal([cosPi(0), cosPi(0.5), cosPi(1)].map((value) => Math.round(value * 1e15) / 1e15 + 0), [1, 0, -1])
})

test('rates as the common recipes have them: up in a line, then constant, down in a line or half a cosine', () => {
  const steps = 10, warmup = 4
  const ratesOf = (schedule: Contract['schedule']) => Array.from({ length: steps }, (_, step) => rateAt({ schedule, warmup, steps }, step))
  const rise = [1 / 5, 2 / 5, 3 / 5, 4 / 5]
  const near = (actual: readonly number[], expected: readonly number[]) => (
    actual.forEach((rate, step) => assert.ok(Math.abs(rate - expected[step]) < 1e-15, `step ${step}: ${rate}, not ${expected[step]}`)))
  near(ratesOf('constant'), [...rise, 1, 1, 1, 1, 1, 1])
  near(ratesOf('linear'), [...rise, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])
  near(ratesOf('cosine'), [...rise, ...[0, 1, 2, 3, 4, 5].map((n) => 0.5 * (1 + Math.cos((Math.PI * n) / 6)))])
  for (const schedule of RATE_SCHEDULES) for (const rate of ratesOf(schedule)) assert.ok(rate > 0 && rate <= 1)
  assert.is(rateAt({ steps: 3 }, 2), 1)
})

test('a contract that says nothing of it is the same text as before; what it says is checked', () => {
  const plain = JSON.stringify(makeContract())
  assert.equal(parseContract(plain), JSON.parse(plain))
  const told = { schedule: 'cosine', warmup: 2, gradientNorm: 0.5 } as const
  const parsed = parseContract(JSON.stringify({ ...makeContract(), ...told }))
  assert.equal([parsed.schedule, parsed.warmup, parsed.gradientNorm], Object.values(told))
  const { steps } = makeContract()
  for (const [name, values] of Object.entries({
    schedule: ['step', '', 3, null, 'toString'], warmup: [-1, 1.5, steps, '1', null], gradientNorm: [0, -1, '1', null, []],
  })) {
    for (const value of values) {
      const { code, field } = refusal(() => parseContract(JSON.stringify({ ...makeContract(), [name]: value })))
      assert.equal([code, field], ['contract', `contract.${name}`], JSON.stringify(value))
    }
  }
})

const RECIPES: Readonly<Record<string, Partial<Contract>>> = {
  'a cosine behind a warm-up': { schedule: 'cosine', warmup: 2 },
  'a line': { schedule: 'linear' },
  'gradients clipped': { gradientNorm: 0.05 },
  'all of it, with weight decay': { schedule: 'cosine', warmup: 3, gradientNorm: 0.2, weightDecay: 0.01 },
}

for (const [name, recipe] of Object.entries(RECIPES)) {
  test(`${name}: the same bits whatever the cut and the scheme, and after a restart`, async () => {
    const base = { steps: 8, interval: 5, checkpointEvery: 1, ...recipe } as const
    const whole = await train({ contract: makeContract({ ...base, scheme: 'fl', cuts: [LAYERS, LAYERS] }) })
    const none = { schedule: 'constant', warmup: 0, gradientNorm: undefined } as const
    const plain = await train({ contract: makeContract({ ...base, ...none, scheme: 'fl', cuts: [LAYERS, LAYERS] }) })
    assert.not.equal(whole.vector, plain.vector)
    for (const [scheme, cuts] of [['kerf', [1, 2]], ['kerf', [2, 1]], ['sfl', [1, 1]]] as const) {
      const contract = makeContract({ ...base, scheme, cuts: [...cuts] })
      const split = await train({ contract })
      expectBits(split.vector, whole.vector, `${scheme} ${cuts}`)
      const { bytes, step } = split.saves[split.saves.length >> 1]
      const scene = await openScene({ contract, resume: bytes })
      const ended = [scene.join(0), scene.join(1)]
      expectBits((await scene.finish()).vector, whole.vector, `${scheme} ${cuts} from step ${step}`)
      assert.equal(await Promise.all(ended), ['done', 'done'])
    }
  })
}

test.run()
