/** One rule for the names of a head's rows in every command, and data that can be read but once. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runProgram } from '../../runtime/program/program.ts'
import type { Disk } from '../host/disk.ts'
import { createDisk } from '../host/disk.ts'
import type { MemoryHost } from '../host/memory.ts'
import { copyToDisk, createMemoryHost, createMemoryNetwork, placeAssets } from '../host/memory.ts'
import { flagsOf, makeRoom } from '../targets/cli.ts'
import { makeTinyAdapter, makeTinyModel } from '../tiny.ts'

const ROWS = ['joy', 'anger', 'fear']
const room = makeRoom()
const config = makeTinyModel(join(room.at, 'named'), { labels: ROWS })
makeTinyModel(join(room.at, 'unnamed'), { labels: ['LABEL_0', 'LABEL_1', 'LABEL_2'] })
makeTinyAdapter(join(room.at, 'adapter'), config, { rank: 2, alpha: 4, targets: ['query'] }, ROWS)
writeFileSync(join(room.at, 'adapter', 'labels.json'), '["joy","anger","fear"]')

const lines = readFileSync(room.val, 'utf8').trimEnd().split('\n').map((line) => line.split(';'))
const bytesOf = (text: string) => new TextEncoder().encode(text)
const withLabels = (name: (row: number) => string | number) => (
  lines.map(([text, label]) => `${text};${name(ROWS.indexOf(label))}\n`).join(''))
const DATA = {
  '/words.txt': withLabels((row) => ROWS[row]),
  '/numbers.txt': withLabels((row) => row),
  '/numbers.jsonl': lines.map(([text, label]) => `${JSON.stringify({ text, label: ROWS.indexOf(label) })}\n`).join(''),
  '/standins.txt': withLabels((row) => `LABEL_${row}`),
  '/stars.txt': withLabels((row) => row + 1),
}

function openDisk(): Disk {
  const disk = createDisk()
  placeAssets(disk)
  for (const name of ['model', 'named', 'unnamed', 'adapter']) copyToDisk(disk, join(room.at, name), `/${name}`)
  for (const [path, bytes] of disk.list('/adapter')) if (path !== 'labels.json') disk.place(`/bare/${path}`, bytes)
  for (const [path, text] of Object.entries(DATA)) disk.place(path, bytesOf(text))
  return disk
}

type Values = Readonly<Record<string, string | number | boolean>>
const TRAIN = { clients: 2, cuts: 1, steps: 2, interval: 2, batch: 4, tile: '4x8', partition: 'contiguous' }

async function run(args: readonly string[], exitCode = 0, disk = openDisk(), input: readonly Uint8Array[] = []): Promise<MemoryHost> {
  const host = createMemoryHost(disk, createMemoryNetwork(), input)
  // A calibration would measure by a clock that stands still.
  const tile = args.includes('--tile') || args[0] === 'export' ? [] : ['--tile', '4x8']
  assert.is(await runProgram(host, [...args, ...tile]), exitCode, host.shown())
  assert.equal(host.leaks(), [])
  if (exitCode !== 0) assert.match(host.shown(), /^kerf: [^\n]+\n$/)
  return host
}

const evaluate = async (values: Values) => JSON.parse((await run(['eval', ...flagsOf({ ...values, json: true })])).printed()) as {
  labels: string[]; accuracy: number
}
const labelsAfter = (disk: Disk, out = '/out') => JSON.parse(new TextDecoder().decode(disk.list(out).get('labels.json'))) as string[]

async function train(values: Values): Promise<{ labels: string[]; shown: string }> {
  const disk = openDisk()
  const { shown } = await run(['train', ...flagsOf({ ...TRAIN, out: '/out', ...values })], 0, disk)
  return { labels: labelsAfter(disk), shown: shown() }
}

/** A head without names: of a model's own, and of an adapter. */
const UNNAMED: readonly Values[] = [{ model: '/unnamed' }, { model: '/model', adapter: '/bare' }]
const NAMED: readonly Values[] = [{ model: '/named' }, { model: '/model', adapter: '/adapter' }]

