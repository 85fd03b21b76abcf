/** `kerf bench --quick` end to end, and `kerf plan` with the profile that it leaves. */
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { DeviceProfile } from '../../runtime/model/profile.ts'
import { estimateSeconds, parseProfile } from '../../runtime/model/profile.ts'
import { TILES } from '../../runtime/kernel/load.ts'
import { formatConfig } from '../../runtime/model/config.ts'
import { presetConfig } from '../../runtime/bench/presets.ts'
import type { StepSeconds } from '../../runtime/forecast/seconds.ts'
import type { SchemeForecast } from '../../runtime/forecast/forecast.ts'
import { makeDirectory, readKerf, runKerf } from '../command.ts'
import { makeTinyModel } from '../tiny.ts'
import { RUNTIME_TITLE } from '../../scripts/runtime.ts'
import { nameEngine } from '../../targets/node/engine.ts'
import { findAsset } from '../../targets/node/host.ts'
import { callKerf, startKerf } from './cli.ts'

type Plan = { schemes: (SchemeForecast & { seconds?: StepSeconds[] })[] }

const QUICK = ['bench', '--quick', '--batch', '3', '--length', '9']
const at = makeDirectory()
const model = join(at, 'model')
makeTinyModel(model)
writeFileSync(join(at, 'config.json'), formatConfig(presetConfig('tiny')))

const profileFile = join(at, 'device.json')
const outcome = await callKerf([...QUICK, '--preset', 'tiny', '--tile', '5x16', '--json'])
writeFileSync(profileFile, outcome.stdout)
const profile = parseProfile(outcome.stdout)

test('a preset: its step, rising rows, every operation', () => {
  const { step, steps, whole, parts, operations, peakGflops, kernel, tiles, host } = profile
  assert.equal(step, {
    model: 'BERT-tiny', hiddenSize: 128, intermediateSize: 512, heads: 2, layers: 2, cut: 1, batch: 3, length: 9,
    rank: 8, targets: ['query', 'value'],
  })
  assert.equal(steps.map(({ rows }) => rows), [20, 27])
  assert.equal(steps[1], whole)
  const { bytes, ...rest } = kernel
  assert.equal(rest, { build: 'simd', tile: '5x16', threads: 1, dtype: 'f32' })
  assert.is(bytes, statSync(findAsset('kerf.simd.wasm')).size)
  assert.equal(tiles.map(({ tile }) => tile).sort(), [...TILES].sort())
  assert.ok(tiles.every(({ gflops }, index) => gflops > 0 && (index === 0 || gflops <= tiles[index - 1].gflops)))
  assert.is(`${host.name} ${host.version}`, RUNTIME_TITLE.toLowerCase())
  assert.ok(host.memoryBytesMax! > 1 << 20)
  assert.ok(peakGflops > 0 && parts.length >= 20 && operations.length >= 15)
  assert.equal(operations.slice(0, 3).map(({ operation }) => operation), ['matmul', 'matmulBackwardInput', 'matmulBackwardWeight'])
})

test('progress goes to stderr, and ends', () => {
  assert.match(outcome.stderr, /^ +0 % 0\/\d+ +peak\n/)
  assert.match(outcome.stderr, /100 % (\d+)\/\1 +measured\n$/)
})

test('a model directory with its whole depth, as tables', () => {
  const { exitCode, stdout } = runKerf([...QUICK, '--model', model, '--cut', '4', '--build', 'scalar', '--targets', 'all', '--rank', '2'])
  assert.is(exitCode, 0)
  const head = [
    /^kernel scalar, \d+ bytes, tile 4x8; steps on 1 thread, weights in f32$/m, /^GFLOP\/s of one thread: in registers [\d.]+$/m,
  ]
  const lines = [...head, /blocks 0-4 on the device/, /^backward classifier linear +1/m, /^forward gelu +4/m]
  for (const pattern of [...lines, /^whole step .* 100\.0$/m]) assert.match(stdout, pattern)
})

test('whole steps on two threads, their parts on one, weights in int8; the fast profile where the host has it', () => {
  const args = [...QUICK, '--model', model, '--threads', '2', '--dtype', 'int8', '--profile', 'fast', '--json']
  const { exitCode, stdout, stderr } = runKerf(args)
  assert.is(exitCode, 0)
  const { kernel, steps, whole, parts, operations } = parseProfile(stdout)
  const relaxed = WebAssembly.validate(readFileSync(findAsset('kerf.relaxed.wasm')))
  const threads = Math.min(2, availableParallelism())
  assert.equal([kernel.build, kernel.threads, kernel.dtype], [relaxed ? 'relaxed' : 'simd', threads, 'int8'])
  assert.is(/--profile fast: this host has no relaxed SIMD/.test(stderr), !relaxed)
  assert.is(/^--threads 2: this host has 1 processors/m.test(stderr), threads === 1)
  assert.equal(steps.map(({ rows }) => rows), [20, 27])
  assert.is(whole.rows, 27)
  assert.ok(parts.length >= 20)
  const narrow = operations.filter(({ sizes }) => sizes.endsWith('int8')).map(({ operation }) => operation)
  assert.equal(narrow, ['linear', 'linearBackward', 'embedding'])
})

