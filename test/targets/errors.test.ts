/** Wrong input: exit 2, one line that names what is wrong, and every file of an earlier run as it was. Then `--help`. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { COMMANDS } from '../../runtime/program/program.ts'
import { flagTable } from '../../runtime/program/settings.ts'
import { LABELS, callKerf, flagsOf, makeRoom, readFiles } from './cli.ts'

const { at, model, data, val } = makeRoom()
const out = join(at, 'out')
const BASE = { model, data, val, clients: 2, cuts: '1,2', steps: 4, interval: 2, batch: 4, out }

type More = Readonly<Record<string, string | number | boolean>>

await callKerf(['train', ...flagsOf(BASE)])
const earlier = readFiles(out)

async function expectRefusal(args: readonly string[], message: RegExp): Promise<void> {
  const { stdout, stderr } = await callKerf(args, 2)
  assert.is(stdout, '')
  assert.match(stderr, message)
  assert.match(stderr, /^kerf: [^\n]+\n$/)
  assert.equal(readFiles(out), earlier)
}

/** Refusals of `kerf train`, two calls at once. */
async function expectRefusals(cases: readonly (readonly [More, RegExp])[]): Promise<void> {
  for (let first = 0; first < cases.length; first += 2) {
    const pair = cases.slice(first, first + 2)
    await Promise.all(pair.map(([more, message]) => expectRefusal(['train', ...flagsOf({ ...BASE, ...more })], message)))
  }
}

type Entry = { dtype: string; shape: number[]; data_offsets: [number, number] }

/** A copy of the model whose weight file is changed: its header's text, then its data. */
function spoilWeights(
  name: string, header: (entries: Record<string, Entry>) => string, change: (bytes: Uint8Array) => Uint8Array = (bytes) => bytes,
): string {
  const directory = join(at, name)
  cpSync(model, directory, { recursive: true })
  const bytes = readFileSync(join(model, 'model.safetensors'))
  const length = Number(bytes.readBigUInt64LE(0))
  const { __metadata__: _, ...entries } = JSON.parse(bytes.toString('utf8', 8, 8 + length)) as Record<string, Entry>
  const text = Buffer.from(header(entries))
  const prefix = Buffer.alloc(8)
  prefix.writeBigUInt64LE(BigInt(text.length))
  writeFileSync(join(directory, 'model.safetensors'), change(Buffer.concat([prefix, text, bytes.subarray(8 + length)])))
  return directory
}

const QUERY = 'bert.encoder.layer.1.attention.self.query.weight'

function withQuery(change: (entry: Entry) => Partial<Entry>): (entries: Record<string, Entry>) => string {
  return (entries) => JSON.stringify({ ...entries, [QUERY]: { ...entries[QUERY], ...change(entries[QUERY]) } })
}

test('weights that are damaged or do not fit', async () => {
  const plain = (entries: Record<string, Entry>) => JSON.stringify(entries)
  const cases: [string, RegExp][] = [
    [
      spoilWeights('cut', plain, (bytes) => bytes.subarray(0, bytes.length - 10)),
      /cut\/model\.safetensors\[".+"\]: expected \d+ bytes \(the file is cut short\)/,
    ],
    [spoilWeights('head', plain, (bytes) => bytes.subarray(0, 60)), /head\/model\.safetensors\.header: expected \d+ bytes, got 52/],
    [spoilWeights('empty', plain, () => new Uint8Array(0)), /empty\/model\.safetensors: expected at least 8 bytes, got 0/],
    [
      spoilWeights('tail', plain, (bytes) => Buffer.concat([bytes, Buffer.alloc(4)])),
      /tail\/model\.safetensors: expected \d+ bytes of data/,
    ],
    [
      spoilWeights('overlap', withQuery(({ data_offsets: [begin, end] }) => ({ data_offsets: [begin - 128, end - 128] }))),
      /overlap\/model\.safetensors\[".+"\]: expected bytes from \d+ on/,
    ],
    [
      spoilWeights('twice', (entries) => `${plain(entries).slice(0, -1)},"${QUERY}":${JSON.stringify(entries[QUERY])}}`),
      /twice\/model\.safetensors\.header.*query/,
    ],
    [
      spoilWeights('bytes', withQuery(() => ({ shape: [32, 31] }))),
      /query\.weight"\]\.data_offsets: expected 3968 bytes for F32 \[32,31\], got 4096/,
    ],
    [spoilWeights('shape', withQuery(() => ({ shape: [16, 64] }))), /query\.weight: expected shape \[32, 32\], got "\[16, 64\]"/],
    [spoilWeights('dtype', withQuery(() => ({ dtype: 'I32' }))), /query\.weight: expected F32, F16, BF16, got "I32"/],
    [
      spoilWeights('missing', (entries) => plain(entries).replace(QUERY, 'other')),
      /query\.weight: expected a tensor of shape \[32, 32\], got "no such tensor"/,
    ],
    [
      spoilWeights('nan', plain, (bytes) => Uint8Array.from(bytes, (byte, index) => (index >= bytes.length - 4 ? 0xff : byte))),
      /weights\..+: expected finite values, got "NaN or infinity"/,
    ],
  ]
  await expectRefusals(cases.map(([directory, message]) => [{ model: directory }, message]))
})

