/** Promise 4, the honest half: a device that leaves, returns or stalls costs its own updates and nobody else's. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { KerfError } from '../../runtime/error.ts'
import type { Contract } from '../../runtime/split/contract.ts'
import type { SchemeName } from '../../runtime/split/scheme.ts'
import type { Link } from '../../runtime/host/network.ts'
import type { Half } from '../../runtime/split/half.ts'
import { FRAME_TYPES } from '../../runtime/wire/frame.ts'
import { RETURNS_MAX } from '../../runtime/split/server/interval.ts'
import { refusalOf } from '../refusal.ts'
import { expectBits } from './bits.ts'
import type { Direction, Ending, Fate, Outcome, Scene, Setup, Watch } from './harness.ts'
import { DEADLINE_MS, openScene, train } from './harness.ts'
import { LAYERS, makeContract, makeInitial, makeShares } from './model.ts'
import { trainFederated, trainInTurns } from './reference.ts'

type Moment = { what: string; direction: Direction; types: readonly string[]; step: number; fate: 'cut' | 'cut-after' }

const WORK = ['activation', 'report']
const nameType = (byte: number) => Object.entries(FRAME_TYPES).find(([, type]) => type === byte)?.[0] ?? ''
const ORDER = ['adapter', 'state']

/** `cut`: the frame never arrives; `cut-after`: it does, and then the link breaks. */
const MOMENTS: readonly Moment[] = [
  { what: 'before it says what it brings', direction: 'up', types: ['ready'], step: 0, fate: 'cut' },
  { what: 'as soon as it is ready', direction: 'up', types: ['ready'], step: 0, fate: 'cut-after' },
  { what: 'before its first order', direction: 'down', types: ORDER, step: 0, fate: 'cut' },
  { what: 'before its first step', direction: 'up', types: WORK, step: 0, fate: 'cut' },
  { what: 'between a step up and its answer', direction: 'up', types: WORK, step: 1, fate: 'cut-after' },
  { what: 'when the answer is on its way', direction: 'down', types: ['gradient', 'report'], step: 1, fate: 'cut' },
  { what: 'after the answer', direction: 'down', types: ['gradient', 'report'], step: 1, fate: 'cut-after' },
  { what: 'while it uploads the adapter', direction: 'up', types: ['adapter'], step: 3, fate: 'cut' },
  { what: 'when it has uploaded the adapter', direction: 'up', types: ['adapter'], step: 3, fate: 'cut-after' },
  { what: 'before the order of the second interval', direction: 'down', types: ORDER, step: 3, fate: 'cut' },
  { what: 'within the second interval', direction: 'up', types: WORK, step: 4, fate: 'cut-after' },
  { what: 'in the last step', direction: 'down', types: ['gradient', 'report'], step: 5, fate: 'cut' },
  { what: 'while it says goodbye', direction: 'up', types: ['bye'], step: 6, fate: 'cut' },
]

/** Breaks `client`'s link once at that moment. */
function breakOnce(client: number, { direction, types, step, fate }: Moment): Watch {
  let broken = false
  return (passage): Fate => {
    if (broken || passage.client !== client || passage.direction !== direction || passage.step !== step || !types.includes(passage.type)) return
    broken = true
    return fate
  }
}

function contractOf(scheme: SchemeName, changes: Partial<Contract> = {}): Contract {
  return makeContract({ scheme, cuts: scheme === 'fl' ? [LAYERS, LAYERS] : [1, 2], ...changes })
}

function expectUndisturbed(outcome: Outcome, expected: Outcome, what: string): void {
  expectBits(outcome.vector, expected.vector, what)
  assert.equal(outcome.endings, expected.endings.map((): Ending => 'done'), what)
  assert.is(new Set(outcome.steps.map(({ client, step }) => `${client}:${step}`)).size, outcome.steps.length, `${what}: each step is told once`)
  assert.is(outcome.steps.length, expected.steps.length, what)
}

for (const scheme of ['kerf', 'sfl', 'fl', 'sl'] as const) {
  for (const checkpointEvery of [0, 1, 2]) {
    test(`${scheme}, states every ${checkpointEvery} rounds: a device leaves at any moment, comes back, and nothing changes`, async () => {
      const contract = contractOf(scheme, { checkpointEvery })
      const expected = await train({ contract })
      for (const [index, moment] of MOMENTS.entries()) {
        const client = (index + checkpointEvery) % 2
        const outcome = await train({ contract }, breakOnce(client, moment))
        expectUndisturbed(outcome, expected, `device ${client} leaves ${moment.what}`)
        assert.is(outcome.devices[client].drops, moment.types.includes('bye') ? 0 : 1, moment.what)
        assert.is(outcome.devices[1 - client].drops, 0, moment.what)
      }
    })
  }
}

