/** Who may join, and who a device is: by its key, whatever it is called and however its link looks. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { checksumData } from '../../runtime/data/dataset.ts'
import { KerfError } from '../../runtime/error.ts'
import type { Link } from '../../runtime/host/network.ts'
import { decodeSafetensors } from '../../runtime/wire/safetensors.ts'
import { encodeFrame } from '../../runtime/wire/frame.ts'
import type { FrameType } from '../../runtime/wire/frame.ts'
import { prove } from '../../runtime/split/proof.ts'
import { expectBits } from './bits.ts'
import { forgeContent } from './forge.ts'
import type { Ending, JoinOptions, Outcome, Scene, Setup, Watch } from './harness.ts'
import { DEADLINE_MS, openScene, train } from './harness.ts'
import { keyOf, makeAdmission } from './keyring.ts'
import { RUN, makeContract, makeShares } from './model.ts'

const contract = makeContract({ cuts: [1, 2, 3], checkpointEvery: 1 })
let undisturbed: Promise<Outcome> | undefined
const expected = () => (undisturbed ??= train({ contract }))

const codeOf = (ending: Ending): string => (ending instanceof KerfError ? ending.code : ending)
/** The device of that key, which asks for any number. */
const keyed = (scene: Scene, key: number, options: JoinOptions = {}) => scene.join(key % 3, { client: null, key: keyOf(key), ...options })

type Words = Readonly<Record<string, string>>

/** What a control frame says. */
function wordsOf(bytes: Uint8Array | null): Words | null {
  return bytes && decodeSafetensors(bytes.subarray(64)).metadata
}

type Peer = Link & { say(type: FrameType, metadata: Words): void; hear(): Promise<Words | null> }

/** A peer that sends what it likes. */
function knock(scene: Scene, client = 1): Peer {
  const link = scene.connect(client)
  let sequence = 0
  return {
    ...link,
    say: (type, metadata) => link.send(encodeFrame(
      { type, run: 0, client: 0, epoch: 0, round: 0, step: 0, sequence: sequence++, tensors: [], metadata }, scene.crc32c)),
    hear: async () => wordsOf(await link.receive()),
  }
}

async function expectEnd(scene: Scene, devices: readonly Promise<Ending>[], what = ''): Promise<void> {
  expectBits((await scene.finish()).vector, (await expected()).vector, what)
  assert.equal(await Promise.all(devices), devices.map((): Ending => 'done'), what)
}

/** Whole runs below are compared with one of devices in this order. */
async function seatAll(scene: Scene, but: readonly number[] = [], options: JoinOptions = {}): Promise<Promise<Ending>[]> {
  const devices: Promise<Ending>[] = []
  for (const client of [0, 1, 2]) {
    if (but.includes(client)) continue
    devices.push(keyed(scene, client, but.length > 0 ? { client, ...options } : options))
    await scene.until(() => scene.run.server.members[client].seat.channel !== null, `${client} to sit`)
  }
  return devices
}

test('devices with keys and no numbers train what devices with numbers do', async () => {
  const admission = makeAdmission()
  const scene = await openScene({ contract, admission })
  await expectEnd(scene, await seatAll(scene))
  assert.equal(admission.rolls.at(-1), new Map([0, 1, 2].map((client) => [keyOf(client).public, client])))
})

test('a server that knows its devices gives each its number, in whatever order they come', async () => {
  const roll = new Map([0, 1, 2].map((client): [string, number] => [keyOf(client).public, client]))
  const scene = await openScene({ contract, admission: makeAdmission({ roll }) })
  assert.is(codeOf(await keyed(scene, 3, { watch: () => {} })), 'client-taken')
  assert.is(codeOf(await scene.join(1, { client: null, name: 'nobody' })), 'client-unknown')
  const devices: Promise<Ending>[] = []
  for (const client of [2, 0, 1]) {
    devices.push(scene.join(client, { client: null, key: keyOf(client), name: 'all alike' }))
    await scene.until(() => scene.run.server.members[client].seat.channel !== null, `${client} to sit`)
  }
  await expectEnd(scene, devices)
})

