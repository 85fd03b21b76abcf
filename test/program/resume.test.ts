/**
 * Every setting of a run, and every one of a device, one by one: with another value a checkpoint, or the device, is refused by name
 * where it decides bits, and goes on to the same bytes where it does not.
 */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { BROUGHT_BY } from '../../runtime/program/command/join.ts'
import { runProgram } from '../../runtime/program/program.ts'
import type { RUN_SETTINGS } from '../../runtime/program/run.ts'
import { SETTINGS, flagOf } from '../../runtime/program/settings.ts'
import { SCHEME_NAMES } from '../../runtime/split/scheme.ts'
import type { Disk } from '../host/disk.ts'
import { createDisk } from '../host/disk.ts'
import type { MemoryHost, MemoryNetwork } from '../host/memory.ts'
import { copyToDisk, createMemoryHost, createMemoryNetwork, placeAssets } from '../host/memory.ts'
import { missingRelaxed } from '../kernels.ts'
import { flagsOf, makeRoom } from '../targets/cli.ts'
import { makeTinyData, makeTinyModel } from '../tiny.ts'

const room = makeRoom()
const LABELS = ['anger', 'fear', 'joy']
makeTinyModel(join(room.at, 'wider'), { intermediate: 64 })
makeTinyData(join(room.at, 'other.txt'), 48, LABELS, 9)

const BASE = {
  model: '/model', data: '/train.txt', val: '/val.txt', clients: 3, cuts: '1,2,3', steps: 8, interval: 3, batch: 4, lr: 0.01, tile: '4x8', out: '/out',
  'checkpoint-every': 1,
}

type Name = (typeof RUN_SETTINGS)[number] | 'scheme' | 'memory'
type Values = Readonly<Record<string, string | number | boolean>>

/** Another value for each setting; a new setting must be given one here. */
const OTHER = {
  scheme: 'sfl', model: '/wider', profile: 'fast', build: 'scalar', tile: '6x8', threads: 2, dtype: 'int8', recompute: true, memory: '1GB',
  data: '/other.txt', val: '/other.txt', labels: 'joy,fear,anger', clients: 2, cuts: '1,2,2', partition: 'iid', scheduler: 'fifo', rank: 4, alpha: 3,
  targets: 'all', batch: 5, lr: 0.02, lrSchedule: 'cosine', warmup: 0.5,
  maxGradNorm: 0.01, weightDecay: 0.1, maxLength: 31, truncate: true, interval: 4, steps: 9, epochs: 3, codec: 'f16', seed: 2,
  noShuffle: true, adapter: '/start', evalEvery: 1, checkpointEvery: 2, keepCheckpoints: 3, average: 'median',
  clip: 1, patience: 9, deadlineSeconds: 5, out: '/elsewhere', resume: false, json: true,
} as const satisfies Record<Name, string | number | boolean>

function openDisk(): Disk {
  const disk = createDisk()
  placeAssets(disk)
  copyToDisk(disk, room.model, '/model')
  copyToDisk(disk, join(room.at, 'wider'), '/wider')
  for (const [from, to] of [[room.data, '/train.txt'], [room.val, '/val.txt'], [join(room.at, 'other.txt'), '/other.txt']]) {
    disk.place(to, new Uint8Array(readFileSync(from)))
  }
  return disk
}

async function run(disk: Disk, values: Values): Promise<MemoryHost & { exitCode: number }> {
  const host = createMemoryHost(disk)
  return { ...host, exitCode: await runProgram(host, ['train', ...flagsOf(values)]) }
}

const adapterOf = (disk: Disk, out = '/out') => Buffer.from(disk.list(out).get('adapter_model.safetensors') ?? []).toString('base64')