/** A copy of the model with other text in one file, or without it. */
function spoilFile(name: string, file: string, change: (text: string) => string | null): string {
  const directory = join(at, name)
  cpSync(model, directory, { recursive: true })
  const text = change(readFileSync(join(model, file), 'utf8'))
  if (text === null) rmSync(join(directory, file))
  else writeFileSync(join(directory, file), text)
  return directory
}

test('model directories that are none, or of another kind', async () => {
  mkdirSync(join(at, 'swapped/model.safetensors'), { recursive: true })
  cpSync(join(model, 'config.json'), join(at, 'swapped/config.json'))
  const cases: [string, RegExp][] = [
    [join(at, 'nowhere'), /nowhere\/config\.json: expected a file, got "none"/],
    [data, /train\.txt\/config\.json: expected a file, got "none"/],
    [join(at, 'swapped'), /swapped\/model\.safetensors: expected a file, got "a directory"/],
    [spoilFile('json', 'config.json', (text) => text.slice(0, 100)), /json\/config\.json: expected valid JSON/],
    [
      spoilFile('gpt', 'config.json', (text) => text.replace('"model_type": "bert"', '"model_type": "gpt2"')),
      /config\.json\.model_type: expected "bert", got "gpt2"/,
    ],
    [spoilFile('relu', 'config.json', (text) => text.replace('"gelu"', '"relu"')), /config\.json\.hidden_act: expected "gelu", got "relu"/],
    [
      spoilFile('heads', 'config.json', (text) => text.replace('"num_attention_heads": 4', '"num_attention_heads": 5')),
      /hidden_size: expected a multiple of the 5 heads, got 32/,
    ],
    [
      spoilFile('layers', 'config.json', (text) => text.replace('"num_hidden_layers": 4', '"num_hidden_layers": 5')),
      /layer\.4\.attention.*: expected a tensor of shape/,
    ],
    [spoilFile('unsafe', 'model.safetensors', () => null), /unsafe\/model\.safetensors: expected a file, got "none"/],
    [spoilFile('words', 'vocab.txt', () => null), /vocab\.txt/],
    [
      spoilFile('more', 'vocab.txt', (text) => `${text}another\n`),
      /more\/vocab\.txt: expected at most \d+ pieces as in config\.json, got \d+/,
    ],
  ]
  await expectRefusals(cases.map(([directory, message]) => [{ model: directory }, message]))
})

let files = 0

function dataFile(content: string | Uint8Array, ending = 'txt'): string {
  const file = join(at, `data-${++files}.${ending}`)
  writeFileSync(file, content)
  return file
}

test('data that is damaged, mislabelled or too long', async () => {
  const good = 'the rain falls;joy\na bird sings;fear\n'
  const long = `${'rain '.repeat(40)};joy\n`
  const own = (content: string | Uint8Array, ending?: string) => ({ data: dataFile(content, ending), labels: LABELS.join() })
  await expectRefusals([
    [own(`${good}the sun;grief\n`), /data-\d+\.txt:3\.label: expected one of anger, fear, joy, got "grief"/],
    [{ val: dataFile(`${good}the sun;grief\n`) }, /data-\d+\.txt:3\.label: expected one of anger, fear, joy, got "grief"/],
    [own(`${good}\nthe sun;joy\n`), /data-\d+\.txt:3: expected a row, got "an empty line"/],
    [own(`${good}no label here\n`), /data-\d+\.txt:3: expected text;label, got "no label here"/],
    [own(`${good};joy\n`), /data-\d+\.txt:3: expected a text, got "an empty one"/],
    [own(`${good}the sun;\n`), /data-\d+\.txt:3: expected a label, got "an empty one"/],
    [own(good + long), /data-\d+\.txt row 3: expected at most 32 tokens, got 42/],
    [{ ...own(good), 'max-length': 4 }, /data-\d+\.txt row \d: expected at most 4 tokens, got \d+/],
    [own(''), /data-\d+\.txt: expected at least one row, got "none"/],
    [own(Uint8Array.of(0x74, 0xff, 0xfe, 0x3b, 0x6a)), /data-\d+\.txt: expected UTF-8 text, got "other bytes"/],
    [own('{"text":"a","label":"joy"}\n{"text":"a"}\n', 'jsonl'), /\.jsonl:2: expected a "label", got "text"/],
    [own('{"text":"a","label":"joy"}\n{"text":\n', 'jsonl'), /\.jsonl:2: expected a JSON object/],
    [own('{"text":"a","label":3}\n', 'jsonl'), /\.jsonl:1\.label: expected one of anger, fear, joy, got 3/],
    [own('text,label\na,joy\nb\n', 'csv'), /\.csv:3: expected 2 fields, got 1/],
    [own('text,mood\na,joy\n', 'csv'), /\.csv:1: expected one column "label", got "text, mood"/],
    [own('text,label\n"a,joy\n', 'csv'), /\.csv:\d: expected well-formed CSV/],
    [{ data: join(at, 'none.txt') }, /none\.txt: expected a file, got "none"/],
    [{ data: join(data, 'below.txt') }, /below\.txt: expected a file, got "none"/],
    [{ data: at }, /: expected a file, got "a directory"/],
    [{ val: join(at, 'none.txt') }, /none\.txt: expected a file, got "none"/],
    [{ clients: 49, cuts: 1 }, /clients: expected 1 … 48, one sample each, got 49/],
    [{ labels: 'joy,joy' }, /--labels\.1: expected a name of its own, got "joy"/],
  ])
})

