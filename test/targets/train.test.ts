/** `kerf train` as a stranger calls it: every scheme, what it prints and leaves, and which flags must not change a bit. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Report } from '../../runtime/report/report.ts'
import { decodeSafetensors } from '../../runtime/wire/safetensors.ts'
import type { Outcome } from '../command.ts'
import { distance } from '../distance.ts'
import { LABELS, adapterFile, callKerf, checkpointFile, flagsOf, makeRoom, readMetrics, readResult, startProcess, SHELL_CALL } from './cli.ts'

const SCHEMES = ['kerf', 'sl', 'sfl', 'splitlora', 'fl', 'central']
const CLIENTS = 3, STEPS = 5, INTERVAL = 2

const { at, model, data, val } = makeRoom()
const BASE = { model, data, val, clients: CLIENTS, cuts: '1,2,3', steps: STEPS, interval: INTERVAL, batch: 4, lr: 0.01, 'eval-every': 2 }

type More = Readonly<Record<string, string | number | boolean>>

/** Trains into `name` and returns what it printed. */
function train(name: string, more: More = {}): Promise<Outcome> {
  return callKerf(['train', ...flagsOf({ ...BASE, out: join(at, name), ...more })])
}

/** As train, for the adapter's bytes. */
async function adapterOf(name: string, more: More = {}): Promise<string> {
  await train(name, more)
  return readResult(join(at, name)).adapter
}

function readReport(out: string): Report {
  return JSON.parse(readFileSync(join(out, 'report.json'), 'utf8')) as Report
}

function checkPlain({ stdout, stderr }: Outcome): void {
  for (const text of [stdout, stderr]) assert.not.match(text, /[\r\x1b]/)
  const line = /^( {0,2}\d+ % \d+\/\d+.* (kerf|sl|sfl|splitlora|fl|central): |kernel simd, tile \d+x\d+, 1 thread$)/
  const told = stderr.trimEnd().split('\n').filter((text) => text !== 'labels of the new head, sorted: anger, fear, joy')
  for (const text of told) assert.match(text, line)
}

function checkMetrics(out: string, clients: number, steps: number, interval: number): void {
  const lines = readMetrics(out)
  const stepLines = lines.filter(({ event }) => event === 'step')
  const expected = Array.from({ length: steps }, (_, round) => Array.from({ length: clients }, (__, client) => `${round}/${client}`)).flat()
  assert.equal(stepLines.map(({ round, client }) => `${round}/${client}`).sort(), expected.sort())
  for (const line of stepLines) {
    assert.equal(Object.keys(line), ['event', 'round', 'client', 'step', 'loss'])
    assert.is(line.step, line.round)
    assert.ok(line.loss > 0 && line.loss < 5, String(line.loss))
  }
  const measured = lines.filter(({ event }) => event === 'eval')
  assert.equal(lines.length, stepLines.length + measured.length)
  assert.equal(measured.map(({ round }) => round), [interval, 2 * interval, steps])
  for (const { accuracy, macroF1, loss } of measured) assert.ok(accuracy >= 0 && accuracy <= 1 && macroF1 >= 0 && macroF1 <= 1 && loss > 0)
}

function checkAdapter(out: string): void {
  const { tensors } = decodeSafetensors(readFileSync(adapterFile(out)))
  // Query and value of four blocks, A and B, and the head.
  assert.is(tensors.size, 4 * 2 * 2 + 2)
  assert.equal([...tensors.get('base_model.model.classifier.weight')!.shape], [3, 32])
  const config = JSON.parse(readFileSync(join(out, 'adapter_config.json'), 'utf8')) as Record<string, unknown>
  assert.equal([config.r, config.lora_alpha, config.peft_type], [8, 16, 'LORA'])
  assert.equal(JSON.parse(readFileSync(join(out, 'labels.json'), 'utf8')), LABELS)
  decodeSafetensors(readFileSync(checkpointFile(out)))
}

test('every scheme in one call leaves an adapter, metrics, a report and a checkpoint; plain lines when piped', async () => {
  const outcome = await train('all', { scheme: 'all' })
  checkPlain(outcome)
  assert.match(outcome.stdout, /scheme +before -> after/)
  assert.match(outcome.stdout, /report\.html shows curves/)
  const report = readReport(join(at, 'all'))
  assert.equal(report.schemes.map(({ scheme }) => scheme), SCHEMES)
  for (const scheme of report.schemes) {
    const out = join(at, 'all', scheme.scheme)
    const central = scheme.scheme === 'central'
    checkMetrics(out, central ? 1 : CLIENTS, central ? STEPS * CLIENTS : STEPS, central ? INTERVAL * CLIENTS : INTERVAL)
    checkAdapter(out)
    assert.is(scheme.losses.length, STEPS * CLIENTS)
    assert.is(scheme.devices.reduce((sum, { samples }) => sum + samples, 0), 48)
    assert.is(scheme.evaluations.at(-1)!.accuracy, scheme.accuracyAfter)
    assert.ok(scheme.devices.every(({ drops, steps }) => drops === 0 && steps > 0))
  }
  assert.match(readFileSync(join(at, 'all', 'report.html'), 'utf8'), /^<!doctype html>/i)
})