test('sfl with halves that answer late: a device leaves at any moment, and nothing changes', async () => {
  const setup: Setup = { contract: contractOf('sfl', { checkpointEvery: 1 }), slowHalves: true }
  const expected = await train(setup)
  for (const moment of MOMENTS) expectUndisturbed(await train(setup, breakOnce(1, moment)), expected, moment.what)
})

test('kerf with a half that answers late: a device that comes back while an interval begins gets one order', async () => {
  const setup: Setup = { contract: contractOf('kerf', { steps: 9 }), slowHalves: true }
  const expected = await train(setup)
  for (const moment of MOMENTS) expectUndisturbed(await train(setup, breakOnce(1, moment)), expected, moment.what)
})

test('a device that comes back just while the next interval is laid out gets one order', async () => {
  const contract = contractOf('kerf')
  let scene: Scene | undefined
  let back: Promise<Ending> | undefined
  let writes = 0
  const wrapHalf = (half: Half): Half => ({
    ...half,
    async write(set, state) {
      await half.write(set, state)
      // The third is the first of the second interval.
      if (++writes !== 3) return
      back = scene!.join(1)
      await scene!.until(() => scene!.events.includes('1 came back'), 'to come back')
    },
  })
  scene = await openScene({ contract, wrapHalf })
  const other = scene.join(0)
  assert.is(await scene.join(1, { watch: ({ direction, type }) => (direction === 'up' && type === 'adapter' ? 'cut-after' : undefined) }), 'lost')
  expectBits((await scene.finish()).vector, (await train({ contract })).vector)
  assert.equal(await Promise.all([other, back]), ['done', 'done'])
})

test('a device that leaves again while its state is being laid out may come back at once', async () => {
  for (const scheme of ['kerf', 'sfl'] as const) {
    const setup: Setup = { contract: contractOf(scheme, { checkpointEvery: 1 }), slowHalves: true }
    const expected = await train(setup)
    let ready = 0
    const outcome = await train(setup, ({ client, type, step }) => {
      if (client !== 1) return
      if (type === 'ready') ready++
      if (type === 'ready' && ready > 1 && ready < 5) return 'cut-after'
      if (type === 'activation' && step === 2 && ready === 1) return 'cut'
    })
    assert.is(ready, 5)
    expectUndisturbed(outcome, expected, scheme)
  }
})

test('a state on its way up is lost, or its device is gone right after it', async () => {
  for (const scheme of ['kerf', 'sfl', 'fl', 'sl'] as const) {
    const contract = contractOf(scheme, { checkpointEvery: 1 })
    const expected = await train({ contract })
    for (const fate of ['cut', 'cut-after'] as const) {
      for (const step of [1, 2, 4]) {
        const moment: Moment = { what: `state ${step}`, direction: 'up', types: ['state'], step, fate }
        expectUndisturbed(await train({ contract }, breakOnce(1, moment)), expected, `${scheme}: ${fate} at state ${step}`)
      }
    }
  }
})

test('a device that leaves again and again still ends where it would have', async () => {
  for (const scheme of ['kerf', 'sl', 'fl'] as const) {
    const contract = contractOf(scheme, { checkpointEvery: 1 })
    const expected = await train({ contract })
    const seen = new Map<string, number>()
    const outcome = await train({ contract }, ({ client, direction, type, step }) => {
      const name = `${client} ${direction} ${type} ${step}`
      seen.set(name, (seen.get(name) ?? 0) + 1)
      return seen.get(name) === 1 && direction === 'down' && WORK.concat('gradient').includes(type) ? 'cut' : undefined
    })
    expectUndisturbed(outcome, expected, scheme)
    assert.ok(outcome.devices.every(({ drops }) => drops >= 4))
  }
})

test('splitlora: a device that comes back goes on beside the others, whatever is saved', async () => {
  for (const checkpointEvery of [0, 1, 2]) {
    const contract = contractOf('splitlora', { checkpointEvery, cuts: [1, 2, 1] })
    for (const moment of [...MOMENTS, { what: 'at its state', direction: 'up', types: ['state'], step: 2, fate: 'cut' } as const]) {
      const outcome = await train({ contract }, breakOnce(1, moment))
      assert.equal(outcome.endings, ['done', 'done', 'done'], moment.what)
      assert.is(outcome.steps.length, 18)
      assert.ok(outcome.vector.every(Number.isFinite))
    }
  }
})