/** A device whose link dies at step 1 unnoticed: nothing of it arrives any more, and nobody closes it. */
const dying: Watch = ({ direction, type, step }) => (direction === 'up' && type === 'activation' && step >= 1 ? 'lose' : undefined)

test('a device that returns ends its own older link at once, though nobody has noticed that it is dead', async () => {
  for (const slowHalves of [false, true]) {
    const setup: Setup = { contract, admission: makeAdmission(), slowHalves }
    const scene = await openScene(setup)
    let lost = false
    const old = keyed(scene, 0, { watch: (passage) => {
      const fate = dying(passage)
      lost ||= fate === 'lose'
      return fate
    } })
    await scene.until(() => scene.run.server.members[0].seat.channel !== null, 'to sit')
    const others = await seatAll(scene, [0])
    await scene.until(() => lost, 'to die')
    // No time passes, so that no deadline helps; and it may be called otherwise now.
    const back = keyed(scene, 0, { name: 'another name' })
    await expectEnd(scene, [...others, back], `slow ${slowHalves}`)
    assert.is(codeOf(await old), 'client-replaced')
    assert.ok(scene.events.includes('0 came back'))
  }
})

test('a link that is replaced before it is ready, at each frame of its greeting', async () => {
  for (const type of ['proof', 'welcome', 'ready']) {
    const scene = await openScene({ contract, admission: makeAdmission() })
    let held = false
    const link = scene.connect(0, (passage) => {
      if (passage.type !== type) return
      held = true
      return 'lose'
    })
    const old = keyed(scene, 0, { link })
    await scene.until(() => held, `to lose ${type}`)
    const devices = await seatAll(scene)
    await expectEnd(scene, devices, type)
    // Whoever has proven nothing can't be told that it was replaced; its host ends a greeting that does not go on.
    if (type === 'proof') link.close()
    // A frame that was lost on the way down is missed before the next one is read.
    assert.is(codeOf(await old), { proof: 'lost', welcome: 'frame-sequence-future', ready: 'client-replaced' }[type])
  }
})

test('a device without a key can end nobody, and no name brings it a number that a key holds', async () => {
  const scene = await openScene({ contract, admission: makeAdmission() })
  const others = await seatAll(scene, [1])
  const gone: Watch = ({ type, step }) => (type === 'activation' && step === 1 ? 'cut' : undefined)
  const first = keyed(scene, 1, { name: 'pump house', watch: gone })
  assert.is(await first, 'lost')
  for (const wanted of [1, null]) {
    for (const name of ['pump house', 'device 1', 'client 1']) {
      const thief = await scene.join(1, { client: wanted, name })
      assert.ok(['client-taken', 'client-unknown'].includes(codeOf(thief)), `${wanted} ${name}: ${codeOf(thief)}`)
      // What it asked for is all that it reads.
      assert.is((thief as KerfError).message, `hello.client: expected a free client of this run, got "${wanted ?? 'any'}"`)
    }
  }
  // Nor does another key.
  assert.is(codeOf(await keyed(scene, 7, { client: 1, name: 'pump house' })), 'client-taken')
  await expectEnd(scene, [...others, keyed(scene, 1)])
})

test('a key that comes back for another number than its own is refused, and keeps its own', async () => {
  const scene = await openScene({ contract, admission: makeAdmission() })
  const devices = await seatAll(scene, [2])
  assert.is(codeOf(await keyed(scene, 0, { client: 2 })), 'client-taken')
  assert.is(codeOf(await keyed(scene, 0, { client: 9 })), 'client-taken')
  devices.push(keyed(scene, 2))
  await expectEnd(scene, devices)
})

/** Proofs that are none. */
const LIES: Readonly<Record<string, (challenge: { run: number; nonce: string; key: string }) => Record<string, string>>> = {
  'no signature': () => ({}),
  'no digits': () => ({ signature: 'zz'.repeat(64) }),
  'half a signature': (challenge) => ({ signature: prove(challenge, keyOf(0)).signature.slice(0, 64) }),
  "another's signature": (challenge) => ({ signature: prove(challenge, keyOf(5)).signature }),
  'of another nonce': (challenge) => ({ signature: prove({ ...challenge, nonce: '00'.repeat(32) }, keyOf(0)).signature }),
  'of another run': (challenge) => ({ signature: prove({ ...challenge, run: challenge.run + 1 }, keyOf(0)).signature }),
  'for another key': (challenge) => ({ signature: prove({ ...challenge, key: keyOf(5).public }, keyOf(0)).signature }),
  'zeros': () => ({ signature: '00'.repeat(64) }),
}

