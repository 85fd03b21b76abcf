/** What a run stands on: adapters know their base, devices and resumed runs are held to it, and files that contradict are refused. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { runProgram } from '../../runtime/program/program.ts'
import type { TensorInput } from '../../runtime/wire/safetensors.ts'
import { decodeSafetensors, encodeSafetensors } from '../../runtime/wire/safetensors.ts'
import type { Disk } from '../host/disk.ts'
import { createDisk } from '../host/disk.ts'
import type { MemoryHost } from '../host/memory.ts'
import { copyToDisk, createMemoryHost, createMemoryNetwork, placeAssets } from '../host/memory.ts'
import { flagsOf, makeRoom } from '../targets/cli.ts'
import { makeTinyModel } from '../tiny.ts'

const room = makeRoom()
const named = join(room.at, 'named')
makeTinyModel(named, { labels: ['anger', 'fear', 'joy'] })
const RUN = {
  model: '/model', data: '/train.txt', val: '/val.txt', clients: 2, cuts: '1,2', steps: 4, interval: 2, batch: 4, tile: '4x8', out: '/out',
  'checkpoint-every': 1,
}
type Json = Record<string, unknown>
type Change = (disk: Disk) => void
const textOf = (value: Json | string) => new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value))
const place = (path: string, value: Json | string): Change => (disk) => disk.place(path, textOf(value))
const readDisk = (disk: Disk, path: string) => disk.list(path.slice(0, path.lastIndexOf('/'))).get(path.slice(path.lastIndexOf('/') + 1))!
const jsonOf = (disk: Disk, path: string) => JSON.parse(new TextDecoder().decode(readDisk(disk, path))) as Json
const merge = (path: string, changes: Json): Change => (disk) => place(path, { ...jsonOf(disk, path), ...changes })(disk)

function openDisk(...changes: Change[]): Disk {
  const disk = createDisk()
  placeAssets(disk)
  copyToDisk(disk, room.model, '/model')
  copyToDisk(disk, named, '/named')
  disk.place('/train.txt', new Uint8Array(readFileSync(room.data)))
  disk.place('/val.txt', new Uint8Array(readFileSync(room.val)))
  for (const change of changes) change(disk)
  return disk
}

/** Another file of weights in the place of a model's. */
const reweigh = (path: string, change: (tensors: TensorInput[]) => readonly TensorInput[]): Change => (disk) => {
  const { tensors } = decodeSafetensors(readDisk(disk, path))
  disk.place(path, encodeSafetensors(change([...tensors.values()])))
}
/** The last value of a tensor a little larger. */
const nudge = (path: string, name: string): Change => reweigh(path, (tensors) => tensors.map((tensor) => {
  if (!tensor.name.endsWith(name)) return tensor
  const data = tensor.data.slice()
  data[data.length - 4] ^= 1
  return { ...tensor, data }
}))
const drop = (path: string): Change => (disk) => { void disk.remove(path) }
const move = (from: string, to: string): Change => (disk) => {
  disk.place(to, readDisk(disk, from))
  drop(from)(disk)
}
const edit = (path: string, before: string, after: string): Change => (disk) => {
  const text = new TextDecoder().decode(readDisk(disk, path))
  assert.ok(text.includes(before), before)
  disk.place(path, textOf(text.replace(before, after)))
}
/** Two pieces of the vocabulary change places: same pieces, same count. */
const swap = edit('/model/vocab.txt', 'rain\nsun\n', 'sun\nrain\n')

async function call(disk: Disk, args: readonly string[], exitCode = 0): Promise<MemoryHost> {
  const host = createMemoryHost(disk)
  assert.is(await runProgram(host, args), exitCode, host.shown())
  assert.equal(host.leaks(), [])
  return host
}
const train = (more: Readonly<Record<string, string | number | boolean>> = {}) => ['train', ...flagsOf({ ...RUN, ...more })]

const trained = openDisk()
await call(trained, train())
const adapterFiles = [...trained.list('/out')].filter(([path]) => !path.includes('/'))
const withAdapter: Change = (disk) => adapterFiles.forEach(([path, bytes]) => disk.place(`/adapter/${path}`, bytes))
const USES: readonly (readonly string[])[] = [
  ['eval', '--model', '/model', '--adapter', '/adapter', '--data', '/val.txt', '--tile', '4x8'],
  ['infer', '--model', '/model', '--adapter', '/adapter', '--text', 'the rain falls'],
  ['export', '--model', '/model', '--adapter', '/adapter', '--out', '/exported'],
  ['export', '--model', '/model', '--adapter', '/adapter', '--merge', '--out', '/merged'],
  train({ adapter: '/adapter', out: '/more' }),
]
const nameOf = (args: readonly string[]) => args.filter((word) => ['eval', 'infer', 'export', 'train', '--merge'].includes(word)).join(' ')