test('adapters that are damaged or do not fit', async () => {
  const spoil = (name: string, file: string, change: (bytes: Buffer) => Uint8Array | string) => {
    const directory = join(at, name)
    cpSync(out, directory, { recursive: true })
    writeFileSync(join(directory, file), change(readFileSync(join(directory, file))))
    return { adapter: directory }
  }
  const weights = 'adapter_model.safetensors'
  await expectRefusals([
    [{ adapter: at }, /adapter_config\.json: expected a file, got "none"/],
    [
      spoil('a-cut', weights, (bytes) => bytes.subarray(0, -1)),
      /a-cut\/adapter_model\.safetensors\[".+"\]: expected \d+ bytes \(the file is cut short\)/,
    ],
    [
      spoil('a-nan', weights, (bytes) => Buffer.concat([bytes.subarray(0, -4), Uint8Array.of(0, 0, 0xc0, 0x7f)])),
      /a-nan\/.*: expected a finite value, got NaN/,
    ],
    [
      spoil('a-rank', 'adapter_config.json', (bytes) => bytes.toString().replace('"r": 8', '"r": 4')),
      /a-rank\/adapter_model\.safetensors.*lora_[AB].*: expected/,
    ],
    [
      spoil('a-dora', 'adapter_config.json', (bytes) => bytes.toString().replace('"use_dora": false', '"use_dora": true')),
      /use_dora: expected false, got "true"/,
    ],
    [spoil('a-labels', 'labels.json', () => '["joy","fear"]'), /train\.txt:\d+\.label: expected one of joy, fear, got "anger"/],
    [{ adapter: out, labels: 'joy,fear,anger' }, /--labels: expected anger,fear,joy as in .*out\/labels\.json, got "joy,fear,anger"/],
  ])
})