test('the other build, scheme by scheme, gives the same adapters and the same metrics', async () => {
  for (const scheme of SCHEMES) {
    await train(`scalar-${scheme}`, { scheme, build: 'scalar' })
    assert.equal(readResult(join(at, `scalar-${scheme}`)), readResult(join(at, 'all', scheme)), scheme)
  }
})

test('kerf, sfl and fl are one computation, and so is every order of the server', async () => {
  const { adapter } = readResult(join(at, 'all', 'kerf'))
  assert.is(readResult(join(at, 'all', 'sfl')).adapter, adapter)
  assert.is(readResult(join(at, 'all', 'fl')).adapter, adapter)
  for (const scheduler of ['fifo', 'longest-tail']) {
    await train(scheduler, { scheduler })
    assert.equal(readResult(join(at, scheduler)), readResult(join(at, 'all', 'kerf')), scheduler)
  }
  assert.is.not(readResult(join(at, 'all', 'splitlora')).adapter, adapter)
})

test('one client: every cut of every scheme is the whole model', async () => {
  const central = await adapterOf('one-central', { clients: 1, scheme: 'central' })
  for (const cuts of [1, 2, 3]) assert.is(await adapterOf(`one-${cuts}`, { clients: 1, cuts }), central, `cut ${cuts}`)
  for (const scheme of ['sl', 'splitlora']) assert.is(await adapterOf(`one-${scheme}`, { clients: 1, cuts: 2, scheme }), central, scheme)
})

test('--json prints the report and nothing else; without --val nothing is measured', async () => {
  const { val: _, ...unmeasured } = BASE
  const { stdout, stderr } = await callKerf(['train', ...flagsOf({ ...unmeasured, out: join(at, 'json'), json: true })])
  assert.equal(JSON.parse(stdout), readReport(join(at, 'json')))
  const [{ accuracyBefore, accuracyAfter, majorityAccuracy, evaluations }] = readReport(join(at, 'json')).schemes
  assert.equal([accuracyBefore, accuracyAfter, majorityAccuracy, evaluations], [null, null, null, []])
  assert.not.match(stderr, /accuracy/)
  assert.is(readMetrics(join(at, 'json')).length, STEPS * CLIENTS)
  const { stdout: table } = await callKerf(['train', ...flagsOf({ ...unmeasured, out: join(at, 'json') })])
  assert.match(table, /^kerf +- -> +- +- /m)
  assert.not.match(table, /NaN|commonest/)
})

test('a written adapter goes on, with the same bits, as if there had been no stop', async () => {
  // 16 samples a device, 4 a step: in file order step 4 meets the batch of step 0 again, and moments end with the interval.
  const order = { partition: 'contiguous', 'no-shuffle': true, interval: 4 }
  const whole = await adapterOf('whole', { ...order, steps: 8 })
  await train('half', { ...order, steps: 4 })
  const half = readReport(join(at, 'half')).schemes[0]
  const rest = { ...order, steps: 4, adapter: join(at, 'half') }
  assert.is(await adapterOf('rest', rest), whole)
  assert.is(readReport(join(at, 'rest')).schemes[0].accuracyBefore, half.accuracyAfter)
  // With the file's order and an adapter to begin with, nothing is left to chance.
  assert.is(await adapterOf('rest-2', { ...rest, seed: 2 }), whole)
  await callKerf(['export', '--model', model, '--adapter', join(at, 'half'), '--out', join(at, 'copy')])
  assert.equal(readFileSync(adapterFile(join(at, 'copy'))), readFileSync(adapterFile(join(at, 'half'))))
})

test("training begins with the model's own head, in half precision too", async () => {
  const [from, merged] = [join(at, 'f32'), join(at, 'merged')]
  await train('f32')
  await callKerf(['export', '--model', model, '--adapter', from, '--merge', '--dtype', 'f16', '--out', merged])
  // A rate that moves nothing: what comes out is what training began with.
  await train('head', { model: merged, steps: 1, lr: 1e-20 })
  const head = (out: string) => new Float32Array(Uint8Array.from(
    decodeSafetensors(readFileSync(adapterFile(out))).tensors.get('base_model.model.classifier.weight')!.data).buffer)
  assert.ok(distance(head(join(at, 'head')), head(from)) < 1e-3)
  assert.is.not(head(join(at, 'head'))[0], head(from)[0])
})