test('a head without names and data of words: every command refuses, and says what was found', async () => {
  for (const head of UNNAMED) {
    const data = { data: '/words.txt', val: '/words.txt' }
    const asked = '--labels: expected 3 names in the order of the rows of the classifier in /\\w+/\\w+\\.safetensors, which has none, got '
    const refused = async (args: readonly string[], got: string) => {
      assert.match((await run(args, 2)).shown(), new RegExp(`^kerf: ${asked}"${got}"\n$`))
    }
    const found = 'none; /words\\.txt has anger, fear, joy'
    await refused(['eval', ...flagsOf({ ...head, data: '/words.txt' })], found)
    await refused(['train', ...flagsOf({ ...head, ...TRAIN, ...data })], found)
    await refused(['serve', ...flagsOf({ ...head, ...TRAIN, ...data })], found)
    await refused(['serve', ...flagsOf({ ...head, ...TRAIN, model: head.model })], 'none')
    await refused(['infer', ...flagsOf({ ...head, text: 'the rain' })], 'none')
    if (head.adapter) await refused(['export', ...flagsOf({ ...head, out: '/exported' })], 'none')
    // From 1: the last is no row's number.
    await refused(['eval', ...flagsOf({ ...head, data: '/stars.txt' })], 'none; /stars\\.txt has 1, 2, 3')
    await refused(['train', ...flagsOf({ ...head, ...TRAIN, data: '/stars.txt', val: '/stars.txt' })], 'none; /stars\\.txt has 1, 2, 3')
  }
})

test('--labels names the rows, one each, in the order of the head', async () => {
  for (const head of UNNAMED) {
    const labels = ROWS.join()
    const { accuracy } = await evaluate({ ...head, labels, data: '/words.txt' })
    assert.is((await evaluate({ ...head, labels, data: '/numbers.txt' })).accuracy, accuracy)
    const turned = await evaluate({ ...head, labels: 'fear,joy,anger', data: '/words.txt' })
    assert.equal(turned.labels, ['fear', 'joy', 'anger'])
    assert.equal((await train({ ...head, labels, data: '/words.txt', val: '/words.txt' })).labels, ROWS)
    for (const few of ['joy,anger', 'joy,anger,fear,love']) {
      const { shown } = await run(['infer', ...flagsOf({ ...head, labels: few, text: 'rain' })], 2)
      assert.match(shown(), /^kerf: labels: expected 3 names, one for each row of the classifier in /)
    }
    const more = { labels: 'joy,anger,fear,love', data: '/words.txt', val: '/words.txt' }
    const { shown } = await run(['train', ...flagsOf({ ...TRAIN, ...head, ...more })], 2)
    assert.match(shown(), /^kerf: labels: expected 3 names, one for each row of the classifier in /)
  }
})

test("data that call a head's rows by number, plain or LABEL_n, need no names", async () => {
  for (const head of UNNAMED) {
    const { accuracy } = await evaluate({ ...head, labels: ROWS.join(), data: '/words.txt' })
    for (const data of ['/numbers.txt', '/numbers.jsonl', '/standins.txt']) {
      const labels = data === '/standins.txt' ? ['LABEL_0', 'LABEL_1', 'LABEL_2'] : ['0', '1', '2']
      assert.equal(await evaluate({ ...head, data }).then((report) => [report.labels, report.accuracy]), [labels, accuracy])
      assert.equal((await train({ ...head, data, val: data })).labels, labels)
    }
  }
})

test('a head with names keeps them, and takes the numbers of its rows', async () => {
  for (const head of NAMED) {
    const { accuracy } = await evaluate({ ...head, data: '/words.txt' })
    assert.equal(await evaluate({ ...head, data: '/numbers.jsonl' }).then((report) => [report.labels, report.accuracy]), [ROWS, accuracy])
    const { labels, shown } = await train({ ...head, data: '/numbers.txt', val: '/words.txt' })
    assert.equal(labels, ROWS)
    assert.not.match(shown, /new head/)
  }
})

test("an adapter's head has the model's names only where nobody says others", async () => {
  const both = { model: '/named', adapter: '/bare', data: '/words.txt' }
  assert.equal((await evaluate(both)).labels, ROWS)
  assert.equal((await evaluate({ ...both, labels: 'fear,joy,anger' })).labels, ['fear', 'joy', 'anger'])
})

test("a new head beside a configuration's names takes those that are told", async () => {
  const disk = openDisk()
  disk.place('/trunk/config.json', disk.list('/named').get('config.json')!)
  for (const name of ['vocab.txt', 'model.safetensors']) disk.place(`/trunk/${name}`, disk.list('/model').get(name)!)
  const flags = { ...TRAIN, model: '/trunk', data: '/stars.txt', val: '/stars.txt', out: '/out' }
  const { shown } = await run(['train', ...flagsOf(flags)], 2, disk)
  assert.match(shown(), /^kerf: \/stars\.txt:\d+\.label: expected one of joy, anger, fear, got "3"\n$/)
  await run(['train', ...flagsOf({ ...flags, labels: '1,2,3' })], 0, disk)
  assert.equal(labelsAfter(disk), ['1', '2', '3'])
})

