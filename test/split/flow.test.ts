/** What passes the links: one step in flight, bytes that add up, codecs that spare them, inboxes that end a flood. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { SchemeName } from '../../runtime/split/scheme.ts'
import { INBOX_FRAMES_MAX, createInbox, createLinkPair } from '../../runtime/split/link.ts'
import type { Codec } from '../../runtime/wire/codec.ts'
import type { Outcome } from './harness.ts'
import { train } from './harness.ts'
import { LAYERS, makeContract } from './model.ts'

const frame = (value: number) => Uint8Array.of(value)

test('an inbox gives frames in order, then those still waiting after its end, then null', async () => {
  const inbox = createInbox(() => assert.unreachable())
  const early = inbox.receive()
  for (const value of [1, 2, 3]) inbox.push(frame(value))
  assert.equal(await early, frame(1))
  inbox.finish()
  inbox.push(frame(4))
  assert.equal([await inbox.receive(), await inbox.receive(), await inbox.receive(), await inbox.receive()], [frame(2), frame(3), null, null])
})

test('an inbox that ends wakes who waits', async () => {
  const inbox = createInbox(() => {})
  const waiting = inbox.receive()
  inbox.finish()
  assert.is(await waiting, null)
})

test('an inbox holds so many frames and no more', () => {
  let overflows = 0
  const inbox = createInbox(() => { overflows++ })
  for (let count = 0; count < INBOX_FRAMES_MAX; count++) inbox.push(frame(count))
  assert.is(overflows, 0)
  inbox.push(frame(99))
  assert.is(overflows, 1)
})

test('a link pair joins two ends; a flood closes both', async () => {
  const [left, right] = createLinkPair()
  left.send(frame(1))
  right.send(frame(2))
  assert.equal([await right.receive(), await left.receive()], [frame(1), frame(2)])
  for (let count = 0; count <= INBOX_FRAMES_MAX; count++) left.send(frame(count))
  assert.is(await left.receive(), null)
  right.send(frame(3))
  assert.is(await left.receive(), null)
})

const SCHEMES: readonly SchemeName[] = ['kerf', 'sl', 'sfl', 'splitlora', 'fl']

for (const scheme of SCHEMES) {
  test(`${scheme}: a device has at most one step in flight, and every byte is accounted for`, async () => {
    const contract = makeContract({ scheme, cuts: scheme === 'fl' ? [LAYERS, LAYERS] : [1, 2], checkpointEvery: 2 })
    const { passages, devices } = await train({ contract })
    for (const { client, upBytes, downBytes } of devices) {
      const own = passages.filter((passage) => passage.client === client)
      const bytes = (direction: string) => own.filter((passage) => passage.direction === direction).reduce((sum, passage) => sum + passage.bytes.length, 0)
      assert.is(upBytes, bytes('up'))
      assert.is(downBytes, bytes('down'))
      let inFlight = 0
      for (const { direction, type } of own) {
        if (type === 'activation' || (type === 'report' && direction === 'up')) inFlight++
        if (type === 'gradient' || (type === 'report' && direction === 'down')) inFlight--
        assert.ok(inFlight === 0 || inFlight === 1)
      }
    }
  })
}

test('what travels: each type as often as the scheme needs it', async () => {
  const count = ({ passages }: Outcome) => {
    const counts: Record<string, number> = {}
    for (const { direction, type } of passages) counts[`${type} ${direction}`] = (counts[`${type} ${direction}`] ?? 0) + 1
    return counts
  }
  const greeting = { 'hello up': 2, 'welcome down': 2, 'ready up': 2, 'bye down': 2, 'bye up': 2 }
  assert.equal(count(await train({ contract: makeContract() })), {
    ...greeting, 'adapter down': 4, 'adapter up': 4, 'activation up': 12, 'gradient down': 12,
  })
  assert.equal(count(await train({ contract: makeContract({ checkpointEvery: 1 }) }))['state up'], 8)
  assert.equal(count(await train({ contract: makeContract({ scheme: 'fl', cuts: [LAYERS, LAYERS] }) })), {
    ...greeting, 'adapter down': 4, 'adapter up': 4, 'report up': 12, 'report down': 12,
  })
})

function lastLoss({ steps }: Outcome): number {
  const losses = steps.slice(-12).map(({ loss }) => loss)
  return losses.reduce((sum, loss) => sum + loss, 0) / losses.length
}

test('codecs: nearly the same loss for fewer bytes', async () => {
  const outcomes = new Map<Codec, Outcome>()
  for (const codec of ['f32', 'f16', 'int8'] as const) outcomes.set(codec, await train({ contract: makeContract({ codec, steps: 30, interval: 10 }) }))
  const [exact, half, byte] = ['f32', 'f16', 'int8'].map((codec) => outcomes.get(codec as Codec)!)
  const upBytes = ({ passages }: Outcome) => passages.filter(({ type }) => type === 'activation').reduce((sum, { bytes }) => sum + bytes.length, 0)
  const firstLoss = exact.steps[0].loss
  assert.ok(lastLoss(exact) < 0.6 * firstLoss)
  assert.ok(Math.abs(lastLoss(half) - lastLoss(exact)) < 0.01 * firstLoss, `f16: ${lastLoss(half)}, f32: ${lastLoss(exact)}`)
  assert.ok(Math.abs(lastLoss(byte) - lastLoss(exact)) < 0.1 * firstLoss, `int8: ${lastLoss(byte)}, f32: ${lastLoss(exact)}`)
  assert.ok(upBytes(half) < 0.75 * upBytes(exact), `${upBytes(half)} of ${upBytes(exact)}`)
  assert.ok(upBytes(byte) < upBytes(half))
  assert.not.equal(half.vector, exact.vector)
})

test('codecs: the same seed gives the same bits, resumed or not', async () => {
  for (const codec of ['f16', 'int8'] as const) {
    const contract = makeContract({ codec, checkpointEvery: 1 })
    const { vector, saves } = await train({ contract })
    assert.equal((await train({ contract, resume: saves[1].bytes })).vector, vector)
  }
})

test.run()
