/** Whom the server serves next: each scheduler by itself, and in a run, where none may change the result. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createRandom } from '../../runtime/random.ts'
import type { Candidate } from '../../runtime/split/schedule.ts'
import { SCHEDULERS, chooseScheduler } from '../../runtime/split/schedule.ts'
import { expectBits } from './bits.ts'
import { openScene, train } from './harness.ts'
import { makeContract } from './model.ts'

function candidate(client: number, changes: Partial<Candidate> = {}): Candidate {
  return { client, step: 3, arrival: client, backwardWork: 1, tailMs: null, ...changes }
}

const longestBackward = chooseScheduler('longest-backward')
const longestTail = chooseScheduler('longest-tail')
const fifo = chooseScheduler('fifo')

test('nobody to serve: every scheduler waits', () => {
  for (const name of SCHEDULERS) {
    assert.is(chooseScheduler(name)([]), null)
    assert.is(chooseScheduler(name)([candidate(0, { arrival: null }), candidate(1, { arrival: null })]), null)
  }
})

test('longest-backward takes the order of the cuts and waits for the first, though others have arrived', () => {
  const three = [candidate(0, { backwardWork: 1 }), candidate(1, { backwardWork: 3 }), candidate(2, { backwardWork: 2 })]
  assert.is(longestBackward(three), 1)
  assert.is(longestBackward([three[0], { ...three[1], arrival: null }, three[2]]), null)
  assert.is(longestBackward([three[0], { ...three[1], step: 4 }, three[2]]), 2)
})

test('longest-backward: equals go by client, and nobody starts a round before all have done the last', () => {
  assert.is(longestBackward([candidate(2), candidate(1)]), 1)
  assert.is(longestBackward([candidate(0, { step: 4, backwardWork: 9 }), candidate(1, { arrival: null })]), null)
})

test('longest-tail takes the longest measured tail among those that have arrived', () => {
  const three = [candidate(0, { tailMs: 5 }), candidate(1, { tailMs: 9 }), candidate(2, { tailMs: 7 })]
  assert.is(longestTail(three), 1)
  assert.is(longestTail([three[0], { ...three[1], arrival: null }, three[2]]), 2)
})

test('longest-tail goes by cuts until all that have arrived are measured', () => {
  const both = [candidate(0, { tailMs: 50 }), candidate(1, { backwardWork: 2 })]
  assert.is(longestTail(both), 1)
  assert.is(longestTail([{ ...both[0], tailMs: 5 }, { ...both[1], tailMs: 5 }]), 1)
})

test('longest-tail and fifo never idle while an activation waits', () => {
  const random = createRandom(3, 'mask')
  for (let round = 0; round < 500; round++) {
    const maybe = (count: number) => (random.below(2) ? random.below(count) : null)
    const all = Array.from({ length: 1 + random.below(5) }, (_, client) =>
      candidate(client, { step: random.below(3), arrival: maybe(100), backwardWork: random.below(4), tailMs: maybe(50) }))
    for (const scheduler of [longestTail, fifo]) {
      const chosen = scheduler(all)
      if (all.some(({ arrival }) => arrival !== null)) assert.is.not(all.find(({ client }) => client === chosen)?.arrival ?? null, null)
      else assert.is(chosen, null)
    }
  }
})

test('fifo takes the order of arrival', () => {
  assert.is(fifo([candidate(0, { arrival: 7 }), candidate(1, { arrival: 4 }), candidate(2, { arrival: null })]), 1)
})

test('a run of kerf serves every round in the order of the cuts', async () => {
  const { steps } = await train({ contract: makeContract({ cuts: [1, 3, 2, 3] }), scheduler: 'longest-backward' })
  const order = Array.from({ length: 6 }, (_, step) => [1, 3, 2, 0].map((client) => `${client}:${step}`)).flat()
  assert.equal(steps.map(({ client, step }) => `${client}:${step}`), order)
})

test('kerf and sfl give the same bits under every scheduler, with states and without', async () => {
  for (const scheme of ['kerf', 'sfl'] as const) {
    for (const checkpointEvery of [0, 1, 2]) {
      const contract = makeContract({ scheme, cuts: [1, 3, 2], steps: 7, checkpointEvery })
      const expected = await train({ contract })
      for (const scheduler of SCHEDULERS) {
        expectBits((await train({ contract, scheduler })).vector, expected.vector, `${scheme} ${scheduler} ${checkpointEvery}`)
      }
    }
  }
})

test('without states, a fast device ends its interval while a slow one holds back; with states it runs two rounds ahead', async () => {
  for (const [checkpointEvery, ahead] of [[0, 12], [1, 3], [2, 6]]) {
    const contract = makeContract({ steps: 12, interval: 12, checkpointEvery })
    const scene = await openScene({ contract, scheduler: 'fifo' })
    let release = () => {}
    const held = new Promise<void>((resolve) => { release = resolve })
    const slow = scene.connect(1)
    const { members } = scene.run.server
    const link = { ...slow, receive: async () => { if (members[1].course.turn === 'working') await held; return slow.receive() } }
    const endings = [scene.join(0), scene.join(1, { link })]
    await scene.wait(0)
    assert.is(members[0].course.step, ahead, `every ${checkpointEvery}`)
    release()
    expectBits((await scene.finish()).vector, (await train({ contract })).vector)
    assert.equal(await Promise.all(endings), ['done', 'done'])
  }
})

test.run()
