/**
 * Every setting of a run, one by one: with another value a checkpoint is refused by name where it decides bits, and goes on
 * to the same bytes where it does not.
 */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { runProgram } from '../../runtime/program/program.ts'
import type { RUN_SETTINGS } from '../../runtime/program/run.ts'
import { SETTINGS, flagOf } from '../../runtime/program/settings.ts'
import { SCHEME_NAMES } from '../../runtime/split/scheme.ts'
import type { Disk } from '../host/disk.ts'
import { createDisk } from '../host/disk.ts'
import type { MemoryHost } from '../host/memory.ts'
import { copyToDisk, createMemoryHost, placeAssets } from '../host/memory.ts'
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
  targets: 'all', batch: 5, lr: 0.02, weightDecay: 0.1, maxLength: 31, truncate: true, interval: 4, steps: 9, epochs: 3, codec: 'f16', seed: 2,
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
async function interrupted(): Promise<Disk> {
  const disk = openDisk()
  let checkpoints = 0, cut = () => {}
  const power = new Promise<void>((resolve) => { cut = resolve })
  disk.beforeChange = async (call, path) => {
    if (call === 'rename' && path.endsWith('round.safetensors')) checkpoints++
    if (checkpoints < 5) return
    cut()
    await new Promise<never>(() => {})
  }
  void run(disk, BASE)
  await power
  return disk.cut()
}

const whole = openDisk()
assert.is((await run(whole, BASE)).exitCode, 0)
const expected = adapterOf(whole)
const midway = await interrupted()
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

test.run()
