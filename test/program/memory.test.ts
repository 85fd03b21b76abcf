/** Whole commands on a host in memory: no file on disk, nothing left open, and nothing lost when its power is cut. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { runProgram } from '../../runtime/program/program.ts'
import { createRandom } from '../../runtime/random.ts'
import type { Disk } from '../host/disk.ts'
import { createDisk } from '../host/disk.ts'
import type { MemoryHost } from '../host/memory.ts'
import { copyToDisk, createMemoryHost, createMemoryNetwork, placeAssets } from '../host/memory.ts'
import { adapterFile, callKerf, flagsOf, makeRoom, metricsFile } from '../targets/cli.ts'

const room = makeRoom()
const RUN = { clients: 3, cuts: '1,2,3', steps: 6, interval: 4, batch: 4, lr: 0.01, tile: '4x8', 'eval-every': 2, 'keep-checkpoints': 1 }
const HERE = { model: '/model', data: '/train.txt', val: '/val.txt' }
const train = (more: Readonly<Record<string, string | number | boolean>> = {}) => ['train', ...flagsOf({ ...HERE, ...RUN, ...more })]

function openDisk(): Disk {
  const disk = createDisk()
  placeAssets(disk)
  copyToDisk(disk, room.model, HERE.model)
  disk.place(HERE.data, new Uint8Array(readFileSync(room.data)))
  disk.place(HERE.val, new Uint8Array(readFileSync(room.val)))
  return disk
}

async function run(disk: Disk, args: readonly string[], exitCode = 0): Promise<MemoryHost> {
  const host = createMemoryHost(disk)
  const ended = await runProgram(host, args)
  assert.is(ended, exitCode, host.shown())
  assert.equal(host.leaks(), [])
  return host
}

const hashOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
/** The files that two equal runs share, by hash; a report holds times. */
const resultOf = (disk: Disk) => Object.fromEntries(
  [...disk.list('/out')].filter(([path]) => !path.startsWith('report')).map(([path, bytes]) => [path, hashOf(bytes)]))

const whole = openDisk()
await run(whole, train())
const result = resultOf(whole)

test('kerf train in memory leaves the bytes that it leaves on disk', async () => {
  const out = join(room.at, 'out')
  await callKerf(['train', ...flagsOf({ ...RUN, model: room.model, data: room.data, val: room.val, out })])
  assert.equal(Object.keys(result).sort(), [
    'adapter_config.json', 'adapter_model.safetensors', 'checkpoint/round.safetensors', 'labels.json', 'metrics.jsonl',
  ])
  assert.is(result['adapter_model.safetensors'], hashOf(readFileSync(adapterFile(out))))
  assert.is(result['metrics.jsonl'], hashOf(readFileSync(metricsFile(out))))
})

test('every scheme leaves nothing open', async () => {
  for (const scheme of ['sl', 'sfl', 'splitlora', 'fl', 'central']) {
    const disk = openDisk()
    await run(disk, train({ scheme }))
    assert.ok(disk.list('/out').has('adapter_model.safetensors'), scheme)
  }
})

test('kerf eval, infer, plan and export in memory', async () => {
  const { printed } = await run(whole, ['eval', '--model', HERE.model, '--adapter', 'out', '--data', HERE.val, '--json', '--tile', '4x8'])
  const { rows, accuracy } = JSON.parse(printed()) as { rows: number; accuracy: number }
  assert.is(rows, 20)
  const report = JSON.parse(new TextDecoder().decode(whole.list('/out').get('report.json'))) as { schemes: { accuracyAfter: number }[] }
  assert.is(accuracy, report.schemes[0].accuracyAfter)
  assert.match((await run(whole, ['infer', '--model', HERE.model, '--adapter', 'out', '--text', 'the rain falls'])).printed(), /^\w+ +0\.\d{4}\n/)
  assert.match((await run(whole, ['plan', '--model', HERE.model, '--clients', '2', '--cuts', '1'])).printed(), /^model: 4 blocks/)
  await run(whole, ['export', '--model', HERE.model, '--adapter', 'out', '--merge', '--out', '/merged'])
  assert.ok(whole.list('/merged').has('model.safetensors'))
})