for (const [scheme, cut] of [['kerf', 2], ['sl', 2], ['central', LAYERS]] as const) {
  test(`${scheme} with one device: it comes back to its last state, whatever the interval`, async () => {
    for (const checkpointEvery of [1, 2, 3, 4]) {
      const contract = makeContract({ scheme, cuts: [cut], steps: 9, interval: 4, checkpointEvery })
      const expected = await train({ contract })
      for (let step = checkpointEvery; step < 9; step++) {
        const moment: Moment = { what: '', direction: 'up', types: WORK, step, fate: 'cut' }
        expectUndisturbed(await train({ contract }, breakOnce(0, moment)), expected, `every ${checkpointEvery}, at ${step}`)
      }
    }
  })

  test(`${scheme} with one device: without states it can't come back after the first interval, and is told`, async () => {
    const scene = await openScene({ contract: makeContract({ scheme, cuts: [cut] }) })
    const first = scene.join(0, { watch: ({ type, step }) => (WORK.includes(type) && step === 4 ? 'cut' : undefined) })
    assert.is(await first, 'lost')
    const second = await scene.join(0)
    assert.instance(second, KerfError)
    assert.is((second as KerfError).code, 'client-lost')
    await scene.wait(DEADLINE_MS)
    assert.is((await refusalOf(scene.finish())).code, 'run-alone')
  })
}

/** Client 1 goes at `step` and stays away, by a broken link or in silence; the others end the run. */
async function trainWithout(contract: Contract, step: number, fate: 'cut' | 'lose'): Promise<Outcome & { ending: Ending }> {
  const scene = await openScene({ contract })
  let gone = false
  const others = contract.cuts.map((_, client) => client).filter((client) => client !== 1).map((client) => scene.join(client))
  const away = scene.join(1, {
    watch: ({ direction, type, step: at }) => {
      gone ||= direction === 'up' && WORK.includes(type) && at === step
      return gone && direction === 'up' ? fate : undefined
    },
  })
  await scene.until(() => gone, 'to be gone')
  await scene.wait(DEADLINE_MS)
  await scene.wait(DEADLINE_MS)
  const result = await scene.finish()
  return { ...result, ...scene, ending: await away, endings: await Promise.all(others) }
}

const DOES = { cut: 'leaves for good', lose: 'falls silent' } as const

for (const fate of ['cut', 'lose'] as const) {
  for (const scheme of ['kerf', 'sfl', 'fl'] as const) {
    for (const checkpointEvery of [0, 1]) {
      test(`${scheme}, states every ${checkpointEvery}: a device that ${DOES[fate]} is missing from its averages`, async () => {
        const contract = makeContract({ scheme, cuts: scheme === 'fl' ? [4, 4, 4] : [1, 2, 3], checkpointEvery })
        const [shares, initial] = [makeShares(3), await makeInitial(contract.seed)]
        for (const step of [0, 1, 4]) {
          const outcome = await trainWithout(contract, step, fate)
          const expected = await trainFederated(contract, shares, initial, (client, begin) => client !== 1 || begin + 3 <= step)
          expectBits(outcome.vector, expected, `gone at ${step}`)
          assert.equal(outcome.endings, ['done', 'done'])
          assert.ok(outcome.events.includes('1 left out: silent for 1 s'))
          if (fate === 'lose') assert.is((outcome.ending as KerfError).code, 'deadline')
        }
      })
    }
  }

  test(`sl: the others take their turns when a device ${DOES[fate]}`, async () => {
    const contract = makeContract({ scheme: 'sl', cuts: [1, 2, 3], checkpointEvery: 1 })
    const outcome = await trainWithout(contract, 1, fate)
    expectBits(outcome.vector, await trainInTurns(contract, makeShares(3), await makeInitial(contract.seed), (client) => client !== 1))
    assert.equal(outcome.endings, ['done', 'done'])
  })

  test(`splitlora: the others go on when a device ${DOES[fate]}`, async () => {
    for (const checkpointEvery of [0, 1, 2]) {
      const outcome = await trainWithout(makeContract({ scheme: 'splitlora', cuts: [1, 2, 3], checkpointEvery }), 1, fate)
      assert.equal(outcome.endings, ['done', 'done'])
      assert.ok(outcome.vector.every(Number.isFinite))
    }
  })
}

