/** `kerf plan` against what a run then takes, to the byte. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ForecastInput, MemoryAccount, SchemeForecast } from '../../runtime/forecast/forecast.ts'
import type { Report } from '../../runtime/report/report.ts'
import { formatConfig } from '../../runtime/model/config.ts'
import type { ModelConfig } from '../../runtime/model/config.ts'
import { planStage } from '../../runtime/model/plan.ts'
import { makeDirectory, readKerf, runKerf } from '../command.ts'
import { openKernelBuild } from '../kernels.ts'
import { makeTinyAdapter, makeTinyModel } from '../tiny.ts'

type Plan = ForecastInput & { schemes: SchemeForecast[] }

const BERT_BASE: ModelConfig = {
  vocabSize: 30522, hiddenSize: 768, layers: 12, heads: 12, intermediateSize: 3072,
  positionsMax: 512, typesMax: 2, layerNormEps: 1e-12, labels: [],
}
const SCHEMES = ['kerf', 'sl', 'sfl', 'splitlora', 'fl', 'central']
const at = makeDirectory()
const [model, base] = [join(at, 'model'), join(at, 'base')]
const config = makeTinyModel(model, { labels: ['joy', 'anger', 'fear'] })
mkdirSync(base)
writeFileSync(join(base, 'config.json'), formatConfig(BERT_BASE))

function plan(...args: string[]): Plan {
  return readKerf<Plan>(['plan', ...args])
}

function sumAccount({ bytes: _, ...parts }: MemoryAccount): number {
  return Object.values(parts).reduce((sum, part) => sum + part, 0)
}

test('a run takes exactly the memory and the frames of its plan', () => {
  const shape = [
    '--model', model, '--clients', '3', '--cuts', '1,2,2', '--batch', '2', '--interval', '2', '--max-length', '5', '--rank', '4',
  ]
  const [forecast] = plan(...shape).schemes
  // All texts of five tokens, so that every batch is the largest.
  const data = join(at, 'data.txt')
  const lines = Array.from({ length: 24 }, (_, row) => (
    `the ${['rain', 'sun', 'bird'][row % 3]} sings;${['joy', 'anger', 'fear'][row % 3]}\n`))
  writeFileSync(data, lines.join(''))
  const run = ['--data', data, '--steps', '4', '--partition', 'iid', '--checkpoint-every', '0', '--out', join(at, 'out')]
  const [{ devices, server }] = readKerf<Report>(['train', ...shape, ...run]).schemes
  assert.is(server.memoryBytes, forecast.serverBytes)
  assert.equal(devices.map(({ memoryBytes }) => memoryBytes), [0, 1, 2].map((client) =>
    forecast.parties.find(({ party, clients }) => party === 'device' && clients.includes(client))!.memory!.bytes))
  // Beside the frames of the plan, greetings and farewells alone.
  const left = devices.map(({ client, upBytes, downBytes }) => {
    const { activationUp, gradientDown, adapterUp, adapterDown } = forecast.clients.find(({ clients }) => clients.includes(client))!.link
    return { up: upBytes - 4 * activationUp! - 2 * adapterUp!, down: downBytes - 4 * gradientDown! - 2 * adapterDown! }
  })
  assert.ok(left.every(({ down }) => down === left[0].down && down > 2 * 64 && down < 2000), JSON.stringify(left))
  assert.ok(left.every(({ up }) => up > 3 * 64 && up < 3000), JSON.stringify(left))
})

test('BERT-base from its config.json alone: known sizes, every account adds up', () => {
  assert.equal(readdirSync(base), ['config.json'])
  const { schemes, labels, cuts } = plan('--model', base, '--rank', '16', '--scheme', 'all')
  assert.equal(schemes.map(({ scheme }) => scheme), SCHEMES)
  assert.equal([labels, cuts], [6, [1, 1, 2, 2, 3, 3]])
  const embeddings = (30522 + 512 + 2 + 2) * 768, pooler = 768 * 768 + 768
  const block = 4 * (768 * 768 + 768) + 2 * 768 * 3072 + 3072 + 768 + 4 * 768
  const weights = ({ from, to }: { from: number; to: number }) =>
    4 * ((from === 0 ? embeddings : 0) + (to - from) * block + (to === 12 ? pooler : 0))
  for (const { parties } of schemes) {
    for (const party of parties) {
      assert.is(party.memory!.weights, weights(party))
      assert.is(sumAccount(party.memory!), party.memory!.bytes)
      assert.is(party.memory!.bytes % 65536, 0)
    }
  }
  const [kerf, sl, sfl] = schemes
  assert.equal(kerf.clients.map(({ clients }) => clients), [[0, 1], [2, 3], [4, 5]])
  assert.ok(kerf.serverBytes! < 1.2 * sl.serverBytes! && sfl.serverBytes! > 5 * sl.serverBytes!)
})

test('the server grows by adapter sets and nothing else', () => {
  const args = ['--model', base, '--rank', '16', '--scheme', 'kerf,sl,sfl']
  const [kerf, sl, sfl] = plan(...args).schemes
  // Parameters and two moments: pairs of query and value in the blocks above the cut, and the head.
  const set = (cut: number) => 3 * 4 * ((12 - cut) * 2 * 2 * 16 * 768 + 6 * 768 + 6)
  for (const { cut, bytes } of kerf.growth) assert.ok(bytes! >= set(cut) && bytes! < set(cut) + 3 * 64, `${cut}: ${bytes}`)
  assert.ok(sl.growth.every(({ bytes }) => bytes === 0))
  const more = plan('--model', base, '--rank', '16', '--clients', '8', '--cuts', '1,1,2,2,3,3,1,3').schemes[0]
  const used = ({ parties }: SchemeForecast) => {
    const { bytes, unused } = parties.find(({ party }) => party === 'server')!.memory!
    return bytes - unused
  }
  assert.is(used(more) - used(kerf), kerf.growth[0].bytes! + kerf.growth[2].bytes!)
  const servers = sfl.parties.filter(({ party }) => party === 'server')
  assert.equal(sfl.growth.map(({ bytes }) => bytes), servers.map(({ memory }) => memory!.bytes))
})

test('a device as the stage plans it', async () => {
  const { exports } = await openKernelBuild('simd')
  const { schemes, adapter } = plan('--model', base, '--lengths', '20', '--cuts', '2', '--targets', 'all', '--rank', '4', '--alpha', '6')
  assert.equal(adapter, { rank: 4, alpha: 6, targets: ['query', 'key', 'value', 'attention', 'up', 'down'] })
  const spec = {
    config: BERT_BASE, from: 0, to: 2, labels: 6, adapter, training: 'adapters' as const, setsFrom: [0],
    rows: 320, sequences: 16, longest: 128,
  }
  assert.is(schemes[0].parties[0].memory!.bytes, planStage(spec, exports).memory.bytes)
})

test("the number of labels: the adapter's, else the model's, else --labels", () => {
  const adapter = join(at, 'adapter')
  makeTinyAdapter(adapter, config, { rank: 2, alpha: 4, targets: ['query'] }, ['yes', 'no'])
  const count = (...args: string[]) => plan('--cuts', '1', ...args).labels
  assert.is(count('--model', model, '--adapter', adapter), 2)
  assert.is(count('--model', model), 3)
  assert.is(count('--model', base, '--labels', 'a,b,c,d'), 4)
  assert.is(count('--model', base), 6)
})

test('codecs shrink the frames', () => {
  const measure = (codec: string) => plan('--model', model, '--codec', codec, '--cuts', '1').schemes[0].clients[0].link.gradientDown!
  const [f32, f16, int8] = ['f32', 'f16', 'int8'].map(measure)
  assert.ok(f16 < 0.6 * f32 && int8 < 0.4 * f32)
})

test('work: halves of a step add up to the whole model', () => {
  const { schemes: [kerf, fl] } = plan('--model', model, '--scheme', 'kerf,fl', '--cuts', '1,2')
  for (const { device, server } of kerf.clients) {
    assert.is(device.forward + server.forward, fl.clients[0].device.forward)
    assert.is(device.backward + server.backward, fl.clients[0].device.backward)
  }
})

test('what does not fit is told, and the rest stays', () => {
  const { schemes: [kerf] } = plan('--model', base, '--batch', '256', '--cuts', '1')
  assert.is(kerf.serverBytes, null)
  assert.ok(kerf.parties[0].memory)
  assert.is(kerf.clients[0].link.activationUp, null)
  assert.ok(kerf.notes.some((note) => /^plan: expected at most \d+ bytes, got \d+$/.test(note)))
  assert.match(runKerf(['plan', '--model', base, '--batch', '256', '--cuts', '1']).stdout, /server 1-12 +over 4 GiB/)
})

test('tables of at most 110 columns, plain ASCII', () => {
  const { exitCode, stdout } = runKerf(['plan', '--model', base, '--scheme', 'all', '--targets', 'all', '--rank', '64'])
  assert.is(exitCode, 0)
  for (const line of stdout.split('\n')) assert.ok(line.length <= 110 && /^[\x20-\x7e]*$/.test(line), line)
  for (const scheme of SCHEMES) assert.match(stdout, new RegExp(`^${scheme}: `, 'm'))
})

test('refuses by name', () => {
  const refused = (args: readonly string[], message: RegExp) => {
    const { exitCode, stderr } = runKerf(['plan', ...args])
    assert.is(exitCode, 2)
    assert.match(stderr, message)
  }
  refused(['--model', join(at, 'none')], /none.config\.json: expected a file/)
  refused(['--model', base, '--cuts', '12'], /--cuts\[0\]: expected a block of 1 … 11, got "12"/)
  refused(['--model', base, '--scheme', 'other'], /--scheme: expected kerf, sl/)
  refused(['--model', base, '--lengths', '200'], /--lengths: expected a whole number of 1 … 128, got "200"/)
  refused(['--model', model, '--labels', 'joy,fear'], /--labels: expected joy,anger,fear as in .*config\.json, got "joy,fear"/)
  refused(['--model', base, '--labels-count', '0'], /--labels-count: expected a whole number/)
})

test.run()
