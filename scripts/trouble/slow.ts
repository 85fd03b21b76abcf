/**
 * BERT-base, weights drawn, over `kerf serve` and two `kerf join`: does every step land, however slow a side computes?
 *
 *   npm run build && node --import tsx scripts/trouble/slow.ts [--tokens 120] [--batch 16] [--steps 3] [--recompute]
 *     [--server 10] [--device 30]
 *
 * Runs once as it is, and once more with the server's kernel slowed `--server` times and the second device's `--device` times
 * where one is given. Prints each run's time and its losses; fails where a party fails, a device is left out or leaves, a step is
 * missing, or the two adapters are not the same bytes.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { writeBert, writeLongTexts } from './bert.ts'
import { allEnded, hashOf, joinAll, makeRoom, serve } from './parties.ts'

const DEVICES = 2
const TEXTS = 64

const { values } = parseArgs({
  options: {
    tokens: { type: 'string', default: '120' }, batch: { type: 'string', default: '16' }, steps: { type: 'string', default: '3' },
    recompute: { type: 'boolean', default: false }, server: { type: 'string', default: '1' }, device: { type: 'string', default: '1' },
  },
})
const { tokens, batch, steps, recompute } = values
const at = makeRoom()
const model = join(at, 'bert-base'), data = join(at, 'long.txt'), val = join(at, 'val.txt')
writeBert(model)
writeLongTexts(data, TEXTS, Number(tokens))
writeLongTexts(val, 2, Number(tokens))
const recomputed = recompute ? ['--recompute'] : []

type Step = { event: string; client: number; step: number; loss: number }

async function train(name: string, slow: { server: number; device: number }): Promise<string> {
  const out = join(at, name)
  const begin = performance.now()
  const flags = [
    '--model', model, '--data', data, '--val', val, '--clients', String(DEVICES), '--cuts', '1,1', '--steps', steps, '--interval', steps,
    '--batch', batch, '--max-length', tokens, '--truncate', '--eval-every', steps, '--checkpoint-every', '1', '--port', '0', '--out', out, ...recomputed,
  ]
  const { server, url } = await serve(flags, at, { slow: slow.server })
  const joins = Array.from({ length: DEVICES }, () => ['--model', model, '--data', data, '--share', ...recomputed])
  const devices = await joinAll(url, out, [server], joins, at, [{}, { slow: slow.device }])
  await allEnded([server, ...devices])
  const seconds = (performance.now() - begin) / 1000
  const events = readFileSync(join(out, 'metrics.jsonl'), 'utf8').trim().split('\n').map((line) => JSON.parse(line) as Step)
  const landed = events.filter(({ event }) => event === 'step')
  const lost = /device \d (left(?! out)|left out)[^\n]*/.exec(server.said.split(' 100 %')[0])
  if (lost) throw new Error(`${name}: ${lost[0]}`)
  if (landed.length !== DEVICES * Number(steps)) throw new Error(`${name}: expected ${DEVICES * Number(steps)} steps, got ${landed.length}`)
  console.log(`${name}: ${landed.length} steps in ${seconds.toFixed(0)} s; losses ${landed.map(({ loss }) => loss.toFixed(6)).join(' ')}`)
  return hashOf(out)
}

const plain = await train('as it is', { server: 1, device: 1 })
console.log(`adapter ${plain.slice(0, 16)}`)
const slow = { server: Number(values.server), device: Number(values.device) }
if (slow.server > 1 || slow.device > 1) {
  const slowed = await train(`server ${slow.server} times, one device ${slow.device} times as slow`, slow)
  console.log(`adapter ${slowed.slice(0, 16)}: ${slowed === plain ? 'the same bytes' : 'OTHER BYTES'}`)
  process.exitCode = slowed === plain ? 0 : 1
}