for (const args of USES) {
  test(`kerf ${nameOf(args)}: an adapter is used with its own base alone`, async () => {
    const { shown } = await call(openDisk(withAdapter), args)
    assert.not.match(shown(), /which base/)
    const others: [Change, RegExp][] = [
      [nudge('/model/model.safetensors', 'encoder.layer.3.output.dense.weight'),
        /weights: expected \d+, the checksum of this model's layer 3/],
      [nudge('/model/model.safetensors', 'embeddings.word_embeddings.weight'),
        /weights: expected \d+, the checksum of this model's embeddings/],
      [nudge('/model/model.safetensors', 'pooler.dense.bias'), /weights: expected \d+, the checksum of this model's pooler/],
      [swap, /\/adapter\/adapter_config\.json\.tokenizer: expected \d+, the checksum of this model's tokenizer, got \d+/],
      [place('/model/tokenizer_config.json', { do_lower_case: false }), /\.tokenizer: expected/],
      [merge('/model/config.json', { layer_norm_eps: 1e-5 }), /\.config: expected \d+, the checksum of this model's config\.json/],
    ]
    for (const [change, message] of others) {
      const host = await call(openDisk(withAdapter, change), args, 2)
      assert.match(host.shown(), message)
      assert.equal([...host.files.list('/')].filter(([path]) => /^(exported|merged|more)\//.test(path)), [])
    }
  })

  test(`kerf ${nameOf(args)}: an adapter of another tool's making is taken, and that is said once`, async () => {
    const { shown } = await call(openDisk(withAdapter, merge('/adapter/adapter_config.json', { auto_mapping: null })), args)
    assert.is(shown().split('does not say which base').length, 2, shown())
  })
}

test('the labels of a base may be named after an adapter was trained on it', async () => {
  await call(openDisk(withAdapter, merge('/model/config.json', { id2label: { 0: 'anger', 1: 'fear', 2: 'joy' } })), USES[0])
})

test('export hands the base on', async () => {
  const disk = openDisk(withAdapter)
  await call(disk, USES[2])
  assert.equal(jsonOf(disk, '/exported/adapter_config.json').auto_mapping, jsonOf(disk, '/adapter/adapter_config.json').auto_mapping)
})

test('--resume is refused where a weight, the tokenizer or a label of the base is another', async () => {
  const stopped = openDisk()
  let saved = 0, stop = () => {}
  const power = new Promise<void>((resolve) => { stop = resolve })
  stopped.beforeChange = async (what, path) => {
    if (what !== 'rename' || !path.endsWith('round.safetensors') || ++saved < 3) return
    stop()
    await new Promise<never>(() => {})
  }
  void runProgram(createMemoryHost(stopped), train())
  await power
  const going = (change: Change) => {
    const disk = stopped.cut()
    change(disk)
    return disk
  }
  assert.match((await call(going(() => {}), train({ resume: true }))).shown(), /going on from round/)
  const changes: [string, Change][] = [
    ['weights', nudge('/model/model.safetensors', 'encoder.layer.3.attention.self.key.bias')],
    ['weights', nudge('/model/model.safetensors', 'embeddings.LayerNorm.bias')],
    // Pieces that no text has: the same data, but another tokenizer.
    ['tokenizer', edit('/model/vocab.txt', '##m\n##n', '##n\n##m')],
    ['fingerprint', merge('/model/config.json', { id2label: { 0: 'anger', 1: 'fear', 2: 'joy' } })],
    ['fingerprint', merge('/model/config.json', { layer_norm_eps: 1e-6 })],
  ]
  for (const [field, change] of changes) {
    assert.match((await call(going(change), train({ resume: true }), 2)).shown(),
      new RegExp(`round\\.safetensors\\.${field}: expected .* as in this call`))
  }
})

/** Joins a run as a device with other files: its exit code, and what it says. */
async function joinChanged(change: Change): Promise<{ code: number; shown: string }> {
  const network = createMemoryNetwork()
  const server = createMemoryHost(openDisk(), network)
  const served = runProgram(server, ['serve', ...flagsOf({ ...RUN, port: 7700, 'checkpoint-every': 1, 'join-seconds': 5 })])
  while (network.listeners.size === 0) await server.clock.turn()
  const device = createMemoryHost(openDisk(change), network)
  const code = await runProgram(device, [
    'join', 'ws://127.0.0.1:7700', ...flagsOf({ model: '/model', data: '/train.txt', share: true, client: 1, tile: '4x8' }),
  ])
  // Nobody else comes, so the server gives up.
  server.clock.advance(6000)
  assert.is(await served, 1, server.shown())
  return { code, shown: device.shown() }
}

test('a device is refused for what it reads itself: tokenizer, configuration, embeddings, its own blocks', async () => {
  const cases: [Change, RegExp][] = [
    [swap, /model\.tokenizer: expected the server's \d+, got \d+/],
    [place('/model/special_tokens_map.json', { mask_token: { content: '[MASK]', lstrip: true } }), /model\.tokenizer: expected/],
    [merge('/model/config.json', { id2label: { 0: 'joy', 1: 'anger', 2: 'fear' } }), /model\.fingerprint: expected/],
    [nudge('/model/model.safetensors', 'embeddings.position_embeddings.weight'), /model\.embeddings: expected the server's \d+, got \d+/],
    [nudge('/model/model.safetensors', 'encoder.layer.1.output.dense.bias'), /model\.layer 1: expected the server's \d+, got \d+/],
  ]
  for (const [change, message] of cases) {
    const { code, shown } = await joinChanged(change)
    assert.is(code, 2, shown)
    assert.match(shown, message)
  }
})

test('a device that lacks the blocks above its cut, or has others there, takes part', async () => {
  const network = createMemoryNetwork()
  const server = createMemoryHost(openDisk(), network)
  const served = runProgram(server, ['serve', ...flagsOf({ ...RUN, port: 7700, 'checkpoint-every': 1 })])
  while (network.listeners.size === 0) await server.clock.turn()
  const above = nudge('/model/model.safetensors', 'encoder.layer.3.output.dense.bias')
  const below = reweigh('/model/model.safetensors', (tensors) => tensors.filter(({ name }) => !/layer\.[123]|pooler/.test(name)))
  const joined = [below, above].map((change, client) => runProgram(createMemoryHost(openDisk(change), network), [
    'join', 'ws://127.0.0.1:7700', ...flagsOf({ model: '/model', data: '/train.txt', share: true, client, tile: '4x8' }),
  ]))
  assert.equal(await Promise.all([served, ...joined]), [0, 0, 0], server.shown())
  assert.equal(readDisk(server.files, '/out/adapter_model.safetensors'), readDisk(trained, '/out/adapter_model.safetensors'))
})

const INFER = ['infer', '--model', '/named', '--text', 'the rain falls']
const WEIGHTS = '/named/model.safetensors'

test('weights in another form are named', async () => {
  const cases: [string, RegExp][] = [
    ['model.safetensors.index.json', /^kerf: \/named\/model\.safetensors: expected model\.safetensors, one file.*got "model\.safetensors\.index\.json: /],
    ['pytorch_model.bin', /pytorch_model\.bin: PyTorch's pickle/], ['pytorch_model.bin.index.json', /pytorch_model\.bin\.index\.json/],
    ['tf_model.h5', /tf_model\.h5: in a format/], ['flax_model.msgpack', /flax_model/], ['adapter_model.safetensors',
      /an adapter, which goes with --adapter/],
  ]
  for (const [name, message] of cases) {
    for (const args of [INFER, train({ model: '/named' })]) {
      assert.match((await call(openDisk(move(WEIGHTS, `/named/${name}`)), args, 2)).shown(), message)
    }
  }
  assert.match((await call(openDisk(drop(WEIGHTS)), INFER, 2)).shown(), /model\.safetensors: expected a file, got "none"/)
  for (const name of ['adapter_model.bin', 'adapter_model.safetensors.index.json', 'model.safetensors']) {
    for (const args of USES) {
      const { shown } = await call(openDisk(withAdapter, move('/adapter/adapter_model.safetensors', `/adapter/${name}`)), args, 2)
      assert.ok(shown().includes(`got "${name}: `), shown())
    }
  }
})

const SAID: readonly [string, Change, RegExp][] = [
  ['a token classifier', merge('/named/config.json', { architectures: ['BertForTokenClassification'] }),
    /architectures: expected BertForSequenceClassification/],
  ['a multiple choice', merge('/named/config.json', { architectures: ['BertForMultipleChoice'] }), /architectures: expected/],
  ['num_labels of another head', merge('/named/config.json', { num_labels: 2 }), /config\.json\.num_labels: expected 3 labels, the rows/],
  ['a regression', merge('/named/config.json', { problem_type: 'regression' }), /problem_type: expected "single_label_classification"/],
  ['one row', (disk) => {
    reweigh(WEIGHTS, (tensors) => tensors.map((tensor) => (tensor.name === 'classifier.weight' ? { ...tensor, shape: [1, 32],
      data: tensor.data.slice(0, 128) }
      : tensor.name === 'classifier.bias' ? { ...tensor, shape: [1], data: tensor.data.slice(0, 4) } : tensor)))(disk)
    merge('/named/config.json', { id2label: { 0: 'LABEL_0' }, label2id: { LABEL_0: 0 } })(disk)
  }, /at least 2 labels; one is a regression's score, got 1/],
]

for (const [name, change, message] of SAID) {
  test(`a head that is none of texts is refused: ${name}`, async () => {
    const evaluate = ['eval', '--model', '/named', '--data', '/val.txt', '--tile', '4x8']
    for (const args of [INFER, evaluate]) assert.match((await call(openDisk(change), args, 2)).shown(), message)
    if (name !== 'one row') assert.match((await call(openDisk(change), train({ model: '/named' }), 2)).shown(), message)
  })
}

test('a masked-language head is no classifier; what is left out is said, once', async () => {
  const extra = (name: string): TensorInput => ({ name, dtype: 'F32', shape: [2], data: new Uint8Array(8) })
  const more = reweigh('/model/model.safetensors', (tensors) => [...tensors, extra('cls.predictions.bias'),
    extra('bert.encoder.layer.4.output.dense.bias')])
  assert.match((await call(openDisk(more), ['infer', '--model', '/model', '--text', 'rain'], 2)).shown(),
    /--adapter: expected a PEFT directory, since \/model has no classifier/)
  const fewer = merge('/model/config.json', { num_hidden_layers: 3 })
  for (const [changes, args] of [[[more], train()], [[more, withAdapter], USES[0]], [[fewer], train()]] as const) {
    const { shown } = await call(openDisk(...changes), args)
    const layer = changes.includes(fewer) ? 3 : 4
    const line = `model.safetensors: layer ${layer} left out: config.json counts ${layer}`
    assert.is(shown().split(line).length, 2, shown())
    if (!changes.includes(fewer)) assert.match(shown(), /1 tensor not used: cls\.predictions\.bias/)
  }
})

test("a merged model's configuration agrees with its head, whatever the base says", async () => {
  const stale = { num_labels: 2, _num_labels: 2, finetuning_task: 'sst2', auto_map: { AutoModel: 'x.py' },
    id2label: { 0: 'LABEL_0', 1: 'LABEL_1' } }
  const disk = openDisk(withAdapter, merge('/model/config.json', { ...stale, label2id: { LABEL_0: 0, LABEL_1: 1 } }))
  await call(disk, USES[3])
  const { id2label, label2id, ...written } = jsonOf(disk, '/merged/config.json')
  assert.equal([id2label, label2id], [{ 0: 'anger', 1: 'fear', 2: 'joy' }, { anger: 0, fear: 1, joy: 2 }])
  for (const key of ['num_labels', '_num_labels', 'finetuning_task', 'auto_map']) assert.not.ok(key in written, key)
  await call(disk, ['eval', '--model', '/merged', '--data', '/val.txt', '--tile', '4x8'])
})

test("a merged model's tokenizer says what all of the base's files said", async () => {
  const added = place('/model/added_tokens.json', { '[E1]': 59 }), wider = reweigh('/model/model.safetensors',
    (tensors) => tensors.map((tensor) => (
    tensor.name.endsWith('word_embeddings.weight')
      ? { ...tensor, shape: [60, 32], data: new Uint8Array([...tensor.data, ...new Uint8Array(128 * (60 - tensor.shape[0]))]) } : tensor)))
  const lines = new TextDecoder().decode(readDisk(trained, '/model/vocab.txt')).trimEnd().split('\n').length
  assert.is(lines, 59)
  const disk = openDisk(added, wider, merge('/model/config.json', { vocab_size: 60 }))
  await call(disk, train())
  await call(disk, ['export', '--model', '/model', '--adapter', '/out', '--merge', '--out', '/merged'])
  const { added_tokens } = jsonOf(disk, '/merged/tokenizer.json') as { added_tokens: { id: number; content: string; normalized: boolean }[] }
  assert.equal(added_tokens.filter(({ id }) => id > 4).map(({ id, content, normalized }) => [id, content, normalized]),
    [[59, '[E1]', true]])
  const again = ['export', '--model', '/model', '--adapter', '/out', '--merge', '--out', '/merged']
  disk.place('/merged/special_tokens_map.json', textOf({}))
  assert.match((await call(disk, again, 2)).shown(), /--out: expected a directory without special_tokens_map\.json, which the base has not/)
  await disk.remove('/merged/special_tokens_map.json')
  await call(disk, again)
})

test.run()