test('a device left out comes back at a later interval', async () => {
  const contract = makeContract({ cuts: [1, 2, 3], steps: 9 })
  const scene = await openScene({ contract })
  let gone = false
  let back: Promise<Ending> | undefined
  const progress = (step: number) => { if (step === 4) back ??= scene.join(1) }
  const others = [scene.join(0, { progress }), scene.join(2)]
  void scene.join(1, { watch: ({ type, step }) => { if (type === 'activation' && step === 2) { gone = true; return 'cut' } } })
  await scene.until(() => gone, 'to be gone')
  await scene.wait(DEADLINE_MS)
  const { vector } = await scene.finish()
  expectBits(vector, await trainFederated(contract, makeShares(3), await makeInitial(contract.seed), (client, begin) => client !== 1 || begin === 6))
  assert.equal(await Promise.all([...others, back]), ['done', 'done', 'done'])
})

/** Client 1 takes so long for each of its steps; nobody else takes any time that a clock shows but `othersMs` a round. */
async function trainSlow(
  contract: Contract, ms: number, othersMs: number, options: Setup['options'] = {}, opened: (scene: Scene) => void = () => {},
): Promise<Scene & { vector: Float32Array }> {
  const scene = await openScene({ contract, options })
  opened(scene)
  const waitFor = (client: number, delayMs: number): Promise<Ending> => {
    const link = scene.connect(client)
    const later = (frame: Uint8Array) => {
      // A device's first frames are its greeting; what takes time are its steps.
      if (!WORK.includes(nameType(frame[5]))) link.send(frame)
      else scene.clock.after(delayMs, () => link.send(frame))
    }
    return scene.join(client, { link: { ...link, send: later } })
  }
  const stay = async (client: number, delayMs: number): Promise<Ending> => {
    for (;;) {
      const ending = await waitFor(client, delayMs)
      if (ending !== 'lost' && codeOf(ending) !== 'deadline') return ending
    }
  }
  const all = Promise.all(contract.cuts.map((_, client) => stay(client, client === 1 ? ms : othersMs)))
  let ended = false
  const result = scene.finish().finally(() => { ended = true })
  while (!ended) {
    await scene.clock.turn()
    scene.clock.advance(1)
  }
  const { vector } = await result
  await all
  return { ...scene, vector }
}

const codeOf = (ending: Ending): string => (ending instanceof KerfError ? ending.code : ending)

test('a device thirty times slower than the others is waited for: every step of it lands', async () => {
  const contract = makeContract({ cuts: [1, 2, 3], steps: 12, interval: 6 })
  const scene = await trainSlow(contract, 300, 10)
  expectBits(scene.vector, (await train({ contract })).vector)
  assert.is(scene.steps.length, 36)
  assert.not.ok(scene.events.some((event) => event.includes('left out')))
})

test('a server that computes far beyond the deadline is nobody\'s delay: what came in the meantime came then', async () => {
  const contract = makeContract({ cuts: [1, 2] })
  let free = Promise.resolve(), computing = false
  let scene: Scene
  const wrapLink = (link: Link): Link => {
    let heardMs = 0
    return {
      ...link, heardMs: () => heardMs,
      async receive() {
        const frame = await link.receive()
        heardMs = scene.clock.now()
        await free
        return frame
      },
    }
  }
  const wrapHalf = (half: Half): Half => ({
    ...half,
    async forward(input) {
      let release = () => {}
      computing = true
      free = new Promise((resolve) => { release = resolve })
      for (let turn = 0; turn < 20; turn++) await scene.clock.turn()
      scene.clock.advance(20 * DEADLINE_MS)
      release()
      return half.forward(input)
    },
  })
  scene = await openScene({ contract, wrapLink, wrapHalf, scheduler: 'fifo' })
  const link = scene.connect(1)
  // Its first step comes when the server is at work for the other one.
  const send = async (frame: Uint8Array): Promise<void> => {
    for (let turn = 0; turn < 1000 && WORK.includes(nameType(frame[5])) && !computing; turn++) await scene.clock.turn()
    link.send(frame)
  }
  const devices = [scene.join(0), scene.join(1, { link: { ...link, send: (frame) => { void send(frame) } } })]
  const { vector } = await scene.finish()
  assert.equal(scene.events.filter((event) => event.includes('left out')), [])
  expectBits(vector, (await train({ contract })).vector)
  assert.equal(await Promise.all(devices), ['done', 'done'])
})