test('flags out of range, of another kind, unknown or without a value', async () => {
  const file = dataFile('not a directory')
  await expectRefusals([
    [{ cuts: 0 }, /--cuts\[0\]: expected a block of 1 … 3, got "0"/], [{ cuts: 4 }, /--cuts\[0\]: expected a block of 1 … 3, got "4"/],
    [{ cuts: '1,x' }, /--cuts\[1\]: expected a block of 1 … 3, got "x"/], [{ cuts: '' }, /--cuts\[0\]: .*got ""/],
    [{ cuts: 1.5 }, /--cuts\[0\]: .*got "1\.5"/],
    [{ rank: 0 }, /--rank: expected .*got "?0"?/], [{ rank: -3 }, /--rank: expected .*got "?-3"?/],
    [{ rank: 257 }, /--rank: expected an integer from 1 to 256, got 257/],
    [{ alpha: 0 }, /--alpha: expected a number above 0, got "0"/],
    [{ targets: 'query,nose' }, /--targets: expected one of query.*, got "nose"/],
    [{ batch: 0 }, /--batch: /], [{ lr: -1 }, /--lr: expected a number above 0, got "-1"/],
    [{ lr: 'fast' }, /--lr: .*got "fast"/], [{ lr: 'Infinity' }, /--lr: /],
    [{ steps: 1.5 }, /--steps: .*got "1\.5"/], [{ steps: '' }, /--steps: .*got ""/],
    [{ interval: 0 }, /--interval: /], [{ clients: 0 }, /--clients: /],
    [{ seed: -1 }, /--seed: /], [{ 'max-length': 2 }, /--max-length: /],
    [{ 'weight-decay': -0.1 }, /--weight-decay: expected a number of at least 0/],
    [{ partition: 'even' }, /--partition: expected contiguous, iid or dirichlet:ALPHA/],
    [{ partition: 'dirichlet:0' }, /--partition: .*got "dirichlet:0"/],
    [{ scheduler: 'random' }, /--scheduler: expected longest-backward, longest-tail, fifo, got "random"/],
    [{ codec: 'f8' }, /--codec: expected f32, f16, int8, got "f8"/],
    [{ scheme: 'split' }, /--scheme: expected kerf, sl, sfl, splitlora, fl, central, got "split"/], [{ scheme: 'kerf,' }, /--scheme: /],
    [{ scheme: 'splitlora', scheduler: 'fifo' }, /--scheduler: expected longest-backward: /],
    [{ build: 'fast' }, /--build: expected auto, simd, scalar, got "fast"/],
    [{ 'eval-every': 0 }, /--eval-every: /], [{ 'checkpoint-every': -1 }, /--checkpoint-every: /],
    [{ 'deadline-seconds': 0 }, /--deadline-seconds: /],
    [{ out: file }, /--out: expected a directory, got ".*, a file"/],
    [{ out: join(file, 'below') }, /--out: expected a directory, got ".*, a file"/],
  ])
  const { steps: _, ...without } = BASE
  await expectRefusal(['train', ...flagsOf({ ...without, epochs: 'all' })], /--epochs: expected a number above 0, got "all"/)
  await expectRefusal(['train', '--speed', '3'], /^kerf: --speed: expected one of the flags that --help lists, got "--speed"/)
  await expectRefusal(['train', '--steps'], /^kerf: --steps: expected a value, got "none"/)
  await expectRefusal(['train', '--steps', '--json'], /^kerf: --steps: expected a value, got "--json"/)
  await expectRefusal(['train', '--json=yes'], /^kerf: --json: expected no value, got "yes"/)
  await expectRefusal(['train', 'out'], /^kerf: command: expected at most 0 words beside the flags, got "out"/)
  await expectRefusal(['tune'], /^kerf: expected a command of train, .*, got "tune"/)
  await expectRefusal(['--steps', '3'], /^kerf: expected a command/)
})

test('addresses and ports', async () => {
  await expectRefusal(['join'], /^kerf: address: expected ws:\/\/HOST:PORT, got "none"/)
  await expectRefusal(['join', 'localhost:7700'], /^kerf: address: expected ws:\/\/HOST:PORT, got "localhost:7700"/)
  await expectRefusal(['join', 'ws://a b'], /^kerf: address: /)
  await expectRefusal(['join', 'ws://['], /^kerf: address: /)
  await expectRefusal(['join', 'ws://127.0.0.1:9/#run'], /^kerf: address: /)
  await expectRefusal(['join', 'ws://127.0.0.1:9', '--client', 'x'], /^kerf: --client: expected a whole number/)
  const nobody = ['join', 'ws://127.0.0.1:9', '--model', model]
  await expectRefusal([...nobody, '--retry-seconds', '-1'], /^kerf: --retry-seconds: expected a number of at least 0, got "-1"/)
  await expectRefusal(['serve', ...flagsOf({ ...BASE, port: 70000 })], /--port: expected a whole number of 0 … 65535, got "70000"/)
  const elsewhere = ['serve', ...flagsOf({ ...BASE, port: 0, host: '203.0.113.1' })]
  await expectRefusal(elsewhere, /--host: expected an address of this machine, got "203\.0\.113\.1: \w+"/)
  await expectRefusal(['serve', ...flagsOf({ ...BASE, scheme: 'all' })], /--scheme: expected kerf, .*, got "all"/)
})

test('kerf and kerf --help list every command', async () => {
  const pages = await Promise.all([[], ['--help'], ['-h'], ['help']].map(async (args) => (await callKerf(args)).stdout))
  for (const page of pages) {
    assert.is(page, pages[0])
    assert.equal([...page.matchAll(/^ {2}(\w+) {2,}\S/gm)].map(([, name]) => name), Object.keys(COMMANDS))
  }
})

test('kerf COMMAND --help lists every flag with its default', async () => {
  for (const [name, command] of Object.entries(COMMANDS)) {
    const { summary } = command, flags = flagTable(command)
    const { stdout, stderr } = await callKerf([name, '--help'])
    assert.is(stderr, '')
    assert.ok(stdout.startsWith(`kerf ${name} `) && stdout.includes(summary), stdout)
    const rows = stdout.split('\n').filter((line) => line.startsWith('  --'))
    assert.equal(rows.map((row) => row.match(/^ {2}--([\w-]+)/)![1]), [...Object.keys(flags), 'help'])
    rows.forEach((row, index) => {
      const fallback = Object.values(flags)[index]?.default
      assert.match(row, /^ {2}--\S+( \S+)? {1,}\S.{5,}/)
      if (typeof fallback === 'string') assert.ok(row.endsWith(` (${fallback})`), row)
    })
  }
})

test.run()