test('a proof that is none: one sentence, whatever is wrong, and the number is its own device\'s', async () => {
  for (const open of [true, false]) {
    const admission = makeAdmission({ open, listed: new Set([0, 1, 2].map((client) => keyOf(client).public)) })
    const scene = await openScene({ contract, admission })
    for (const [what, lie] of Object.entries(LIES)) {
      const liar = knock(scene, 0)
      liar.say('hello', { name: 'x', client: 'any', key: keyOf(0).public })
      const { run, nonce } = (await liar.hear())!
      assert.is(Number(run), RUN)
      liar.say('proof', lie({ run: Number(run), nonce, key: keyOf(0).public }))
      assert.is((await liar.hear())!.code, 'client-refused', what)
      assert.is(await liar.hear(), null, what)
    }
    await expectEnd(scene, await seatAll(scene))
  }
})

test('a proof of another connection is worth nothing here, and a key of small order nothing anywhere', async () => {
  const scene = await openScene({ contract, admission: makeAdmission() })
  let old: Uint8Array | undefined
  const spied = keyed(scene, 0, { watch: ({ type, bytes }) => { if (type === 'proof') old = bytes } })
  await scene.until(() => old !== undefined, 'to prove itself')
  assert.is(codeOf(await keyed(scene, 0, { watch: ({ type }) => (type === 'proof' ? old : undefined) })), 'client-refused')
  const identity = `01${'00'.repeat(31)}`
  const nobody = knock(scene)
  nobody.say('hello', { name: 'x', client: 'any', key: identity })
  assert.ok((await nobody.hear())!.nonce)
  nobody.say('proof', { signature: `${identity}${'00'.repeat(32)}` })
  assert.is((await nobody.hear())!.code, 'client-refused')
  const others = [1, 2].map((client) => keyed(scene, client, { client }))
  await expectEnd(scene, [spied, ...others])
})

test('whoever is not invited is told the same, whatever was asked, and the log has the reason', async () => {
  const admission = makeAdmission({ open: false, listed: new Set([keyOf(0).public, keyOf(1).public]), invitation: 'salt and pepper' })
  const scene = await openScene({ contract, admission })
  const honest = [keyed(scene, 0)]
  await scene.until(() => scene.run.server.members[0].seat.ready, 'to be ready')
  const told = new Set<string>()
  const asks: Record<string, string>[] = [
    { name: 'x', client: 'any' }, { name: 'device 0', client: '0' }, { name: 'x', client: '9' }, { name: '', client: 'any' },
    { name: 'x'.repeat(500), client: 'any' }, { name: 'x', client: 'any', key: 'none' }, {},
  ]
  for (const ask of asks) {
    const stranger = knock(scene)
    stranger.say('hello', ask)
    told.add(JSON.stringify(await stranger.hear()))
    assert.is(await stranger.hear(), null)
  }
  for (const bytes of [new Uint8Array(0), new Uint8Array(100)]) {
    const stranger = knock(scene)
    stranger.send(bytes)
    told.add(JSON.stringify(await stranger.hear()))
  }
  for (const options of [{ key: keyOf(8) }, { key: keyOf(8), invitation: 'salt' }, { key: keyOf(8), client: 0, name: 'device 0' }]) {
    const { code, field, message } = (await scene.join(1, { client: null, ...options })) as KerfError
    told.add(JSON.stringify({ code, field, message }))
  }
  assert.equal([...told], ['{"code":"client-refused","field":"hello","message":"hello: expected a device that this run takes, got another"}'])
  assert.ok(scene.events.some((event) => event.startsWith('stranger ')))
  await scene.until(() => scene.run.server.members[0].seat.ready, 'to be ready')
  honest.push(keyed(scene, 1))
  await scene.until(() => scene.run.server.members[1].seat.channel !== null, 'to sit')
  honest.push(keyed(scene, 2, { invitation: 'salt and pepper' }))
  await expectEnd(scene, honest)
})