test('a device that answers each step just before the deadline is left out, for longer each time', async () => {
  const contract = makeContract({ cuts: [1, 2, 3], steps: 48, interval: 6 })
  for (const [scheme, cuts] of [['kerf', [1, 2, 3]], ['fl', [LAYERS, LAYERS, LAYERS]], ['sl', [1, 2, 3]]] as const) {
    const scene = await trainSlow({ ...contract, scheme, cuts }, DEADLINE_MS - 50, 1)
    const left = scene.events.filter((event) => event.startsWith('1 left out: too slow'))
    assert.ok(left.length >= 2 && left.length <= 4, `${scheme}: ${left.length}`)
    assert.match(left[0], /^1 left out: too slow: \d\.\d s for \d steps, at most 1\.\d s beside the others$/)
    assert.match(left[1], /, and of the next 1$/)
    // Eight intervals at its pace would be 45 s.
    assert.ok(scene.clock.now() < 12 * DEADLINE_MS, `${scheme}: ${scene.clock.now()} ms`)
    assert.is(scene.steps.filter(({ client }) => client !== 1).length, 96)
  }
})

test('without patience any pace is waited for', async () => {
  const contract = makeContract({ cuts: [1, 2, 3] })
  const scene = await trainSlow(contract, DEADLINE_MS - 50, 1, { patience: 0 })
  expectBits(scene.vector, (await train({ contract })).vector)
})

/** How often a run of `clients` devices looks at a pace, for each of its steps. */
async function countLooks(clients: number, ms: number): Promise<number> {
  const contract = makeContract({ cuts: Array.from({ length: clients }, () => 1), steps: 4, interval: 4 })
  let looks = 0
  const scene = await trainSlow(contract, ms, ms, {}, ({ run }) => {
    for (const { inbox } of run.server.members) {
      let pace = inbox.pace
      Object.defineProperty(inbox, 'pace', { get: () => { looks++; return pace }, set: (next: typeof pace) => { pace = next } })
    }
  })
  assert.is(scene.steps.length, 4 * clients)
  return looks / scene.steps.length
}

test('what a server looks at for a step grows with its devices, not with their square', async () => {
  // Within the deadline, and beyond it, where each device is held against all others.
  for (const ms of [1, 0.6 * DEADLINE_MS]) {
    const [few, many] = [await countLooks(4, ms), await countLooks(32, ms)]
    assert.ok(many < 8 * 2 * few, `${ms} ms: ${few} a step of 4 devices, ${many} of 32`)
  }
})

test('others that wait for the states of a device left out go on, under every scheduler', async () => {
  for (const scheduler of ['longest-backward', 'longest-tail', 'fifo'] as const) {
    const contract = makeContract({ cuts: [1, 2, 3], steps: 12, interval: 12, checkpointEvery: 1 })
    const scene = await openScene({ contract, scheduler })
    const others = [scene.join(0), scene.join(2)]
    void scene.join(1, { watch: ({ direction, type }) => (direction === 'up' && type === 'activation' ? 'lose' : undefined) })
    await scene.wait(DEADLINE_MS)
    const { vector } = await scene.finish()
    expectBits(vector, await trainFederated(contract, makeShares(3), await makeInitial(contract.seed), (client) => client !== 1), scheduler)
    assert.equal(await Promise.all(others), ['done', 'done'])
    assert.equal(scene.saves.at(-2)!.step, 11)
  }
})

test('a device whose link breaks at the same place again and again is left out until the next interval', async () => {
  for (const scheme of ['kerf', 'fl'] as const) {
    const contract = makeContract({ scheme, cuts: scheme === 'fl' ? [4, 4, 4] : [1, 2, 3], checkpointEvery: 1 })
    const outcome = await train({ contract }, ({ client, type, step }) => (client === 1 && WORK.includes(type) && step === 2 ? 'cut' : undefined))
    const expected = await trainFederated(contract, makeShares(3), await makeInitial(contract.seed), (client, begin) => client !== 1 || begin > 0)
    expectBits(outcome.vector, expected, scheme)
    assert.equal(outcome.endings, ['done', 'done', 'done'])
    assert.is(outcome.devices[1].drops, RETURNS_MAX + 1)
  }
})