test('rank, alpha, targets and label order come from the adapter', async () => {
  await train('own', { steps: 2, rank: 3, alpha: 5, targets: 'key,up', labels: 'joy,anger,fear' })
  await train('own-2', { steps: 2, adapter: join(at, 'own') })
  const { adapter, labels } = readReport(join(at, 'own-2'))
  assert.equal(adapter, { rank: 3, alpha: 5, targets: ['key', 'up'] })
  assert.equal(labels, ['joy', 'anger', 'fear'])
})

test('lines, JSONL and CSV of the same rows are the same data', async () => {
  const rows = readFileSync(data, 'utf8').trimEnd().split('\n').map((line) => line.split(';'))
  const [jsonl, numbers, csv, windows] = ['rows.jsonl', 'numbers.jsonl', 'rows.csv', 'windows.txt'].map((name) => join(at, name))
  writeFileSync(jsonl, rows.map(([text, label]) => `${JSON.stringify({ text, label })}\n`).join(''))
  writeFileSync(numbers, rows.map(([text, label]) => `${JSON.stringify({ label: LABELS.indexOf(label), text })}\n`).join(''))
  writeFileSync(csv, `id,label,text\n${rows.map(([text, label], id) => `${id},${label},"${text}"\n`).join('')}`)
  writeFileSync(windows, `\uFEFF${rows.map((row) => `${row.join(';')}\r\n`).join('')}`)
  const { adapter } = readResult(join(at, 'all', 'kerf'))
  for (const [name, file] of Object.entries({ jsonl, csv, windows })) assert.is(await adapterOf(name, { data: file }), adapter, name)
  assert.is(await adapterOf('numbers', { data: numbers, labels: LABELS.join() }), adapter)
})

test('codecs change the bytes on the wire, and the result a little', async () => {
  const losses = (name: string) => readMetrics(join(at, name)).filter(({ event }) => event === 'step').map(({ loss }) => loss)
  const bytes = (name: string) => readReport(join(at, name)).schemes[0].devices.reduce((sum, { upBytes }) => sum + upBytes, 0)
  await train('f32')
  const exact = losses('f32')
  let larger = bytes('f32')
  for (const [codec, tolerance] of [['f16', 1e-3], ['int8', 0.05]] as const) {
    const adapter = await adapterOf(codec, { codec })
    assert.is.not(adapter, readResult(join(at, 'f32')).adapter)
    losses(codec).forEach((loss, index) => assert.ok(Math.abs(loss - exact[index]) < tolerance, `${codec}: ${loss} ${exact[index]}`))
    assert.ok(bytes(codec) < larger)
    larger = bytes(codec)
    assert.is(await adapterOf(`${codec}-2`, { codec, build: 'scalar' }), adapter)
  }
})

test('--epochs counts passes over all data, --seed and the partition change the run', async () => {
  const { steps: _, ...without } = BASE
  await callKerf(['train', ...flagsOf({ ...without, epochs: 1.5, out: join(at, 'epochs') })])
  // 1.5 · 48 samples over 3 devices of 4 a step.
  assert.is(readReport(join(at, 'epochs')).schemes[0].rounds, 6)
  const { adapter } = readResult(join(at, 'f32'))
  for (const [name, value] of [['seed', 2], ['partition', 'iid'], ['weight-decay', 0.5]] as const) {
    assert.is.not(await adapterOf(`other-${name}`, { [name]: value }), adapter, name)
  }
})

test('writes to a pipe that closes early end quietly, and stdout that is full is told', async () => {
  const command = `${SHELL_CALL} train --json ${flagsOf({ ...BASE, steps: 2, out: join(at, 'pipe') }).join(' ')}`
  const { exitCode, stdout, stderr } = await startProcess('bash', ['-c', `${command} | head -c 1; exit \${PIPESTATUS[0]}`]).ended
  assert.is(stdout, '{')
  assert.is(exitCode, 0, stderr)
  assert.not.match(stderr, /Error|at /)
  if (!existsSync('/dev/full')) return
  const full = await startProcess('bash', ['-c', `${command} > /dev/full`]).ended
  assert.is(full.exitCode, 1)
  assert.match(full.stderr, /\nkerf: (stdout: expected room to write, got ENOSPC|host: expected what this takes, got "ENOSPC: .*")\n$/)
})

test.run()
