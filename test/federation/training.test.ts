/** The course of a run: its intervals, what is saved when, and what is told. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Checkpoint } from '../../runtime/federation/checkpoint.ts'
import { decodeCheckpoint } from '../../runtime/federation/checkpoint.ts'
import type { Contract } from '../../runtime/split/contract.ts'
import type { SchemeName } from '../../runtime/split/scheme.ts'
import { expectBits } from '../split/bits.ts'
import type { Outcome } from '../split/harness.ts'
import { openScene, train } from '../split/harness.ts'
import { LAYERS, layout, makeContract } from '../split/model.ts'
import { crc32c } from '../wire/crc32c.ts'

function read(outcome: Pick<Outcome, 'saves'>, contract: Contract): Checkpoint[] {
  return outcome.saves.map(({ step, bytes }) => {
    const checkpoint = decodeCheckpoint(bytes, layout, { kept: JSON.stringify(contract), contract }, 'checkpoint', crc32c)
    assert.is(checkpoint.step, step)
    return checkpoint
  })
}

/** Step, turn and whose states a checkpoint holds; + for a shared set. */
function describe({ step, turn, states, shared }: Checkpoint): string {
  return `${step}${turn > 0 ? ` turn ${turn}` : ''}: ${[...states.keys()].join(',') || '-'}${shared ? ' +' : ''}`
}

const COURSES: readonly [SchemeName, number[], number, string[]][] = [
  ['kerf', [1, 2], 0, ['3: -', '6: -', '7: -']],
  ['kerf', [1, 2], 1, ['1: 0,1', '2: 0,1', '3: -', '4: 0,1', '5: 0,1', '6: -', '7: -']],
  ['kerf', [1, 2], 2, ['2: 0,1', '3: -', '4: 0,1', '6: -', '7: -']],
  ['sfl', [1, 2], 5, ['3: -', '5: 0,1', '6: -', '7: -']],
  ['fl', [LAYERS, LAYERS], 2, ['2: 0,1', '3: -', '4: 0,1', '6: -', '7: -']],
  ['splitlora', [1, 2], 2, ['2: 0,1 +', '3: -', '4: 0,1 +', '6: -', '7: -']],
  ['sl', [1, 2], 0, ['0 turn 1: -', '3: -', '3 turn 1: -', '6: -', '6 turn 1: -', '7: -']],
  ['sl', [1, 2], 2, ['2: 0', '0 turn 1: -', '2 turn 1: 1', '3: -', '4: 0', '3 turn 1: -', '4 turn 1: 1', '6: -', '6 turn 1: -', '7: -']],
  ['central', [LAYERS], 0, []],
  ['central', [LAYERS], 2, ['2: 0', '4: 0', '6: 0']],
  ['kerf', [2], 3, ['3: 0', '6: 0']],
]

for (const [scheme, cuts, checkpointEvery, expected] of COURSES) {
  test(`${scheme} ${cuts}, states every ${checkpointEvery}: what is saved, in which order`, async () => {
    const contract = makeContract({ scheme, cuts, steps: 7, interval: 3, checkpointEvery })
    const outcome = await train({ contract })
    assert.equal(read(outcome, contract).map(describe), expected)
    assert.equal(outcome.intervals.map(({ step }) => step), [3, 6, 7])
  })
}

test('with halves that answer late, no last state is left unsaved', async () => {
  for (const [scheme, cuts] of [['kerf', [2]], ['sl', [2]], ['sfl', [2]], ['kerf', [1, 2]]] as const) {
    const contract = makeContract({ scheme, cuts, steps: 7, interval: 3, checkpointEvery: 1 })
    const { saves, vector } = await train({ contract, slowHalves: true })
    assert.is(saves.at(-1)!.step, 7)
    expectBits(vector, (await train({ contract })).vector)
  }
})

test('a checkpoint after an interval holds the average that is told, and one within it the base it began from', async () => {
  const contract = makeContract({ checkpointEvery: 1 })
  const outcome = await train({ contract })
  const checkpoints = read(outcome, contract)
  const at = (step: number) => checkpoints.find((checkpoint) => checkpoint.step === step)!
  for (const { step, vector } of outcome.intervals) expectBits(at(step).base, vector, `step ${step}`)
  expectBits(at(4).base, at(3).base)
  expectBits(at(6).base, outcome.vector)
})

test('in a state, device and server halves have made the same steps', async () => {
  const contract = makeContract({ checkpointEvery: 1 })
  for (const { step, states } of read(await train({ contract }), contract)) {
    for (const { power1, power2 } of states.values()) {
      let [first, second] = [1, 1]
      for (let done = 0; done < step % contract.interval; done++) [first, second] = [first * 0.9, second * 0.999]
      assert.is(power1, first)
      assert.is(power2, second)
    }
  }
})

test('a run resumed at its end gives its result without a step', async () => {
  for (const [scheme, cuts, checkpointEvery] of [['kerf', [1, 2], 0], ['sl', [1, 2], 0], ['central', [LAYERS], 1], ['kerf', [2], 1]] as const) {
    const contract = makeContract({ scheme, cuts, checkpointEvery })
    const { vector, saves } = await train({ contract })
    const resumed = await train({ contract, resume: saves.at(-1)!.bytes })
    expectBits(resumed.vector, vector, scheme)
    assert.is(resumed.steps.length, 0)
    assert.equal(resumed.intervals.map(({ step }) => step), [contract.steps])
    assert.equal(resumed.endings, cuts.map(() => 'done'))
  }
})

test('devices may join in any order, and ask for any number', async () => {
  const contract = makeContract({ cuts: [1, 2, 3] })
  const { vector } = await train({ contract })
  const scene = await openScene({ contract })
  const endings = [scene.join(2), scene.join(0), scene.join(1)]
  expectBits((await scene.finish()).vector, vector)
  await Promise.all(endings)
  const anyone = await openScene({ contract })
  const order = [0, 1, 2].map((client) => anyone.join(client, { client: null }))
  expectBits((await anyone.finish()).vector, vector)
  await Promise.all(order)
})

test('the report: steps, samples, spans and times of every party', async () => {
  for (const scheme of ['kerf', 'sfl', 'fl'] as const) {
    const contract = makeContract({ scheme, cuts: scheme === 'fl' ? [LAYERS, LAYERS] : [1, 2] })
    const { devices, timeline, server } = await train({ contract })
    assert.equal(devices.map(({ client, steps, samples, drops }) => [client, steps, samples, drops]), [[0, 6, 5, 0], [1, 6, 8, 0]])
    assert.ok(devices.every(({ labelCounts, samples }) => labelCounts.reduce((sum, count) => sum + count, 0) === samples))
    const parties = new Set(timeline.map(({ party }) => party))
    for (const device of ['device 0', 'device 1']) assert.ok(parties.has(device), device)
    assert.is(parties.has('server 1'), scheme === 'sfl')
    assert.is(parties.has('server'), scheme === 'kerf')
    assert.is(server.waitMs, 0)
  }
})

test.run()
