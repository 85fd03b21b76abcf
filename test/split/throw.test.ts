/**
 * Whatever fails in one connection ends that connection: each call that a connection makes, of its link, the checksum, the clock
 * and the log, throws once, at every place; no rejection is left for the host, and the others end as if nothing had been.
 */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { KerfError } from '../../runtime/error.ts'
import type { Link } from '../../runtime/host/network.ts'
import { createLinkPair } from '../../runtime/split/link.ts'
import type { SchemeName } from '../../runtime/split/scheme.ts'
import { expectBits } from './bits.ts'
import type { Ending, Outcome, Scene, Setup } from './harness.ts'
import { DEADLINE_MS, openScene, train } from './harness.ts'
import { LAYERS, makeContract, openChecksum } from './model.ts'
import { createTestClock } from './clock.ts'

class Broken extends Error {}

const unhandled: unknown[] = []
process.on('unhandledRejection', (reason) => { unhandled.push(reason) })

/** Throws at the n-th call and never again; `armed` tells whether that is still to come. */
function createTrap(n: number) {
  const trap = { armed: true, calls: 0, pass: () => {} }
  trap.pass = () => {
    if (trap.calls++ !== n || !trap.armed) return
    trap.armed = false
    throw new Broken(`call ${n}`)
  }
  return trap
}

type Trap = ReturnType<typeof createTrap>
type LinkCall = keyof Link

/** The server's end of a link, with one kind of its calls before a trap. */
function trapLink(link: Link, call: LinkCall, trap: Trap): Link {
  return {
    send(frame) {
      if (call === 'send') trap.pass()
      link.send(frame)
    },
    async receive() {
      if (call === 'receive') trap.pass()
      return link.receive()
    },
    admit() {
      if (call === 'admit') trap.pass()
      link.admit()
    },
    why() {
      if (call === 'why') trap.pass()
      return link.why()
    },
    close(reason) {
      link.close(reason)
      if (call === 'close') trap.pass()
    },
  }
}

function contractOf(scheme: SchemeName) {
  return makeContract({ scheme, cuts: scheme === 'fl' ? [LAYERS, LAYERS] : [1, 2], steps: 4, interval: 2, checkpointEvery: 1 })
}

/** Client 1's device on trapped links, again until it ends. */
async function stayTrapped(scene: Scene, call: LinkCall, trap: Trap): Promise<Ending> {
  for (;;) {
    const [near, far] = createLinkPair()
    void scene.run.server.attend(trapLink(far, call, trap))
    const ending = await scene.join(1, { link: near })
    if (ending !== 'lost') return ending
  }
}

const SETTLE_TURNS = 20

/** Rejections that nobody handles come to light some turns later. */
async function expectHandled(scene: Pick<Scene, 'clock'>, what: string): Promise<void> {
  for (let turn = 0; turn < SETTLE_TURNS; turn++) await scene.clock.turn()
  assert.equal(unhandled, [], what)
}

for (const scheme of ['kerf', 'sfl', 'sl', 'fl'] as const) {
  for (const call of ['send', 'receive', 'close'] as const) {
    test(`${scheme}: a link whose ${call} throws, at every call, costs its device a connection and no more`, async () => {
      const contract = contractOf(scheme)
      const expected = await train({ contract })
      for (let n = 0; ; n++) {
        const trap = createTrap(n)
        const scene = await openScene({ contract })
        const endings = Promise.all([scene.join(0), stayTrapped(scene, call, trap)])
        const { vector } = await scene.finish()
        expectBits(vector, expected.vector, `call ${n}`)
        assert.equal(await endings, ['done', 'done'], `call ${n}`)
        await expectHandled(scene, `call ${n}`)
        if (trap.armed) break
      }
    })
  }
}

/** A run where one of the server's own means fails: it reaches its undisturbed end, or ends by that failure, and tells every device. */
async function expectEnd(setup: Setup, trap: Trap, expected: Outcome): Promise<'end' | 'failure'> {
  const scene = await openScene(setup)
  const stay = async (client: number): Promise<Ending> => {
    for (;;) {
      const ending = await scene.join(client)
      const passing = ending === 'lost' || (ending instanceof KerfError && ending.code === 'server')
      if (!passing) return ending
    }
  }
  const endings = Promise.all(setup.contract.cuts.map((_, client) => stay(client)))
  const failure = await scene.finish().then(({ vector }) => {
    expectBits(vector, expected.vector, `call ${trap.calls}`)
    return null
  }, (error: unknown) => error)
  await expectHandled(scene, `call ${trap.calls}`)
  if (failure === null) {
    assert.equal(await endings, setup.contract.cuts.map(() => 'done'))
    return 'end'
  }
  assert.instance(failure, Broken, String(failure))
  // What fails while byes are said finds some devices gone.
  for (const ending of await endings) assert.ok(ending === 'done' || (ending as KerfError).code === 'run-stopped', String(ending))
  return 'failure'
}

for (const scheme of ['kerf', 'sfl', 'fl'] as const) {
  test(`${scheme}: a checksum that fails, at every call, ends a connection or the run, by name`, async () => {
    const contract = contractOf(scheme)
    const expected = await train({ contract })
    const crc32c = await openChecksum()
    const ends = new Set<string>()
    for (let n = 0; ; n++) {
      const trap = createTrap(n)
      const checked = (bytes: Uint8Array) => {
        trap.pass()
        return crc32c(bytes)
      }
      ends.add(await expectEnd({ contract, options: { crc32c: checked } }, trap, expected))
      if (trap.armed) break
    }
    assert.ok(ends.has('end'))
  })

  test(`${scheme}: a clock or a log that fails, at every call, ends a connection or the run, by name`, async () => {
    const contract = contractOf(scheme)
    const expected = await train({ contract })
    for (const what of ['now', 'after', 'turn', 'member'] as const) {
      for (let n = 0; ; n++) {
        const trap = createTrap(n)
        const clock = createTestClock()
        const guard = <Call extends (...args: never[]) => unknown>(name: string, call: Call) => ((...args: never[]) => {
          if (name === what) trap.pass()
          return call(...args)
        }) as Call
        const trapped = { now: guard('now', clock.now), after: guard('after', clock.after), turn: guard('turn', clock.turn) }
        const on = { ready: () => {}, step: () => {}, member: guard('member', () => {}), interval: async () => {} }
        await expectEnd({ contract, options: { clock: trapped, on } }, trap, expected)
        if (trap.armed) break
      }
    }
  })
}

test('a device whose link throws when it is left out for its silence costs nobody else', async () => {
  const contract = makeContract({ cuts: [1, 2, 3], checkpointEvery: 0 })
  for (const call of ['send', 'close'] as const) {
    const scene = await openScene({ contract })
    const [near, far] = createLinkPair()
    let gone = false
    const trap = createTrap(0)
    const broken = trapLink(far, call, trap)
    void scene.run.server.attend({ ...broken, send: (frame) => (gone && call === 'send' ? broken : far).send(frame) })
    const others = [scene.join(0), scene.join(2)]
    void scene.join(1, { link: { ...near, send: (frame) => { if (scene.steps.length >= 3) gone = true; else near.send(frame) } } })
    await scene.until(() => gone, 'to fall silent')
    await scene.wait(DEADLINE_MS)
    await scene.wait(DEADLINE_MS)
    await scene.finish()
    assert.equal(await Promise.all(others), ['done', 'done'])
    assert.not.ok(trap.armed)
    await expectHandled(scene, call)
  }
})

test.run()