test('kerf plan reads the profile: seconds from its rates and the work of the plan', () => {
  const shape = ['plan', '--model', at, '--clients', '2', '--cuts', '1', '--batch', '3', '--max-length', '9']
  const { schemes } = readKerf<Plan>([...shape, '--scheme', 'kerf,fl,central', '--device', profileFile])
  for (const { clients, seconds } of schemes) {
    const expected = clients.flatMap(({ cut, clients: group, device: work }) =>
      group.map((client) => ({ client, cut, device: 'device', ...estimateSeconds(profile, work, 27) })))
    assert.equal(seconds, expected)
  }
  assert.equal(schemes.map(({ seconds }) => seconds!.length), [2, 2, 1])
  assert.ok(schemes[0].seconds!.every(({ forward, backward }) => forward > 0 && backward > 0))
  const text = runKerf([...shape, '--device', `${profileFile},${profileFile}`]).stdout
  assert.match(text, /^cut 1 x2 +device +0\.\d+ +0\.\d+ +0\.\d+$/m)
  assert.not.match(text, /was measured at width/)
  assert.is(readKerf<Plan>(shape).schemes[0].seconds, undefined)
})

test('a model of other widths is estimated with a doubt', () => {
  const { stdout } = runKerf(['plan', '--model', model, '--device', profileFile])
  assert.match(stdout, /^device was measured at width 128, hidden 512, not 32 and 48\.$/m)
  for (const line of stdout.split('\n')) assert.ok(line.length <= 110 && /^[\x20-\x7e]*$/.test(line), line)
})

test('refuses by name', () => {
  const damaged = join(at, 'damaged.json')
  writeFileSync(damaged, JSON.stringify({ ...profile, steps: [] } satisfies DeviceProfile))
  const refused = (args: readonly string[], message: RegExp) => {
    const { exitCode, stdout, stderr } = runKerf(args)
    assert.equal([exitCode, stdout], [2, ''])
    assert.match(stderr, message)
  }
  refused(['plan', '--device', damaged], /damaged\.json\.steps: expected a list of 1 … 4096 entries, got 0/)
  refused(['plan', '--device', join(at, 'none.json')], /none\.json: expected a file, got "none"/)
  refused(['plan', '--device', `${profileFile},${profileFile}`], /--device: expected one file, or 6, one for each client, got 2/)
  refused(['bench', '--preset', 'huge'], /--preset: expected tiny, mini, base, got "huge"/)
  refused(['bench', '--preset', 'tiny', '--dtype', 'int4'], /--dtype: expected f32, f16, int8, got "int4"/)
  refused(['bench', '--preset', 'tiny', '--profile', 'fast', '--build', 'scalar'],
    /--build: expected auto with --profile fast, got "scalar"/)
  refused(['bench', '--preset', 'tiny', '--model', model], /--preset: expected no --model beside it/)
  refused(['bench', '--preset', 'tiny', '--cut', '3'], /--cut: expected a whole number of 1 … 2, got "3"/)
  refused(['bench', '--preset', 'base', '--cut', '12', '--batch', '512'], /plan: expected at most \d+ bytes/)
})

test('a signal ends it at once, with nothing on stdout', async () => {
  const process = startKerf(['bench', '--preset', 'mini', '--json'])
  await process.until(/peak/)
  process.kill('SIGINT')
  const { exitCode, stdout, stderr } = await process.ended
  assert.equal([exitCode, stdout], [130, ''])
  assert.match(stderr, /kerf: interrupted, nothing measured in full\n$/)
})

test('an engine goes by its own name, though others give a version of Node too', () => {
  assert.equal(nameEngine({ node: '20.1.0', v8: '11.3' }), { name: 'node', version: '20.1.0' })
  assert.equal(nameEngine({ node: '26.3.0', deno: '2.9.6', v8: '15.0' }), { name: 'deno', version: '2.9.6' })
  assert.equal(nameEngine({ node: '24.3.0', bun: '1.4.5' }), { name: 'bun', version: '1.4.5' })
})

test.run()
