/** `kerf serve` killed and gone on with `--resume`: each device must bring again what decides its bits, and nothing else. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { RELAXED_FLAGS, missingRelaxed } from '../kernels.ts'
import { skipTest } from '../skip.ts'
import { makeTinyData } from '../tiny.ts'
import type { Process } from './cli.ts'
import { LABELS, PROGRAM, adapterFile, flagsOf, killAll, makeRoom, startKerf, startProcess } from './cli.ts'

const { at, model, val } = makeRoom()
const BASE = {
  model, val, clients: 2, cuts: '1,3', steps: 100, interval: 20, batch: 4, lr: 0.01, labels: LABELS.join(','), 'checkpoint-every': 1,
  'deadline-seconds': 60,
}
const FILES = [0, 1].map((device) => join(at, `mine.${device}.txt`))
const writeFiles = () => FILES.forEach((file, device) => makeTinyData(file, 16, LABELS, 3 + device))
writeFiles()

test.after.each(killAll)

type More = Readonly<Record<string, string | number | boolean>>
type Serving = { process: Process; url: string; port: string }

async function serve(name: string, more: More = {}): Promise<Serving> {
  const process = startKerf(['serve', ...flagsOf({ ...BASE, port: 0, out: join(at, name), ...more })])
  const [, url, port] = await process.until(/listening on (ws:\/\/[^ :]+:(\d+))/)
  return { process, url, port }
}

/** Always the same command but for `more`: by its key, which its file's name and the address find again, it is the same device. */
const deviceArgs = (url: string, device: number, more: More) => ['join', url, ...flagsOf({ model, data: FILES[device], client: device, ...more })]
const device = (url: string, number: number, more: More = {}) => startKerf(deviceArgs(url, number, more))

async function expectEnd(...runs: readonly Process[]): Promise<void> {
  for (const { ended } of runs) {
    const { exitCode, stderr } = await ended
    assert.is(exitCode, 0, stderr)
  }
}

const bytesOf = (name: string) => readFileSync(adapterFile(join(at, name))).toString('base64')

let made: Promise<{ port: string; expected: string }> | undefined

/** A run left alone, and another that was killed in its midst, which lies in `killed`; every device joined on `port`. */
const prepare = () => (made ??= (async () => {
  const alone = await serve('alone')
  await expectEnd(device(alone.url, 0), device(alone.url, 1), alone.process)
  const { process, url, port } = await serve('killed')
  const devices = [device(url, 0), device(url, 1)]
  await process.until(/[2-9]\d %/)
  for (const party of [process, ...devices]) party.kill()
  const [{ exitCode }] = await Promise.all([process, ...devices].map(({ ended }) => ended))
  assert.is(exitCode, null, 'the run had ended before it was killed')
  return { port, expected: bytesOf('alone') }
})())

async function resume(name: string): Promise<Serving & { expected: string }> {
  const { port, expected } = await prepare()
  cpSync(join(at, 'killed'), join(at, name), { recursive: true })
  return { ...(await serve(name, { resume: true, port })), expected }
}

/** The device ends with one line that names the field, and the server's log has it too. */
async function expectRefusal({ process }: Serving, refused: Process, field: string, values: string): Promise<void> {
  const { exitCode, stderr } = await refused.ended
  assert.is(exitCode, 2, stderr)
  assert.match(stderr, new RegExp(`^kerf: ready\\.share\\.${field}: expected ${values}$`, 'm'))
  assert.match(process.stderr(), new RegExp(`device 1 brings another ${field} than before: `))
}

test('other data, another dtype: refused by name, and the run goes on with the device as it was', async () => {
  const server = await resume('refused')
  const first = device(server.url, 0)
  // The same command and path: the file has changed.
  writeFileSync(FILES[1], readFileSync(FILES[1], 'utf8').replace(/^.*\n/, 'the old house waits;joy\n'))
  await expectRefusal(server, device(server.url, 1), 'dataCrc', '\\d+, got \\d+')
  writeFiles()
  await expectRefusal(server, device(server.url, 1, { dtype: 'int8' }), 'dtype', 'f32, got "int8"')
  await expectEnd(device(server.url, 1), first, server.process)
  assert.match(server.process.stderr(), /going on from round \d+ of 100/)
  assert.is(bytesOf('refused'), server.expected)
})

test('another profile: refused by name', async () => {
  const lacks = missingRelaxed()
  if (lacks) return skipTest(lacks)
  const server = await resume('fast')
  const first = device(server.url, 0)
  const fast = startProcess(process.execPath, [...RELAXED_FLAGS, PROGRAM, ...deviceArgs(server.url, 1, { profile: 'fast' })])
  await expectRefusal(server, fast, 'profile', 'strict, got "fast"')
  await expectEnd(device(server.url, 1), first, server.process)
  assert.is(bytesOf('fast'), server.expected)
})

test('less or more memory for the same bits: taken, the same bytes', async () => {
  const server = await resume('memory')
  await expectEnd(device(server.url, 0, { memory: '1GB' }), device(server.url, 1, { recompute: true, build: 'scalar' }), server.process)
  assert.is(bytesOf('memory'), server.expected)
})

test.run()
