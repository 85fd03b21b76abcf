/** Devices that come back as themselves: processes that are killed and started again by the same plain command. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { scriptArgs } from '../../scripts/runtime.ts'
import { killAtRandom } from '../../scripts/trouble/kills.ts'
import { holdName } from '../../targets/node/hold.ts'
import { makeTinyData } from '../tiny.ts'
import type { Process } from './cli.ts'
import { LABELS, adapterFile, flagsOf, killAll, makeRoom, startKerf } from './cli.ts'

const { at, model, data, val } = makeRoom()
const BASE = { model, data, val, clients: 2, cuts: '1,3', steps: 60, interval: 20, batch: 4, lr: 0.01, labels: LABELS.join(',') }

test.after.each(killAll)

type More = Readonly<Record<string, string | number | boolean>>

async function serve(name: string, more: More = {}): Promise<{ process: Process; url: string; address: string }> {
  const process = startKerf(['serve', ...flagsOf({ ...BASE, port: 0, out: join(at, name), ...more })])
  const [, url, address] = await process.until(/listening on (\S+) for \d devices: kerf join (\S+) --data/)
  return { process, url, address }
}

const plain = (address: string, more: More = {}) => startKerf(['join', address, ...flagsOf({ model, data, ...more })])

async function expectEnd(...runs: readonly Process[]): Promise<void> {
  for (const run of runs) {
    const { exitCode, stderr } = await run.ended
    assert.is(exitCode, 0, stderr)
  }
}

test('killed at random and started again by the same plain command: the same bytes', async () => {
  const files = [0, 1, 2].map((device) => {
    const file = join(at, `mine.${device}.txt`)
    makeTinyData(file, 16, LABELS, 3 + device)
    return ['--model', model, '--data', file]
  })
  const { steps, clients, ...flags } = BASE
  const place = join(at, 'kills')
  mkdirSync(place)
  const report = await killAtRandom({
    at: place, kills: 6, seed: 3, steps: 5 * steps, delayMs: 50, joins: files, serve: flagsOf({ ...flags, cuts: '1,2,3', 'deadline-seconds': 60 }),
  })
  assert.is(report.got, report.expected, JSON.stringify(report))
  assert.is(report.killed.reduce((sum, count) => sum + count, 0), 6)
  assert.ok(clients < files.length)
})

test('two processes of one command on one machine are two devices', async () => {
  const { process, address } = await serve('twins')
  await expectEnd(plain(address), plain(address), process)
  assert.is(Object.keys((JSON.parse(readFileSync(join(at, 'twins', 'checkpoint', 'devices.json'), 'utf8')) as { devices: object }).devices).length, 2)
  assert.match(process.stderr(), /anybody who reaches this address may join/)
})

test('an invitation outlasts the server, and a device that has joined needs it no more', async () => {
  const first = await serve('invited', { invite: true, steps: 120, 'checkpoint-every': 1 })
  assert.match(first.address, /\?invite=[0-9a-f]{32}$/)
  const devices = [plain(first.address), plain(first.address)]
  await first.process.until(/[1-9]\d %/)
  first.process.kill()
  devices[1].kill()
  await Promise.all([first.process.ended, devices[1].ended])
  const second = await serve('invited', { invite: true, steps: 120, 'checkpoint-every': 1, resume: true, port: new URL(first.url).port })
  assert.is(second.address, first.address)
  // The same key, by the address alone.
  devices[1] = plain(first.url)
  await expectEnd(...devices, second.process)
  assert.ok(existsSync(adapterFile(join(at, 'invited'))))
})

test('a list of keys: a device reads its own from the refusal, joins once it is on the list, and shares it with nobody', async () => {
  const list = join(at, 'devices.txt')
  const keys = [0, 1].map((device) => join(at, `gateway.${device}.json`))
  writeFileSync(list, `${'00'.repeat(31)}01\n${'00'.repeat(31)}02 # nobody's\n`)
  const closed = await serve('closed', { keys: list })
  const told = await Promise.all(keys.map((key) => plain(closed.url, { key }).ended))
  closed.process.kill()
  const known = told.map(({ stderr }) => /got another; this device's key is ([0-9a-f]{64})\n$/.exec(stderr)![1])
  writeFileSync(list, known.join('\n'))
  const { process, url } = await serve('listed', { keys: list })
  const first = plain(url, { key: keys[0] })
  await first.when(() => existsSync(join(at, 'listed', 'checkpoint', 'devices.json')))
  const twin = await plain(url, { key: keys[0] }).ended
  assert.is(twin.exitCode, 2)
  assert.match(twin.stderr, /^kerf: --key: expected a key that no other running device uses, got /)
  assert.is((await plain(url).ended).exitCode, 2)
  await expectEnd(first, plain(url, { key: keys[1] }), process)
})

/** A process that holds a name until it is killed. */
async function holder(path: string) {
  const program = join(at, 'holder.mts')
  writeFileSync(program, `import { holdName } from ${JSON.stringify(new URL('../../targets/node/hold.ts', import.meta.url).href)}
    console.log(await holdName(${JSON.stringify(path)})); setInterval(() => {}, 1000)
`)
  const child = spawn(process.execPath, scriptArgs(program), { stdio: ['ignore', 'pipe', 'inherit'] })
  process.once('exit', () => child.kill('SIGKILL'))
  const [said] = await once(child.stdout, 'data') as [Buffer]
  return { child, held: String(said).trim() === 'true' }
}

test('a name is held by a living process, also by one that stands still, and by nobody after a kill', async () => {
  const path = join(at, 'name.lock')
  const first = await holder(path)
  assert.ok(first.held)
  assert.not.ok(await holdName(path))
  process.kill(first.child.pid!, 'SIGSTOP')
  assert.not.ok(await holdName(path))
  const second = await holder(path)
  assert.not.ok(second.held)
  process.kill(first.child.pid!, 'SIGKILL')
  await once(first.child, 'close')
  assert.ok(existsSync(path), 'a dead process leaves its socket')
  assert.ok(await holdName(path))
  assert.not.ok(await holdName(path))
  process.kill(second.child.pid!, 'SIGKILL')
  // Nothing else is left there, and a place that can hold no socket holds nobody off.
  assert.equal(readdirSync(at).filter((name) => name.startsWith('name.lock')), ['name.lock'])
  assert.ok(await holdName(join(at, 'no', 'such', 'place')))
})

test.run()