test('a new head sorts the names in the data, numbers as numbers, and says so', async () => {
  const words = await train({ model: '/model', data: '/words.txt', val: '/words.txt' })
  assert.equal(words.labels, ['anger', 'fear', 'joy'])
  assert.match(words.shown, /^labels of the new head, sorted: anger, fear, joy$/m)
  const disk = openDisk()
  disk.place('/many.jsonl', bytesOf(Array.from({ length: 12 }, (_, label) => `{"text":"the rain falls","label":${11 - label}}\n`).join('')))
  await run(['train', ...flagsOf({ ...TRAIN, model: '/model', data: '/many.jsonl', out: '/out' })], 0, disk)
  assert.equal(labelsAfter(disk), Array.from({ length: 12 }, (_, label) => String(label)))
})

/** A disk on which `/pipe` gives what it holds once, and nothing afterwards. */
function openPipe(text: string): Disk {
  const disk = openDisk()
  disk.place('/pipe', bytesOf(text))
  const read = disk.read
  disk.read = async (path) => {
    const bytes = await read(path)
    if (path === '/pipe') disk.place('/pipe', new Uint8Array(0))
    return bytes
  }
  return disk
}

test('data that can be read but once', async () => {
  const disk = openPipe(DATA['/words.txt'])
  await run(['train', ...flagsOf({ ...TRAIN, model: '/model', data: '/pipe', val: '/pipe', out: '/out' })], 0, disk)
  assert.equal(labelsAfter(disk), ['anger', 'fear', 'joy'])
  for (const data of ['/words.txt', '/numbers.txt']) {
    await run(['eval', ...flagsOf({ model: '/unnamed', labels: ROWS.join(), data: '/pipe' })], 0, openPipe(DATA[data as keyof typeof DATA]))
  }
  await run(['eval', ...flagsOf({ model: '/unnamed', data: '/pipe' })], 0, openPipe(DATA['/numbers.jsonl']))
})

test('a server without texts: names from the head or --labels, steps from --steps', async () => {
  for (const head of [...NAMED, { model: '/model', labels: ROWS.join() }]) {
    const network = createMemoryNetwork()
    const server = createMemoryHost(openDisk(), network)
    const served = runProgram(server, ['serve', ...flagsOf({ ...TRAIN, ...head, out: '/out', port: 7700 })])
    while (network.listeners.size === 0) {
      assert.is(server.shown(), '')
      await server.clock.turn()
    }
    const devices = ['/words.txt', '/numbers.jsonl'].map((data, client) => {
      const host = createMemoryHost(openPipe(DATA[data as keyof typeof DATA]), network)
      return runProgram(host, ['join', 'ws://127.0.0.1:7700', ...flagsOf({ model: head.model, data: '/pipe', client, tile: '4x8' })])
    })
    assert.equal(await Promise.all([served, ...devices]), [0, 0, 0], server.shown())
    assert.equal(labelsAfter(server.files), ROWS)
  }
  const { steps: _, ...counted } = TRAIN
  assert.match((await run(['serve', ...flagsOf({ ...counted, model: '/named' })], 2)).shown(), /^kerf: --steps: .* without --data/)
  assert.match((await run(['serve', ...flagsOf({ ...TRAIN, model: '/model' })], 2)).shown(), /^kerf: --labels: .* or --data/)
})

test('texts of stdin, in whatever parts they come', async () => {
  const call = ['infer', '--model', '/named']
  const bytes = bytesOf('\uFEFFthe rain \u2028 falls\r\na bird sings é\n')
  const whole = await run(call, 0, openDisk(), [bytes])
  assert.is(whole.printed().trimEnd().split('\n').length, 2)
  const parts = Array.from(bytes, (byte) => Uint8Array.of(byte))
  assert.is((await run(call, 0, openDisk(), parts)).printed(), whole.printed())
  const broken = await run(call, 2, openDisk(), [bytesOf('the rain\n'), Uint8Array.of(0x63, 0xe9, 10)])
  assert.is(broken.shown(), 'kerf: stdin:2: expected UTF-8 text, got "other bytes"\n')
  assert.is(broken.printed().trimEnd().split('\n').length, 1)
  const long = bytesOf(`${'rain '.repeat(20_000)}\n`)
  assert.match((await run(call, 2, openDisk(), [long])).shown(), /^kerf: stdin:1: expected a text of at most 65536 characters/)
  assert.match((await run([...call, '--truncate'], 0, openDisk(), [long])).printed(), /^\w+ 0\.\d{4}/)
})

test.run()
