/** `kerf train` killed and gone on with `--resume`: the same bytes as a run left alone, and no file lost by a call that is refused. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { appendFileSync, cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Report } from '../../runtime/report/report.ts'
import { createRandom } from '../../runtime/random.ts'
import { makeTinyData } from '../tiny.ts'
import {
  LABELS, adapterFile, callKerf, checkpointFile, flagsOf, killAll, makeRoom, metricsFile, pause,
  readFiles, readMetrics, readResult, startKerf,
} from './cli.ts'

const { at, model, data, val } = makeRoom()
// Neither checkpoints nor measurements fall on every aggregation.
const BASE = {
  model, data, val, clients: 3, cuts: '1,2,3', steps: 22, interval: 4, batch: 4, lr: 0.01, 'eval-every': 6, 'checkpoint-every': 3,
}

test.after.each(killAll)

type More = Readonly<Record<string, string | number | boolean>>

const call = (name: string, more: More = {}) => ['train', ...flagsOf({ ...BASE, out: join(at, name), ...more })]

/** How far a run says that it is, in per cent; below 0 before it trains. */
function percentOf(stderr: string): number {
  return Number([...stderr.matchAll(/(\d+) % \d+\/\d+/g)].at(-1)?.[1] ?? -1)
}

const KILLS: Readonly<Record<string, number>> = { kerf: 5, sl: 5, central: 2, splitlora: 2, sfl: 1, fl: 1 }

for (const [index, [scheme, kills]] of Object.entries(KILLS).entries()) {
  test(`${scheme} killed ${kills} times`, async () => {
    const random = createRandom(1, 'shuffle', index)
    await callKerf(call(scheme, { scheme }))
    // Rising, so that each run gets beyond the one before; lines come at every tenth of the work.
    const percents = Array.from({ length: kills }, () => 80 * random.uniform()).sort((a, b) => a - b)
    const name = `${scheme}-killed`
    let stopped = 0
    for (const [kill, percent] of percents.entries()) {
      const run = startKerf(call(name, { scheme, resume: kill > 0 }))
      await run.when(() => percentOf(run.stderr()) >= percent)
      await pause(30 * random.uniform())
      run.kill()
      if ((await run.ended).exitCode === null) stopped++
    }
    assert.ok(stopped > 0, 'every run had ended before it was killed')
    await callKerf(call(name, { scheme, resume: true }))
    assert.equal(readResult(join(at, name)), readResult(join(at, scheme)))
    const report = JSON.parse(readFileSync(join(at, name, 'report.json'), 'utf8')) as Report
    const whole = JSON.parse(readFileSync(join(at, scheme, 'report.json'), 'utf8')) as Report
    for (const field of ['losses', 'evaluations', 'accuracyAfter', 'macroF1After'] as const) {
      assert.equal(report.schemes[0][field], whole.schemes[0][field], field)
    }
  })
}