/** The disk as it is when a run's power goes while it writes its fifth checkpoint, in the second interval. */
async function interrupted(begin: (disk: Disk) => unknown): Promise<Disk> {
  const disk = openDisk()
  let checkpoints = 0, cut = () => {}
  const power = new Promise<void>((resolve) => { cut = resolve })
  disk.beforeChange = async (call, path) => {
    if (call === 'rename' && path.endsWith('round.safetensors')) checkpoints++
    if (checkpoints < 5) return
    cut()
    await new Promise<never>(() => {})
  }
  void begin(disk)
  await power
  return disk.cut()
}

const whole = openDisk()
assert.is((await run(whole, BASE)).exitCode, 0)
const expected = adapterOf(whole)
const midway = await interrupted((disk) => run(disk, BASE))
for (const [path, bytes] of whole.list('/out')) if (/^(adapter_|labels)/.test(path)) midway.place(`/start/${path}`, bytes)
for (const [path, bytes] of midway.list('/out')) midway.place(`/elsewhere/${path}`, bytes)

/** A setting that decides bits names the field of the record that a checkpoint keeps. */
function keptOf(name: Name): string | null {
  // Where the host can't fuse, both profiles compute the same and the run goes on.
  return name === 'profile' && missingRelaxed() !== undefined ? null : SETTINGS[name].kept
}

for (const [name, value] of Object.entries(OTHER) as [Name, string | number | boolean][]) {
  const kept = keptOf(name)
  test(`--${flagOf(name)} ${value}: ${kept === null ? 'goes on to the same bytes' : `refused by ${kept}`}`, async () => {
    const { steps, ...rest } = BASE
    const base: Values = name === 'epochs' ? rest : { ...rest, steps }
    const disk = midway.cut()
    const { exitCode, shown, files } = await run(disk, { ...base, resume: true, [flagOf(name)]: value })
    if (kept === null) {
      assert.is(exitCode, 0, shown())
      if (name !== 'resume') assert.match(shown(), /going on from round 4 of 8/)
      assert.is(adapterOf(files, name === 'out' ? '/elsewhere' : '/out'), expected)
    } else {
      assert.is(exitCode, 2, shown())
      assert.match(shown(), new RegExp(`^kerf: /out/checkpoint/round\\.safetensors\\.${kept}: expected .+ as in this call, got .+\\n$`))
      assert.equal([...disk.list('/out')], [...midway.list('/out')])
    }
  })
}

test('the same settings go on, in every scheme', async () => {
  for (const scheme of SCHEME_NAMES) {
    const disk = openDisk()
    assert.is((await run(disk, { ...BASE, scheme })).exitCode, 0)
    const { exitCode, shown } = await run(disk, { ...BASE, scheme, resume: true })
    assert.is(exitCode, 0, shown())
    assert.match(shown(), /going on from round \d+ of/)
  }
})

type JoinName = keyof typeof BROUGHT_BY
type TlsName = 'tlsCert' | 'tlsKey' | 'tlsCa'

/** What the smallest half takes: a device is told by its own refusal. */
const LEAST = 'the least'

/** Another value for each setting of a device; a new one must be given one here. What TLS asks for is who speaks, not what it says. */
const OTHER_OF_DEVICE = {
  address: 'ws://127.0.0.1:1/', model: '/twin', profile: 'fast', build: 'scalar', tile: '6x8', threads: 2, dtype: 'f16', recompute: true, memory: LEAST,
  data: '/other.txt', share: true, client: 'any', key: '/twin.json', name: 'another', retrySeconds: 5,
} as const satisfies Record<Exclude<JoinName, TlsName>, string | number | boolean>

const SERVED = { ...BASE, clients: 2, cuts: '1,3', port: 1 }
const DEVICE = { address: 'ws://127.0.0.1:1', model: '/model', data: '/train.txt', key: '/key.json', tile: '4x8' }

type Ended = MemoryHost & { exitCode: number }

async function runOn(network: MemoryNetwork, disk: Disk, args: readonly string[]): Promise<Ended> {
  const host = createMemoryHost(disk, network)
  return { ...host, exitCode: await runProgram(host, args) }
}

