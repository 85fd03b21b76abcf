/** Where a device's key and a server's roll are kept, and what they are refused for. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readAddress, writeAddress, isLoopback } from '../../runtime/program/address.ts'
import type { Command } from '../../runtime/program/identity.ts'
import { openIdentity } from '../../runtime/program/identity.ts'
import { openAdmission, readKeys } from '../../runtime/program/roll.ts'
import { runProgram } from '../../runtime/program/program.ts'
import type { Disk } from '../host/disk.ts'
import { createDisk } from '../host/disk.ts'
import type { MemoryHost } from '../host/memory.ts'
import { createMemoryHost, createMemoryNetwork, copyToDisk, placeAssets } from '../host/memory.ts'
import { refusalOf } from '../refusal.ts'
import { keyOf } from '../split/keyring.ts'
import { flagsOf, makeRoom } from '../targets/cli.ts'

const COMMAND: Command = { data: 'mine.txt', share: false, client: null, name: undefined, url: 'ws://10.0.0.1:7700' }

/** A disk with a home; `held` are the names that living processes hold. */
function openHome(held = new Set<string>()): Disk {
  const disk = createDisk()
  disk.place('/user/.keep', new Uint8Array(0))
  disk.config = '/user/config'
  disk.hold = async (path) => !held.has(path) && held.add(path).size > 0
  return disk
}

/** A process's device: it lives as long as `held` says so. */
const open = (disk: Disk, command: Partial<Command> = {}, path?: string) => openIdentity(createMemoryHost(disk), { ...COMMAND, ...command }, path)

test('the same command is the same device, another command another', async () => {
  const held = new Set<string>()
  const disk = openHome(held)
  const first = await open(disk)
  assert.match(first.note!, new RegExp(`^key ${first.key.public} made in /user/config/keys/[0-9a-f]{16}\\.json$`))
  held.clear()
  const again = await open(disk)
  assert.equal([again.key.public, again.note], [first.key.public, null])
  held.clear()
  assert.is((await open(disk, { data: '/mine.txt', url: 'ws://10.0.0.1:7700/' })).key.public, first.key.public)
  const others: Partial<Command>[] = [{ data: 'other.txt' }, { data: undefined }, { client: 0 }, { name: 'x' }, { share: true }, { url: 'ws://10.0.0.1:7701' }]
  const keys = [first.key.public]
  for (const other of others) {
    held.clear()
    keys.push((await open(disk, other)).key.public)
  }
  assert.is(new Set(keys).size, keys.length)
})

test('processes of one command have a key each, and whoever comes again finds the one that nobody holds', async () => {
  const held = new Set<string>()
  const disk = openHome(held)
  const keys = []
  for (let process = 0; process < 3; process++) keys.push((await open(disk)).key.public)
  assert.is(new Set(keys).size, 3)
  const [, second] = [...held]
  held.delete(second)
  assert.is((await open(disk)).key.public, keys[1])
})

test('a key outlasts a power cut as soon as it is used', async () => {
  const disk = openHome()
  const { key } = await open(disk)
  const after = disk.cut('synced')
  Object.assign(after, { config: disk.config })
  assert.is((await open(after)).key.public, key.public)
})

test('a damaged key is refused by its path and never shown, never replaced', async () => {
  const disk = openHome()
  await open(disk, {}, '/user/own.json')
  const text = new TextDecoder().decode(await disk.read('/user/own.json'))
  const { ed25519 } = JSON.parse(text) as { ed25519: string }
  const damaged = [
    '', '{}', 'null', text.slice(0, -5), text.replace(ed25519.slice(0, 4), ed25519[0] === '0' ? '1111' : '0000'), text.replace('"public":"', '"public":"0'),
  ]
  for (const [index, content] of damaged.entries()) {
    const own = openHome()
    own.place('/user/own.json', new TextEncoder().encode(content))
    const { code, field, message } = await refusalOf(open(own, {}, '/user/own.json'))
    assert.equal([code, field], ['key-file', '/user/own.json'], String(index))
    assert.not.match(message, /[0-9a-f]{16}/)
    assert.is(new TextDecoder().decode(await own.read('/user/own.json')), content)
  }
})