test('an invitation enrols a key once; afterwards its key alone counts, and the secret is in no frame', async () => {
  const invitation = '5ecre7'
  const scene = await openScene({ contract, admission: makeAdmission({ open: false, invitation }) })
  const others = await seatAll(scene, [2], { invitation })
  let met = false
  const first = keyed(scene, 2, { invitation, watch: ({ type, step }) => {
    met ||= type === 'activation' && step === 1
    return type === 'activation' && step === 1 ? 'cut' : undefined
  } })
  assert.is(await first, 'lost')
  // The invitation brings nobody to a number that a key holds.
  assert.is(codeOf(await keyed(scene, 9, { invitation })), 'client-taken')
  await expectEnd(scene, [...others, keyed(scene, 2, { invitation: undefined })])
  const text = new TextDecoder('latin1')
  assert.not.ok(scene.passages.some(({ bytes }) => text.decode(bytes.slice(0, 4096)).includes(invitation)))
})

test('a key that was taken off the list does not come back', async () => {
  const roll = new Map([[keyOf(1).public, 1]])
  const scene = await openScene({ contract, admission: makeAdmission({ open: false, roll, listed: new Set([0, 2].map((client) => keyOf(client).public)) }) })
  assert.is(codeOf(await keyed(scene, 1)), 'client-refused')
})

test('a greeting that its host ends, wherever it has stopped: the number is free at once', async () => {
  for (const silent of ['hello', 'proof', 'ready']) {
    const scene = await openScene({ contract, admission: makeAdmission() })
    const links: Link[] = []
    const mute = () => {
      const link = scene.connect(1, ({ type }) => (type === silent ? 'lose' : undefined))
      links.push(link)
      return { link }
    }
    const foes = [keyed(scene, 7, mute()), keyed(scene, 8, mute())]
    if (silent !== 'proof') foes.push(scene.join(1, { client: null, name: 'c', ...mute() }))
    await scene.wait(0)
    const held = () => scene.run.server.members.filter(({ seat }) => seat.channel !== null).length
    assert.is(held(), silent === 'ready' ? 3 : 0, silent)
    links.forEach((link) => link.close())
    assert.equal((await Promise.all(foes)).map(codeOf), foes.map(() => 'lost'), silent)
    await scene.wait(0)
    assert.is(held(), 0, silent)
    await expectEnd(scene, await seatAll(scene), silent)
  }
})

test('a link that ends within its greeting leaves its number at once', async () => {
  const scene = await openScene({ contract, admission: makeAdmission() })
  for (const type of ['hello', 'proof', 'ready'] as const) {
    for (const fate of ['cut', 'cut-after'] as const) {
      if (type === 'ready' && fate === 'cut-after') continue
      const gone = await keyed(scene, 6, { watch: (passage) => (passage.type === type ? fate : undefined) })
      assert.is(codeOf(gone), 'lost', `${type} ${fate}`)
    }
  }
  await scene.wait(0)
  assert.ok(scene.run.server.members.every(({ seat }) => seat.channel === null && seat.key === null && seat.name === null))
  assert.not.ok(scene.events.some((event) => event.includes('left')), 'strangers are in no account')
  await expectEnd(scene, await seatAll(scene))
})

test('who has proven a key comes before who only asks, and waits for who has proven one too', async () => {
  const scene = await openScene({ contract, admission: makeAdmission() })
  const mute: Watch = ({ type }) => (type === 'ready' ? 'lose' : undefined)
  const asking = ['a', 'b', 'c'].map((name) => scene.join(1, { client: null, name, watch: mute }))
  await scene.until(() => scene.run.server.members.every(({ seat }) => seat.channel !== null), 'all numbers to be asked for')
  const devices = await seatAll(scene, [2])
  const link = scene.connect(0, mute)
  const proven = keyed(scene, 9, { link })
  await scene.until(() => scene.run.server.members[2].seat.claim === keyOf(9).public, 'to sit')
  assert.is(codeOf(await keyed(scene, 2)), 'client-pending')
  link.close()
  assert.is(codeOf(await proven), 'lost')
  devices.push(keyed(scene, 2))
  await expectEnd(scene, devices)
  await Promise.all(asking)
})