test('a refused call leaves nothing open either', async () => {
  const calls: Readonly<Record<string, string | number>>[] = [
    { data: '/none.txt' }, { model: '/none' }, { adapter: '/model' }, { labels: 'a,b' }, { memory: '64KB' }, { clients: 49, cuts: 1 },
  ]
  for (const more of calls) {
    await run(openDisk(), train(more), 2)
  }
})

test('kerf serve and kerf join in memory give the bytes of kerf train', async () => {
  const network = createMemoryNetwork()
  const server = createMemoryHost(openDisk(), network)
  const served = runProgram(server, ['serve', ...flagsOf({ ...HERE, ...RUN, port: 7700, 'checkpoint-every': 1 })])
  while (network.listeners.size === 0) await server.clock.turn()
  const devices = [0, 1, 2].map(() => createMemoryHost(openDisk(), network))
  const joined = devices.map((host, client) => runProgram(host, [
    'join', 'ws://127.0.0.1:7700', ...flagsOf({ model: HERE.model, data: HERE.data, share: true, client, tile: '4x8' }),
  ]))
  assert.equal(await Promise.all([served, ...joined]), [0, 0, 0, 0], server.shown() + devices.map((host) => host.shown()).join(''))
  assert.equal([server, ...devices].flatMap((host) => host.leaks()), [])
  assert.is(resultOf(server.files)['adapter_model.safetensors'], result['adapter_model.safetensors'])
})

/** A run whose power is cut before its n-th change of the disk; null where it ended before. */
async function cutAt(n: number, args: readonly string[], disk: Disk, survives: 'synced' | 'entries'): Promise<Disk | null> {
  let cut = () => {}
  const power = new Promise<void>((resolve) => { cut = resolve })
  disk.beforeChange = async () => {
    if (disk.changes < n) return
    cut()
    await new Promise<never>(() => {})
  }
  const ended = runProgram(createMemoryHost(disk), args).then(() => 'ended' as const)
  if (await Promise.race([ended, power]) === 'ended') return null
  return disk.cut(survives)
}

const changesOfRun = whole.changes

test('power cut at any change: going on gives the same bytes', async () => {
  const random = createRandom(1, 'shuffle')
  assert.ok(changesOfRun > 60, String(changesOfRun))
  const moments = Array.from({ length: 24 }, () => 1 + random.below(60))
  for (const [index, moment] of moments.entries()) {
    const survives = index % 2 === 0 ? 'synced' : 'entries'
    let disk = await cutAt(moment, train(), openDisk(), survives)
    // And again while it goes on.
    if (disk) disk = await cutAt(1 + random.below(20), train({ resume: true }), disk, survives) ?? disk
    assert.ok(disk, `${moment}: expected a run that goes on, got its end`)
    await run(disk, train({ resume: true }))
    assert.equal(resultOf(disk), result, `cut before change ${moment}, ${survives}`)
  }
})

test('power cut with older checkpoints kept: going on gives the same bytes, and what is there can be read', async () => {
  const random = createRandom(2, 'shuffle')
  const own = (files: Record<string, string>) => Object.fromEntries(Object.entries(files).filter(([name]) => !/round\.\d/.test(name)))
  for (let index = 0; index < 12; index++) {
    const disk = await cutAt(8 + random.below(60), train({ 'keep-checkpoints': 3 }), openDisk(), index % 2 === 0 ? 'synced' : 'entries')
    assert.ok(disk)
    await run(disk, train({ resume: true, 'keep-checkpoints': 3 }))
    assert.equal(own(resultOf(disk)), own(result), String(index))
  }
})

/** What a run that has ended with success still holds after the power is cut. */
async function outlast(weaken: (disk: Disk) => void, survives: 'synced' | 'entries'): Promise<Record<string, string>> {
  const disk = openDisk()
  weaken(disk)
  await run(disk, train())
  return resultOf(disk.cut(survives))
}

test('what a run says it has saved outlasts a power cut', async () => {
  for (const survives of ['synced', 'entries'] as const) assert.equal(await outlast(() => {}, survives), result, survives)
})

test('a program that forgot to sync a file, or its directory, would lose it here', async () => {
  const skip = async () => {}
  assert.is.not((await outlast((disk) => { disk.sync = skip }, 'entries'))['adapter_model.safetensors'], result['adapter_model.safetensors'])
  assert.not.equal(await outlast((disk) => { disk.sync = skip }, 'synced'), result)
  assert.not.equal(await outlast((disk) => { disk.syncDirectory = skip }, 'synced'), result)
})

test.run()