test('--key: one process alone; a place that takes nothing is refused', async () => {
  const disk = openHome()
  await open(disk, {}, '/user/own.json')
  assert.is((await refusalOf(open(disk, { data: 'other.txt' }, '/user/own.json'))).code, 'key-held')
  const full = openHome()
  full.write = () => Promise.reject(Object.assign(new Error('full'), { code: 'ENOSPC' }))
  assert.is((await refusalOf(open(full, {}, '/user/own.json'))).code, 'file-write')
})

test('without a home, or on a disk that takes nothing, a key lives as long as its command and says so', async () => {
  for (const change of [
    (disk: Disk) => { disk.config = undefined },
    (disk: Disk) => { disk.write = () => Promise.reject(Object.assign(new Error('full'), { code: 'EROFS' })) },
    (disk: Disk) => { disk.makeDirectory = () => Promise.reject(Object.assign(new Error('no'), { code: 'EACCES' })) },
  ]) {
    const disk = openHome()
    change(disk)
    const [one, two] = [await open(disk), await open(disk, { name: 'b' })]
    assert.is.not(one.key.public, two.key.public)
    assert.match(one.note!, /known until the command ends; --key FILE keeps it$/)
  }
})

test('hosts whose chance is alike have keys of their own', async () => {
  const poor = createDisk()
  const host = { ...createMemoryHost(poor), entropy: { fill: () => {} } }
  const keys = await Promise.all(['a', 'b'].map(async (name) => (await openIdentity(host, { ...COMMAND, name }, undefined)).key.public))
  assert.is.not(keys[0], keys[1])
})

test('an address with an invitation: what is dialled has none', () => {
  assert.equal(readAddress('ws://h:1'), { url: 'ws://h:1' })
  assert.equal(readAddress('ws://h:1/?invite=abc'), { url: 'ws://h:1/', invitation: 'abc' })
  assert.equal(readAddress('wss://h/path?a=1&invite=abc&b=2'), { url: 'wss://h/path?a=1&b=2', invitation: 'abc' })
  assert.equal(readAddress('ws://h:1?invite='), { url: 'ws://h:1' })
  assert.equal(readAddress(writeAddress({ url: 'ws://h:1', invitation: 'x' })), { url: 'ws://h:1/', invitation: 'x' })
  for (const host of ['localhost', '127.0.0.1', '127.9.9.9', '::1', '[::1]']) assert.ok(isLoopback(host), host)
  for (const host of ['0.0.0.0', '::', '192.168.1.2', 'localhost.example', '127.0.0.1.example', '1270.0.0.1', '']) assert.not.ok(isLoopback(host), host)
})

const ASKED = { host: '127.0.0.1', keys: undefined, invite: false, resume: false, out: '/out' }

test('open on loopback alone; elsewhere an invitation makes itself, and is the same after the server was killed', async () => {
  const host = createMemoryHost(createDisk())
  const local = await openAdmission(host, ASKED, 2)
  assert.equal([local.open, local.invitation], [true, null])
  await local.begin()
  assert.is(await host.files.kind('/out'), 'none')
  const far = await openAdmission(host, { ...ASKED, host: '0.0.0.0' }, 2)
  assert.is(far.open, false)
  assert.match(far.invitation!, /^[0-9a-f]{32}$/)
  await far.begin()
  await far.keep(new Map([[keyOf(1).public, 1]]))
  const again = await openAdmission(host, { ...ASKED, host: '0.0.0.0', resume: true }, 2)
  assert.equal([again.invitation, [...again.roll]], [far.invitation, [[keyOf(1).public, 1]]])
  // Another run in the same place has another invitation, and knows nobody.
  const other = await openAdmission(host, { ...ASKED, host: '0.0.0.0' }, 2)
  assert.is.not(other.invitation, far.invitation)
  await other.begin()
  assert.is((await openAdmission(host, { ...ASKED, host: '0.0.0.0', resume: true }, 2)).roll.size, 0)
})

test('rolls that are saved at once end as the last of them', async () => {
  const host = createMemoryHost(createDisk())
  const admission = await openAdmission(host, { ...ASKED, invite: true }, 3)
  const rolls = [0, 1, 2].map((count) => new Map(Array.from({ length: count + 1 }, (_, client): [string, number] => [keyOf(client).public, client])))
  await Promise.all([admission.begin(), ...rolls.map((roll) => admission.keep(roll))])
  assert.equal((await openAdmission(host, { ...ASKED, invite: true, resume: true }, 3)).roll, rolls[2])
})

