/** The server's own failures: they end the run with their cause, every device is told, and no promise is left to crash the host. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { KerfError } from '../../runtime/error.ts'
import type { SchemeName } from '../../runtime/split/scheme.ts'
import type { Half } from '../../runtime/split/half.ts'
import type { Setup } from './harness.ts'
import { openScene } from './harness.ts'
import { LAYERS, makeContract } from './model.ts'

class Broken extends Error {}

/** Runs to the failure; all devices must end by an error of the server. */
async function expectFailure(setup: Setup): Promise<unknown> {
  const scene = await openScene(setup)
  const endings = setup.contract.cuts.map((_, client) => scene.join(client))
  const failure = await scene.finish().then(() => null, (error: unknown) => error)
  for (const ending of await Promise.all(endings)) {
    assert.instance(ending, KerfError)
    assert.ok(['server', 'run-stopped'].includes((ending as KerfError).code), (ending as KerfError).code)
  }
  const late = await scene.join(0)
  assert.is((late as KerfError).code, 'run-stopped')
  return failure
}

function breakAt(method: 'forward' | 'finish' | 'read' | 'write', count: number): (half: Half) => Half {
  let calls = 0
  return (half) => ({
    ...half,
    [method]: async (...args: unknown[]) => {
      if (++calls > count) throw new Broken('memory access out of bounds')
      return (half[method] as (...given: unknown[]) => Promise<unknown>)(...args)
    },
  })
}

function contractOf(scheme: SchemeName) {
  return makeContract({ scheme, cuts: scheme === 'fl' ? [LAYERS, LAYERS] : [1, 2], checkpointEvery: 1 })
}

for (const scheme of ['kerf', 'sfl', 'sl', 'splitlora'] as const) {
  test(`${scheme}: a half that breaks in a step, a read or a write ends the run with its error`, async () => {
    const calls = [
      ['forward', 0], ['forward', 3], ['finish', 0], ['finish', 3], ['read', 0], ['read', 3], ['write', 1], ['write', 3],
    ] as const
    for (const [method, count] of calls) {
      for (const slowHalves of [false, true]) {
        const failure = await expectFailure({ contract: contractOf(scheme), slowHalves, wrapHalf: breakAt(method, count) })
        assert.instance(failure, Broken, `${method} ${count}`)
      }
    }
  })
}

for (const scheme of ['kerf', 'sfl', 'sl', 'splitlora', 'fl'] as const) {
  test(`${scheme}: a checkpoint that can't be written ends the run with its error`, async () => {
    for (const failing of [1, 2, 3, 6]) {
      const save = async (_bytes: Uint8Array, step: number) => {
        if (step >= failing) throw new KerfError('file-write', 'checkpoint', 'checkpoint: expected room, got ENOSPC')
      }
      assert.is((await expectFailure({ contract: contractOf(scheme), save }) as KerfError).code, 'file-write')
    }
  })
}

test('a metrics file that can\'t be written ends the run with its error, in schemes of whole models too', async () => {
  for (const scheme of ['kerf', 'sfl', 'fl'] as const) {
    const tell = (_client: number, step: number) => { if (step === 2) throw new Broken('ENOSPC') }
    assert.instance(await expectFailure({ contract: contractOf(scheme), tell }), Broken)
  }
})

test('an error of the journal is the run\'s, not the device\'s, of whichever kind; and a message without end is cut', async () => {
  const tell = () => { throw new KerfError('file-write', 'metrics', '\u0001'.repeat(5000)) }
  for (const scheme of ['kerf', 'fl'] as const) {
    assert.is((await expectFailure({ contract: contractOf(scheme), tell }) as KerfError).code, 'file-write')
  }
})

test('a save that takes long holds the rounds up and puts none before another', async () => {
  const contract = makeContract({ checkpointEvery: 1, steps: 9 })
  const order: string[] = []
  const scene = await openScene({
    contract,
    async save(_bytes, step) {
      order.push(`begin ${step}`)
      for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => { setImmediate(resolve) })
      order.push(`end ${step}`)
    },
  })
  await Promise.all([scene.join(0), scene.join(1), scene.finish()])
  const steps = scene.saves.map(({ step }) => step)
  assert.equal(order, steps.flatMap((step) => [`begin ${step}`, `end ${step}`]))
  assert.equal(steps, [...steps].sort((a, b) => a - b))
  assert.is(steps.at(-1), 9)
})

test.run()