test('a device that breaks off as soon as it is ready, again and again, is left out though it never stays for an order', async () => {
  const contract = makeContract({ cuts: [1, 2, 3] })
  const scene = await openScene({ contract })
  const others = [scene.join(0), scene.join(2)]
  assert.is(await scene.join(1, { watch: ({ type, step }) => (type === 'activation' && step === 1 ? 'cut' : undefined) }), 'lost')
  // No time passes, so that no deadline helps.
  const watch: Watch = ({ type }) => (type === 'ready' ? 'cut-after' : undefined)
  for (let visit = 0; visit <= RETURNS_MAX; visit++) await scene.join(1, { watch })
  const expected = await trainFederated(contract, makeShares(3), await makeInitial(contract.seed), (client) => client !== 1)
  expectBits((await scene.finish()).vector, expected)
  assert.equal(await Promise.all(others), ['done', 'done'])
  assert.ok(scene.events.includes(`1 left out: came back ${RETURNS_MAX} times without a new step`))
})

test('strangers that ask for an absent device again and again do not make the others wait for it longer', async () => {
  const contract = makeContract({ cuts: [1, 2, 3] })
  const scene = await openScene({ contract })
  const others = [scene.join(0), scene.join(2)]
  assert.is(await scene.join(1, { watch: ({ type, step }) => (type === 'activation' && step === 1 ? 'cut' : undefined) }), 'lost')
  for (let knock = 0; knock < 4; knock++) {
    await scene.wait(DEADLINE_MS / 4)
    void scene.join(1, { watch: ({ type }) => (type === 'ready' ? 'cut' : undefined) })
  }
  expectBits((await scene.finish()).vector, await trainFederated(contract, makeShares(3), await makeInitial(contract.seed), (client) => client !== 1))
  assert.equal(await Promise.all(others), ['done', 'done'])
})

for (const scheme of ['kerf', 'sl', 'sfl', 'splitlora', 'fl', 'central'] as const) {
  for (const fate of ['cut', 'lose'] as const) {
    test(`${scheme}: a run whose devices all ${fate === 'cut' ? 'leave' : 'fall silent'} ends with run-alone`, async () => {
      for (const checkpointEvery of [0, 1]) {
        const cuts = scheme === 'central' ? [LAYERS] : scheme === 'fl' ? [LAYERS, LAYERS] : [1, 2]
        const scene = await openScene({ contract: makeContract({ scheme, cuts, checkpointEvery }) })
        const watch: Watch = ({ direction, type, step }) => (direction === 'up' && WORK.includes(type) && step >= 1 ? fate : undefined)
        const endings = cuts.map((_, client) => scene.join(client, { watch }))
        for (const _ of cuts) await scene.wait(DEADLINE_MS)
        assert.is((await refusalOf(scene.finish())).code, 'run-alone')
        await Promise.all(endings)
        const late = await scene.join(0)
        assert.is((late as KerfError).code, 'run-stopped')
      }
    })
  }
}

test('devices that never come: join-deadline, and those that came are told', async () => {
  const scene = await openScene({ contract: contractOf('kerf') })
  const only = scene.join(0)
  await scene.wait(60 * DEADLINE_MS)
  assert.is((await refusalOf(scene.finish())).code, 'join-deadline')
  assert.is(((await only) as KerfError).code, 'run-stopped')
})

test('a device silent after its hello neither blocks the start for ever nor the run', async () => {
  const scene = await openScene({ contract: contractOf('kerf') })
  void scene.join(0)
  const mute = scene.join(1, { watch: ({ type }) => (type === 'ready' ? 'lose' : undefined) })
  await scene.wait(60 * DEADLINE_MS)
  assert.is((await refusalOf(scene.finish())).code, 'join-deadline')
  await mute
})

test('a device that comes back after the end gets its bye', async () => {
  const contract = contractOf('kerf')
  const scene = await openScene({ contract })
  await Promise.all([scene.join(0), scene.join(1), scene.finish()])
  assert.is(await scene.join(1), 'done')
})

test('a device that says no goodbye holds the end up for no more than the deadline', async () => {
  const contract = contractOf('kerf')
  const scene = await openScene({ contract })
  const endings = [scene.join(0), scene.join(1, { watch: ({ direction, type }) => (direction === 'up' && type === 'bye' ? 'lose' : undefined) })]
  await scene.wait(DEADLINE_MS)
  const { vector } = await scene.finish()
  expectBits(vector, (await train({ contract })).vector)
  await Promise.all(endings)
})

test.run()
