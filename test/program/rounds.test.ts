/** Checkpoints on disk: the newest in its place, those before it behind, whatever happens between. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { KerfError, refuse } from '../../runtime/error.ts'
import { openRounds } from '../../runtime/program/rounds.ts'
import type { Disk } from '../host/disk.ts'
import { createDisk } from '../host/disk.ts'
import { refusalOf } from '../refusal.ts'

const AT = '/out/checkpoint'
const bytesOf = (number: number) => Uint8Array.of(number, number, number)

async function saveAll(disk: Disk, keep: number, numbers: readonly number[]): Promise<void> {
  const rounds = openRounds(disk, AT, keep)
  for (const number of numbers) await rounds.save(bytesOf(number), () => {})
}

const filesOf = (disk: Disk) => Object.fromEntries([...disk.list(AT)].map(([path, [first]]) => [path, first]))

test('the last K are kept, the newest under the name that a run goes on from', async () => {
  for (const [keep, expected] of [
    [1, { 'round.safetensors': 5 }], [2, { 'round.1.safetensors': 4, 'round.safetensors': 5 }],
    [3, { 'round.1.safetensors': 4, 'round.2.safetensors': 3, 'round.safetensors': 5 }],
  ] as const) {
    const disk = createDisk()
    await saveAll(disk, keep, [1, 2, 3, 4, 5])
    assert.equal(filesOf(disk), expected)
  }
})

test('power cut before any change of a save: the newest is one of the last two, and it is found', async () => {
  for (const survives of ['synced', 'entries'] as const) {
    for (let cutAt = 1; ; cutAt++) {
      const disk = createDisk()
      await saveAll(disk, 3, [1, 2, 3])
      const before = disk.changes
      let power = () => {}
      const gone = new Promise<void>((resolve) => { power = resolve })
      disk.beforeChange = async () => {
        if (disk.changes < before + cutAt) return
        power()
        await new Promise<never>(() => {})
      }
      const ended = await Promise.race([saveAll(disk, 3, [4]).then(() => true), gone.then(() => false)])
      const kept = disk.cut(survives)
      const found = await openRounds(kept, AT, 3).read()
      assert.ok(found && [3, 4].includes(found.bytes[0]), `${survives}, change ${cutAt}`)
      if (ended) {
        assert.is(found.bytes[0], 4)
        break
      }
    }
  }
})

test('a save that fails leaves the newest where it can be found, and says so by name', async () => {
  for (const failing of ['write', 'sync', 'rename'] as const) {
    const disk = createDisk()
    await saveAll(disk, 2, [1, 2])
    disk.beforeChange = async (call) => { if (call === failing) throw Object.assign(new Error('full'), { code: 'ENOSPC' }) }
    const { code, message } = await refusalOf(saveAll(disk, 2, [3]))
    assert.is(code, 'file-write')
    assert.match(message, /round\.safetensors/)
    assert.is((await openRounds(disk, AT, 2).read())!.bytes[0], 2, failing)
  }
})

test('a damaged newest is refused, and the one before it is named; another run\'s is not', async () => {
  const disk = createDisk()
  await saveAll(disk, 2, [1, 2])
  const rounds = openRounds(disk, AT, 2)
  const round = (await rounds.read())!
  const explain = (code: string) => refusalOf(rounds.explain(round, async () => refuse(code, `${round.field}.crc`, '1', '2')))
  const { code, message } = await explain('checkpoint-crc')
  assert.is(code, 'checkpoint-crc')
  assert.match(message, /^\/out\/checkpoint\/round\.safetensors\.crc: expected 1, got "2"; \/out\/checkpoint\/round\.1\.safetensors is the one before it/)
  assert.not.match((await explain('checkpoint-run')).message, /round\.1/)
  const alone = createDisk()
  await saveAll(alone, 1, [1])
  const only = openRounds(alone, AT, 1)
  const refusal = await refusalOf(only.explain(await only.read(), async () => refuse('checkpoint-crc', `${round.field}.crc`, '1', '2')))
  assert.not.match(refusal.message, /before it/)
  assert.instance(refusal, KerfError)
})

test('without the newest, where the power went between two renames, a run goes on from the one before', async () => {
  const disk = createDisk()
  await saveAll(disk, 2, [1, 2])
  await disk.remove(`${AT}/round.safetensors`)
  assert.equal(await openRounds(disk, AT, 2).read(), { bytes: bytesOf(1), field: `${AT}/round.1.safetensors` })
  assert.is(await openRounds(createDisk(), AT, 2).read(), undefined)
})

test.run()
