/** --out that holds an earlier result: kept whole under a name that is said, or left where it is; never lost, whenever the power goes. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readFileSync } from 'node:fs'
import { runProgram } from '../../runtime/program/program.ts'
import type { Disk } from '../host/disk.ts'
import { createDisk } from '../host/disk.ts'
import { copyToDisk, createMemoryHost, placeAssets } from '../host/memory.ts'
import { flagsOf, makeRoom } from '../targets/cli.ts'

const room = makeRoom()
type Values = Readonly<Record<string, string | number | boolean>>
const BASE = {
  model: '/model', data: '/train.txt', val: '/val.txt', clients: 2, cuts: '1,2', steps: 4, interval: 2, batch: 4, tile: '4x8', out: '/out',
}

function openDisk(): Disk {
  const disk = createDisk()
  placeAssets(disk)
  copyToDisk(disk, room.model, '/model')
  for (const [from, to] of [[room.data, '/train.txt'], [room.val, '/val.txt']]) disk.place(to, new Uint8Array(readFileSync(from)))
  return disk
}

async function call(disk: Disk, command: string, values: Values, exitCode = 0): Promise<string> {
  const host = createMemoryHost(disk)
  assert.is(await runProgram(host, [command, ...flagsOf(values)]), exitCode, host.shown())
  assert.equal(host.leaks(), [])
  return host.shown()
}

const train = (disk: Disk, more: Values = {}, exitCode = 0) => call(disk, 'train', { ...BASE, ...more }, exitCode)
const textOf = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString('base64')
/** Files below a directory but those that were moved aside. */
const filesOf = (disk: Disk, at: string) => Object.fromEntries(
  [...disk.list(at)].filter(([path]) => !path.startsWith('earlier-')).map(([path, bytes]) => [path, textOf(bytes)]))

const once = openDisk()
await train(once)
const first = filesOf(once, '/out')

test('another run: the earlier result is kept whole under a name that is said', async () => {
  const disk = once.cut()
  for (const [number, seed] of [[1, 2], [2, 3]]) {
    const before = filesOf(disk, '/out')
    const shown = await train(disk, { seed })
    const told = `/out holds an earlier result: it is kept in /out/earlier-${number}`
    assert.is(shown.split('\n').filter((line) => line === told).length, 1, shown)
    assert.equal(filesOf(disk, `/out/earlier-${number}`), before)
    assert.not.equal(filesOf(disk, '/out')['adapter_model.safetensors'], before['adapter_model.safetensors'])
  }
  assert.equal(filesOf(disk, '/out/earlier-1'), first)
})

test('several schemes, and one beside them', async () => {
  const disk = once.cut()
  await train(disk, { scheme: 'kerf,fl' })
  assert.equal(filesOf(disk, '/out/earlier-1'), first)
  const several = filesOf(disk, '/out')
  assert.ok('kerf/adapter_model.safetensors' in several && 'fl/checkpoint/round.safetensors' in several && 'report.json' in several)
  assert.not.ok('adapter_model.safetensors' in several)
  await train(disk, { scheme: 'sl' })
  assert.equal(filesOf(disk, '/out/earlier-2'), several)
})

test('a run that goes on, one that is refused, and one that nobody could go on from move nothing', async () => {
  const disk = once.cut()
  assert.not.match(await train(disk, { resume: true }), /earlier/)
  await train(disk, { seed: 9, resume: true }, 2)
  await train(disk, { data: '/none.txt' }, 2)
  const { 'report.json': _, 'report.html': __, ...rest } = filesOf(disk, '/out')
  for (const [path, text] of Object.entries(rest)) assert.is(text, first[path], path)
  const early = openDisk()
  early.place('/out/metrics.jsonl', new TextEncoder().encode('{"event":"step"}\n'))
  early.place('/out/notes.txt', new TextEncoder().encode('mine'))
  assert.not.match(await train(early), /earlier/)
  assert.ok(early.list('/out').has('notes.txt'))
})