test('stopped after the last checkpoint, before the last measurement and the adapter', async () => {
  for (const scheme of Object.keys(KILLS)) {
    const whole = readResult(join(at, scheme))
    const out = join(at, `${scheme}-late`)
    cpSync(join(at, scheme), out, { recursive: true })
    rmSync(adapterFile(out))
    // A killed process may leave half a line.
    writeFileSync(metricsFile(out), whole.metrics.replace(/\{"event":"eval".*\n$/, '{"event":"eval","rou'))
    await callKerf(call(`${scheme}-late`, { scheme, resume: true }))
    assert.equal(readResult(out), whole, scheme)
  }
})

test('resumed with the other build, another measuring pace and no validation', async () => {
  const out = join(at, 'mixed')
  const run = startKerf(call('mixed', { steps: 22, build: 'scalar' }))
  assert.ok(await run.when(() => existsSync(checkpointFile(out))))
  run.kill()
  await run.ended
  await callKerf(call('mixed', { resume: true, 'eval-every': 1, 'deadline-seconds': 5 }))
  assert.is(readResult(out).adapter, readResult(join(at, 'kerf')).adapter)
})

test('a list of schemes goes on where it stopped', async () => {
  const run = startKerf(call('list', { scheme: 'kerf,central,fl' }))
  await run.until(/central: loss/)
  run.kill()
  await run.ended
  const { stderr } = await callKerf(call('list', { scheme: 'kerf,central,fl', resume: true }))
  assert.match(stderr, /going on from round 22 of 22/)
  for (const scheme of ['kerf', 'central', 'fl']) assert.equal(readResult(join(at, 'list', scheme)), readResult(join(at, scheme)))
})

test('without a checkpoint it begins, and says so', async () => {
  const { stderr } = await callKerf(call('begin', { resume: true }))
  assert.match(stderr, /no checkpoint in .*begin\/checkpoint: starting from the beginning\n/)
  assert.equal(readResult(join(at, 'begin')), readResult(join(at, 'kerf')))
})

test('a new call without --resume begins anew', async () => {
  await callKerf(call('begin', { seed: 2, steps: 4 }))
  assert.is(readMetrics(join(at, 'begin')).filter(({ event }) => event === 'step').length, 12)
  await callKerf(call('begin'))
  assert.equal(readResult(join(at, 'begin')), readResult(join(at, 'kerf')))
})

/** A call that must be refused with one line and leave every file as it was. */
async function expectRefusal(name: string, more: More, message: RegExp): Promise<void> {
  const out = join(at, name)
  const before = readFiles(out)
  const { stdout, stderr } = await callKerf(call(name, { resume: true, ...more }), 2)
  assert.is(stdout, '')
  assert.match(stderr, message)
  assert.is(stderr.trimEnd().split('\n').length, 1, stderr)
  assert.equal(readFiles(out), before)
}

test('other settings are refused by name', async () => {
  const other = join(at, 'other.txt')
  makeTinyData(other, 48, LABELS, 9)
  const cases: [More, string][] = [
    [{ seed: 2 }, 'seed: expected 2 as in this call, got "1"'], [{ steps: 30 }, 'steps: expected 30'], [{ batch: 5 }, 'batch: '],
    [{ lr: 0.02 }, 'learningRate: expected 0.02'], [{ rank: 4 }, 'adapter: '], [{ cuts: '1,2,2' }, 'cuts: '],
    [{ scheme: 'sfl' }, 'scheme: expected "sfl"'],
    [{ codec: 'f16' }, 'codec: '], [{ partition: 'iid' }, 'partition: '], [{ data: other }, 'dataCrc: '],
    [{ 'no-shuffle': true }, 'shuffle: '],
    [{ adapter: join(at, 'sl') }, 'adapterCrc: '],
  ]
  for (const [more, text] of cases) await expectRefusal('kerf', more, new RegExp(`^kerf: .*kerf/checkpoint/round\\.safetensors\\.${text}`))
})

test('a damaged checkpoint is refused by name', async () => {
  cpSync(join(at, 'kerf'), join(at, 'damaged'), { recursive: true })
  const file = checkpointFile(join(at, 'damaged'))
  const whole = readFileSync(file)
  const flipped = (index: number) => Uint8Array.from(whole, (byte, place) => (place === index ? byte ^ 1 : byte))
  const swapped = Buffer.from(whole.toString('latin1').replace('"step":"22"', '"step":"12"'), 'latin1')
  const cases: [Uint8Array, RegExp][] = [
    [flipped(whole.length - 5), /\.crc: expected/], [swapped, /\.crc: expected/], [whole.subarray(0, whole.length - 1), /cut short/],
    [whole.subarray(0, 100), /header: expected/], [new Uint8Array(0), /at least 8 bytes/], [Buffer.concat([whole, whole]), /bytes of data/],
    [Buffer.from('not a checkpoint at all'), /header: expected/], [readFileSync(adapterFile(join(at, 'kerf'))), /\.crc: expected/],
  ]
  for (const [bytes, message] of cases) {
    writeFileSync(file, bytes)
    await expectRefusal('damaged', {}, new RegExp(`damaged/checkpoint/round\\.safetensors.*${message.source}`))
  }
  writeFileSync(file, whole)
})

test('metrics that someone has damaged cost lines, not the run', async () => {
  cpSync(join(at, 'kerf'), join(at, 'lines'), { recursive: true })
  appendFileSync(metricsFile(join(at, 'lines')), 'null\n{"event":"other"}\n{"event":"step","round":"1"}\n')
  await callKerf(call('lines', { resume: true }))
  assert.equal(readResult(join(at, 'lines')), readResult(join(at, 'kerf')))
})

test.run()