/** Serves on `network`; resolves once devices can reach it. */
async function openServer(network: MemoryNetwork, disk: Disk, more: Values = {}): Promise<{ ended: Promise<Ended> }> {
  const ended = runOn(network, disk, ['serve', ...flagsOf({ ...SERVED, ...more })])
  const { clock } = createMemoryHost(disk, network)
  while (network.listeners.size === 0) await clock.turn()
  return { ended }
}

function joinOn(network: MemoryNetwork, disk: Disk, client: number, more: Values = {}): Promise<Ended> {
  const { address, ...flags }: Values = { ...DEVICE, client, ...more }
  return runOn(network, disk, ['join', String(address), ...flagsOf(flags)])
}

/** A device's disk from its first start on: it keeps its key. */
function openDeviceDisk(): Disk {
  const disk = openDisk()
  copyToDisk(disk, room.model, '/twin')
  return disk
}

const served = openDisk()
{
  const network = createMemoryNetwork()
  const server = await openServer(network, served)
  const joined = await Promise.all([0, 1].map((client) => joinOn(network, openDeviceDisk(), client)))
  assert.equal([await server.ended, ...joined].map(({ exitCode }) => exitCode), [0, 0, 0])
}

const deviceDisks = [openDeviceDisk(), openDeviceDisk()]
const servedMidway = await interrupted(async (disk) => {
  const network = createMemoryNetwork()
  await openServer(network, disk)
  deviceDisks.forEach((own, client) => void joinOn(network, own, client))
})
for (const disk of deviceDisks) disk.place('/twin.json', await disk.read('/key.json'))

/** The other value as a flag; the least memory is what a device without any says that it needs. */
async function valueOf(name: keyof typeof OTHER_OF_DEVICE, network: MemoryNetwork): Promise<string | number | boolean> {
  const value = OTHER_OF_DEVICE[name]
  if (value !== LEAST) return value
  const { shown } = await joinOn(network, deviceDisks[1].cut(), 1, { memory: '1B' })
  return `${/expected at least (\d+) bytes/.exec(shown())![1]}B`
}

for (const name of Object.keys(OTHER_OF_DEVICE) as (keyof typeof OTHER_OF_DEVICE)[]) {
  // Where the host can't fuse, both profiles compute the same and the device is taken.
  const brought = name === 'profile' && missingRelaxed() !== undefined ? null : BROUGHT_BY[name]
  test(`join --${flagOf(name)} ${OTHER_OF_DEVICE[name]}: ${brought === null ? 'taken, the same bytes' : `refused by ${brought}`}`, async () => {
    const network = createMemoryNetwork()
    const server = await openServer(network, servedMidway.cut(), { resume: true })
    const first = joinOn(network, deviceDisks[0].cut(), 0)
    const changed = await valueOf(name, network)
    const device = joinOn(network, deviceDisks[1].cut(), 1, { [name === 'address' ? name : flagOf(name)]: changed })
    if (brought !== null) {
      const { exitCode, shown } = await device
      assert.is(exitCode, 2, shown())
      assert.match(shown(), new RegExp(`^kerf: ready\\.share\\.${brought}: expected \\w+, got "?\\w+"?\\n$`, 'm'))
    }
    const second = brought === null ? device : joinOn(network, deviceDisks[1].cut(), 1)
    const ended = await Promise.all([server.ended, first, second])
    assert.equal(ended.map(({ exitCode }) => exitCode), [0, 0, 0], ended.map(({ shown }) => shown()).join(''))
    assert.match(ended[0].shown(), /going on from round 4 of 8/)
    assert.is(adapterOf(ended[0].files), adapterOf(served))
    if (brought !== null) assert.match(ended[0].shown(), new RegExp(`device 1 brings another ${brought} than before: \\w+ for \\w+`))
  })
}

test.run()