test('--resume without a checkpoint begins anew, and an unfinished run is a result too', async () => {
  const disk = once.cut()
  for (const name of ['round', 'round.1']) await disk.remove(`/out/checkpoint/${name}.safetensors`)
  assert.match(await train(disk, { resume: true, seed: 4 }), /earlier-1/)
  assert.is(filesOf(disk, '/out/earlier-1')['adapter_model.safetensors'], first['adapter_model.safetensors'])
  const unfinished = once.cut()
  for (const name of Object.keys(first)) if (name !== 'checkpoint/round.safetensors') await unfinished.remove(`/out/${name}`)
  assert.match(await train(unfinished), /earlier-1/)
  assert.is(filesOf(unfinished, '/out/earlier-1')['checkpoint/round.safetensors'], first['checkpoint/round.safetensors'])
})

test('files of others in --out stay where they are', async () => {
  const disk = once.cut()
  disk.place('/out/notes.txt', new TextEncoder().encode('mine'))
  disk.place('/out/earlier-1/notes.txt', new TextEncoder().encode('mine'))
  assert.match(await train(disk, { seed: 2 }), /\/out\/earlier-2\n/)
  assert.ok(disk.list('/out').has('notes.txt') && disk.list('/out/earlier-1').size === 1)
})

test('power cut at any change: the earlier adapter, checkpoint and metrics are in one of two places', async () => {
  const probe = once.cut()
  await train(probe, { seed: 2 })
  const kept = [
    'adapter_model.safetensors', 'adapter_config.json', 'labels.json', 'metrics.jsonl', 'report.json', 'checkpoint/round.safetensors',
  ]
  for (let moment = 1; moment <= probe.changes; moment++) {
    for (const survives of ['synced', 'entries'] as const) {
      const disk = once.cut()
      let cut = () => {}
      const power = new Promise<void>((resolve) => { cut = resolve })
      disk.beforeChange = async () => {
        if (disk.changes < moment) return
        cut()
        await new Promise<never>(() => {})
      }
      await Promise.race([runProgram(createMemoryHost(disk), ['train', ...flagsOf({ ...BASE, seed: 2 })]), power])
      const after = disk.cut(survives)
      const here = filesOf(after, '/out'), aside = filesOf(after, '/out/earlier-1')
      const lost = kept.filter((name) => ![here[name], aside[name]].includes(first[name]))
      assert.equal(lost, [], `cut before change ${moment}, ${survives}`)
      if (survives === 'synced' && moment % 7 === 0) await train(after, { seed: 2 })
    }
  }
})

test('export: over itself nothing moves, over another result it does', async () => {
  const disk = once.cut()
  const take = (more: Values) => call(disk, 'export', { model: '/model', adapter: '/out', out: '/given', tile: '4x8', ...more })
  assert.is(await take({}), '')
  assert.is(await take({}), '')
  const before = filesOf(disk, '/given')
  await train(disk, { seed: 2 })
  assert.is(await take({}), '/given holds an earlier result: it is kept in /given/earlier-1\n')
  assert.equal(filesOf(disk, '/given/earlier-1'), before)
  await take({ merge: true, out: '/merged' })
  const merged = filesOf(disk, '/merged')
  assert.match(await take({ merge: true, out: '/merged', adapter: '/out/earlier-1' }), /\/merged\/earlier-1\n$/)
  assert.equal(filesOf(disk, '/merged/earlier-1'), merged)
  // A run's directory as a place for another adapter: the run goes aside as a whole.
  const run = filesOf(disk, '/out')
  await take({ out: '/out', adapter: '/given/earlier-1' })
  assert.equal(filesOf(disk, '/out/earlier-2'), run)
})

test("what a run leaves is its owner's alone; a merged model is as the host has it", async () => {
  const accesses = (at: string, disk: Disk) => [...disk.accesses(at)].filter(([, access]) => access !== 'owner').map(([path]) => path)
  const disk = once.cut()
  await train(disk, { seed: 2, scheme: 'kerf,central' })
  assert.equal(accesses('/out', disk), [])
  await call(disk, 'export', { model: '/model', adapter: '/out/kerf', out: '/given', tile: '4x8' })
  assert.equal(accesses('/given', disk), [])
  await call(disk, 'export', { model: '/model', adapter: '/out/kerf', out: '/merged', merge: true, tile: '4x8' })
  assert.is(accesses('/merged', disk).length, disk.accesses('/merged').size)
})

test.run()