test('a list of keys: comments, and what is no key by its line; a key off the list loses its number', async () => {
  const host = createMemoryHost(createDisk())
  const place = (text: string) => host.files.place('/keys', new TextEncoder().encode(text))
  const [a, b, c] = [0, 1, 2].map((number) => keyOf(number).public)
  place(`# gateways\n\n${a}  # roof\r\n${b.toUpperCase()}\n`)
  assert.equal(await readKeys(host.files, '/keys'), new Set([a, b]))
  const admission = await openAdmission(host, { ...ASKED, keys: '/keys' }, 2)
  assert.equal([admission.open, admission.invitation, admission.listed], [false, null, new Set([a, b])])
  await admission.keep(new Map([[a, 0], [c, 1]]))
  assert.equal([...(await openAdmission(host, { ...ASKED, keys: '/keys', resume: true }, 2)).roll], [[a, 0]])
  assert.is((await refusalOf(openAdmission(host, { ...ASKED, keys: '/keys' }, 3))).code, 'keys-count')
  for (const bad of ['x', a.slice(1), `${a} roof`, `${a}${a}`]) {
    place(`${a}\n${bad}\n`)
    assert.equal((({ code, field }) => [code, field])(await refusalOf(openAdmission(host, { ...ASKED, keys: '/keys' }, 1))), ['keys-file', '/keys:2'])
  }
  assert.is((await refusalOf(openAdmission(host, { ...ASKED, keys: '/none' }, 1))).code, 'file-missing')
})

test('a damaged roll is refused by its path', async () => {
  const key = keyOf(0).public
  for (const text of ['', '[]', '{}', '{"invitation":1,"devices":{}}', '{"invitation":null,"devices":{"x":0}}', `{"invitation":null,"devices":{"${key}":"0"}}`,
    `{"invitation":null,"devices":{"${key}":-1}}`, `{"invitation":null,"devices":{"${key}":0,"${keyOf(1).public}":0}}`]) {
    const host = createMemoryHost(createDisk())
    host.files.place('/out/checkpoint/devices.json', new TextEncoder().encode(text))
    assert.ok((await refusalOf(openAdmission(host, { ...ASKED, resume: true }, 2))).field.startsWith('/out/checkpoint/devices.json'), text)
    assert.ok(await openAdmission(host, ASKED, 2))
  }
})

const room = makeRoom()
const HERE = { model: '/model', data: '/train.txt', tile: '4x8' }
const RUN = { val: '/val.txt', clients: 2, cuts: '1,2', steps: 4, interval: 2, batch: 4 }

function openHost(network = createMemoryNetwork()): MemoryHost {
  const disk = createDisk()
  placeAssets(disk)
  copyToDisk(disk, room.at, '')
  disk.config = '/config'
  return createMemoryHost(disk, network)
}

test('kerf serve --invite and kerf join: by the address that is printed, and by no other', async () => {
  const network = createMemoryNetwork()
  const server = openHost(network)
  const served = runProgram(server, ['serve', '--invite', ...flagsOf({ ...HERE, ...RUN, port: 7700 })])
  while (!/kerf join/.test(server.shown())) await server.clock.turn()
  const address = /kerf join (\S+) --data/.exec(server.shown())![1]
  assert.match(address, /^ws:\/\/127\.0\.0\.1:7700\/\?invite=[0-9a-f]{32}$/)
  for (const wrong of ['ws://127.0.0.1:7700', `${address}0`]) {
    const stranger = openHost(network)
    assert.is(await runProgram(stranger, ['join', wrong, ...flagsOf(HERE)]), 2)
    const told = /^kerf: hello: expected a device that this run takes, got another; this device's key is [0-9a-f]{64}\n$/
    assert.match(stranger.shown(), told)
  }
  const devices = [openHost(network), openHost(network)]
  const joined = devices.map((host) => runProgram(host, ['join', address, ...flagsOf(HERE)]))
  assert.equal(await Promise.all([served, ...joined]), [0, 0, 0], server.shown())
  for (const host of devices) {
    assert.match(host.shown(), /key [0-9a-f]{64} made in \/config\/keys\//)
    assert.not.ok(host.shown().includes('invite'))
  }
  assert.equal([server, ...devices].flatMap((host) => host.leaks()), [])
})

test.run()