test('a roll that can\'t be kept: the device is told nothing of the disk, and has no number', async () => {
  let full = true
  const keep = async () => { if (full) throw new KerfError('file-write', '/srv/out/devices.json', '/srv/out/devices.json: expected room, got "ENOSPC"') }
  const scene = await openScene({ contract, admission: makeAdmission({ keep }) })
  const ending = await keyed(scene, 0)
  assert.is(codeOf(ending), 'file-write')
  assert.not.match((ending as KerfError).message, /srv|ENOSPC/)
  assert.ok(scene.events.some((event) => event.includes('ENOSPC')))
  full = false
  await expectEnd(scene, await seatAll(scene))
})

test('other data than before: the device that holds the number reads how it differs, and so does the log', async () => {
  const scene = await openScene({ contract, admission: makeAdmission() })
  const others = await seatAll(scene, [1])
  assert.is(await keyed(scene, 1, { watch: ({ type, step }) => (type === 'activation' && step === 1 ? 'cut' : undefined) }), 'lost')
  const ending = await keyed(scene, 1, { provide: (provisions) => ({ ...provisions, data: makeShares(3)[2] }) })
  const [before, now] = [1, 2].map((client) => checksumData(scene.crc32c, makeShares(3)[client]))
  assert.is((ending as KerfError).message, `ready.share.dataCrc: expected ${before}, got ${now}`)
  assert.ok(scene.events.includes(`1 brings another dataCrc than before: ${now} for ${before}`))
  await expectEnd(scene, [...others, keyed(scene, 1)])
})

const RUN_FAILED = 'run: expected to reach its end, got a failure on the side of the server'

test('a run that failed tells nobody who is missing', async () => {
  const scene = await openScene({ contract, admission: makeAdmission() })
  const only = keyed(scene, 0)
  await scene.until(() => scene.run.server.members[0].seat.ready, 'to be ready')
  await scene.wait(60 * DEADLINE_MS)
  assert.is((await only as KerfError).message, RUN_FAILED)
  const stranger = await scene.join(1, { name: 'x' }) as KerfError
  assert.is(stranger.message, RUN_FAILED)
  assert.is((await keyed(scene, 0) as KerfError).message, RUN_FAILED)
  assert.match((await scene.finish().catch((error: unknown) => error) as KerfError).message, /none for client 1, 2/)
})

test('an error that quotes half a character, or can\'t be sent, ends one connection and nothing else', async () => {
  const scene = await openScene({ contract, admission: makeAdmission() })
  for (const name of ['\u{1f600}'.repeat(100), `x${'\u{1f600}'.repeat(100)}`, '\u0001'.repeat(300), '\u{10ffff}'.repeat(200)]) {
    const stranger = knock(scene)
    stranger.say('hello', { name, client: 'any' })
    assert.is((await stranger.hear())!.code, 'client-name')
    const asking = knock(scene)
    asking.say('hello', { name: 'x', client: name })
    assert.is((await asking.hear())!.code, 'client-unknown')
  }
  let closed = 0
  const broken: Link = {
    send: () => { throw new Error('gone') }, receive: async () => new Uint8Array(3), admit: () => {}, why: () => null,
    close: () => { closed++ },
  }
  await scene.run.server.attend(broken)
  await scene.run.server.attend({ ...broken, receive: () => Promise.reject(new Error('gone')) })
  assert.ok(closed >= 2)
  await expectEnd(scene, await seatAll(scene))
})

test('a device signs nothing but a server\'s challenge', async () => {
  for (const change of [{ nonce: 'pay to the bearer' }, { nonce: '' }, { run: 'x' }, { run: '' }]) {
    const scene = await openScene({ contract, admission: makeAdmission() })
    const ending = await keyed(scene, 0, {
      watch: ({ type, bytes }) => (type === 'challenge' ? forgeContent(bytes, ({ metadata }) => { Object.assign(metadata, change) }) : undefined),
    })
    assert.is(codeOf(ending), 'challenge')
    assert.not.ok(scene.passages.some(({ type }) => type === 'proof'))
  }
})

test.run()
