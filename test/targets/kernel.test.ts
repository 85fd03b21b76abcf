/** What computes, as the command line chooses it: build, profile, tile and its cache, and how stages are held within a memory. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { SchemeForecast } from '../../runtime/forecast/forecast.ts'
import type { Report } from '../../runtime/report/report.ts'
import { TILES } from '../../runtime/kernel/load.ts'
import { parseFlags } from '../../runtime/program/flags.ts'
import type { OpenedKernel } from '../../runtime/program/kernel.ts'
import { KERNEL_SETTINGS, openProgramKernel } from '../../runtime/program/kernel.ts'
import type { SettingName } from '../../runtime/program/settings.ts'
import { flagTable, readSettings } from '../../runtime/program/settings.ts'
import { createHost } from '../../targets/node/host.ts'
import { makeDirectory, readKerf, runKerf } from '../command.ts'
import { RUNTIME_TITLE } from '../../scripts/runtime.ts'
import { RELAXED_FLAGS, missingRelaxed } from '../kernels.ts'
import { refusal, refusalOf } from '../refusal.ts'
import { skipTest } from '../skip.ts'
import { makeTinyModel } from '../tiny.ts'
import { LABELS, PROGRAM, adapterFile, callKerf, flagsOf, readMetrics, startProcess } from './cli.ts'

const at = makeDirectory()
const settingsOf = (names: readonly SettingName[], args: readonly string[]) => readSettings({ names }, parseFlags(flagTable({ names }), args, 0))
const [model, data] = [join(at, 'model'), join(at, 'data.txt')]
makeTinyModel(model, { labels: LABELS, hidden: 64, intermediate: 256 })
// All texts of five tokens, so that every batch is the largest.
writeFileSync(data, Array.from({ length: 48 }, (_, row) => `the ${['rain', 'sun', 'bird'][row % 3]} sings;${LABELS[row % 3]}\n`).join(''))

type More = Readonly<Record<string, string | number | boolean>>

const SHAPE = { model, clients: 3, cuts: '1,2,3', batch: 4, rank: 4, 'max-length': 5 }
const RUN = { ...SHAPE, data, steps: 3, interval: 2, partition: 'iid', 'checkpoint-every': 0 }

/** Trains into `name`. */
async function train(name: string, more: More = {}) {
  const out = join(at, name)
  const { stderr } = await callKerf(['train', ...flagsOf({ ...RUN, out, ...more })])
  const { schemes } = JSON.parse(readFileSync(join(out, 'report.json'), 'utf8')) as Report
  return { stderr, adapter: readFileSync(adapterFile(out)).toString('base64'), scheme: schemes[0] }
}

function plan(more: More = {}): SchemeForecast {
  return readKerf<{ schemes: SchemeForecast[] }>(['plan', ...flagsOf({ ...SHAPE, ...more })]).schemes[0]
}

/** Bytes of each client's memory, and how it is held. */
function devicesOf({ parties }: SchemeForecast) {
  return [0, 1, 2].map((client) => {
    const { memory, format, recompute } = parties.find(({ party, clients }) => party === 'device' && clients.includes(client))!
    return { bytes: memory!.bytes, format, recompute }
  })
}

const plain = await train('plain')

test('recomputation, threads and a memory that holds all leave the same adapter', async () => {
  const ways: Readonly<Record<string, More>> = { recompute: { recompute: true }, threads: { threads: 2 }, loose: { memory: '1GB' } }
  for (const [name, more] of Object.entries(ways)) {
    assert.is((await train(name, more)).adapter, plain.adapter, name)
  }
  const central = await train('central', { scheme: 'central', clients: 1, cuts: 1 })
  assert.is((await train('central-2', { scheme: 'central', clients: 1, cuts: 1, threads: 2, recompute: true })).adapter, central.adapter)
})

test('a run takes the memory of its plan, however its stages are held', async () => {
  const { devices } = plain.scheme
  const usual = devicesOf(plan()).map(({ bytes }) => bytes)
  assert.equal(devices.map(({ memoryBytes }) => memoryBytes), usual)
  assert.ok(usual[0] < usual[1] && usual[1] < usual[2], usual.join())
  const tight = usual[1] - 1
  const ways: Readonly<Record<string, More>> = {
    held: { dtype: 'int8', recompute: true, memory: '2MiB', threads: 2 },
    fitted: { memory: tight, threads: 2 },
    whole: { scheme: 'fl', memory: usual[2] },
    central: { scheme: 'central', dtype: 'f16', threads: 2, clients: 1, cuts: 1 },
  }
  for (const [name, more] of Object.entries(ways)) {
    const forecast = plan(more), { scheme, stderr } = await train(name, more)
    const planned = name === 'central' ? [forecast.parties[0].memory!.bytes] : devicesOf(forecast).map(({ bytes }) => bytes)
    assert.equal(scheme.devices.map(({ memoryBytes }) => memoryBytes), planned, name)
    assert.is(scheme.server.memoryBytes, forecast.serverBytes, name)
    if (typeof more.memory === 'number') assert.ok(planned.every((bytes) => bytes <= Number(more.memory)), `${name}: ${planned}`)
    assert.match(stderr, /^kernel simd, tile \d+x\d+, [12] threads?$/m)
  }
  const fitted = devicesOf(plan({ memory: tight }))
  assert.equal(fitted[0], { bytes: usual[0], format: 'f32', recompute: false })
  for (const { format, recompute } of fitted.slice(1)) assert.ok(recompute || format !== 'f32')
  const forced = devicesOf(plan({ dtype: 'int8', recompute: true }))
  assert.equal(forced.map(({ format, recompute }) => `${format} ${recompute}`), Array(3).fill('int8 true'))
})

test("a device's way to fit its memory is not the server's", () => {
  const usual = plan(), fitted = plan({ memory: devicesOf(usual)[2].bytes - 1 })
  assert.is(devicesOf(fitted)[2].recompute, true)
  assert.equal(fitted.clients.map(({ server }) => server), usual.clients.map(({ server }) => server))
  assert.ok(fitted.clients[2].device.backward > usual.clients[2].device.backward)
  const both = plan({ recompute: true })
  assert.ok(both.clients[0].server.backward > usual.clients[0].server.backward)
})

test('a memory in which no stage fits is refused with the least that one takes, before any run', () => {
  const calls = [
    ['plan', ...flagsOf({ ...SHAPE, memory: '64KB' })], ['train', ...flagsOf({ ...RUN, out: join(at, 'none'), memory: '64KB' })],
  ]
  for (const args of calls) {
    const { exitCode, stdout, stderr } = runKerf(args)
    assert.equal([exitCode, stdout], [2, ''])
    assert.match(stderr, /^kerf: memory: expected at least \d+ bytes for blocks 0 … 1, got 64000\n$/)
  }
  assert.not.ok(existsSync(join(at, 'none')))
})

test('sizes', () => {
  const read = (text: string) => settingsOf(['memory'], [`--memory=${text}`]).memory
  const sizes = {
    1: 1, 65536: 65536, '100B': 100, '64MB': 64e6, '64mb': 64e6, '64 MiB': 64 * 2 ** 20,
    '1.5GB': 1.5e9, '2KB': 2000, '3KiB': 3072, '1GiB': 2 ** 30,
  }
  for (const [text, bytes] of Object.entries(sizes)) assert.is(read(text), bytes, text)
  assert.is(settingsOf(['memory'], []).memory, undefined)
  for (const text of ['0', '-1', '-64MB', '64XB', 'MB', '', ' ', '64MB!', '1e9', '0.2', 'NaN', '1,5GB', '0x10', '64 M B']) {
    const { code, message } = refusal(() => read(text))
    assert.equal([code, message], ['flag-memory', `--memory: expected a size such as 64MB, got ${JSON.stringify(text)}`])
  }
  for (const command of ['plan', 'train']) {
    for (const text of ['64XB', '0', '-1']) {
      const { exitCode, stderr } = runKerf([command, ...flagsOf({ ...(command === 'plan' ? SHAPE : RUN), memory: text })])
      assert.equal([exitCode, stderr], [2, `kerf: --memory: expected a size such as 64MB, got "${text}"\n`])
    }
  }
})

test('weights in int8 change the adapter a little, and recomputation of them nothing', async () => {
  const int8 = await train('int8', { dtype: 'int8' })
  assert.is.not(int8.adapter, plain.adapter)
  assert.is((await train('int8-again', { dtype: 'int8', recompute: true, threads: 2 })).adapter, int8.adapter)
  int8.scheme.losses.forEach(({ loss }, index) => assert.ok(Math.abs(loss - plain.scheme.losses[index].loss) < 0.05, String(loss)))
})

const open = async (...args: string[]): Promise<OpenedKernel> => openProgramKernel(createHost(), settingsOf(KERNEL_SETTINGS, args))

/** Opens the kernel with a cache of its own, and puts the process's own back. */
async function openCached(cache: string, ...args: string[]): Promise<OpenedKernel> {
  const { XDG_CACHE_HOME, HOME } = process.env
  try {
    Object.assign(process.env, { XDG_CACHE_HOME: cache, HOME: '' })
    return await open(...args)
  } finally {
    for (const [name, value] of Object.entries({ XDG_CACHE_HOME, HOME })) {
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    }
  }
}

const cacheFile = (cache: string) => join(cache, 'kerf', 'tiles.json')
const readCache = (cache: string) => JSON.parse(readFileSync(cacheFile(cache), 'utf8')) as Record<string, unknown>

test("a host's tile is measured once and kept", async () => {
  const cache = join(at, 'cache')
  const { kernel } = await openCached(cache)
  const [[key, tile], ...others] = Object.entries(readCache(cache))
  assert.equal([tile, others], [kernel.tile, []])
  for (const part of [process.arch, RUNTIME_TITLE.toLowerCase(), 'simd']) assert.ok(key.includes(part), key)
  // Whatever is kept is taken, and what else is kept stays.
  for (const kept of TILES) {
    const text = JSON.stringify({ other: '4x8', [key]: kept })
    writeFileSync(cacheFile(cache), text)
    const opened = await openCached(cache)
    assert.is(opened.kernel.tile, kept)
    assert.equal(opened.lines, [`kernel simd, tile ${kept}, 1 thread`])
    assert.is(readFileSync(cacheFile(cache), 'utf8'), text)
  }
  writeFileSync(cacheFile(cache), JSON.stringify({ other: '4x8', [key]: '9x9' }))
  const again = await openCached(cache)
  assert.equal(readCache(cache), { other: '4x8', [key]: again.kernel.tile })
})

test('a tile that is asked for, the scalar build and short work measure nothing', async () => {
  const cache = join(at, 'unused')
  for (const tile of TILES) assert.is((await openCached(cache, '--tile', tile)).kernel.tile, tile)
  assert.equal((await openCached(cache, '--build', 'scalar')).lines, ['kernel scalar, tile 4x8, 1 thread'])
  const { XDG_CACHE_HOME } = process.env
  process.env.XDG_CACHE_HOME = cache
  assert.is((await openProgramKernel(createHost(), settingsOf(KERNEL_SETTINGS, []), { measure: false })).kernel.tile, TILES[0])
  if (XDG_CACHE_HOME === undefined) delete process.env.XDG_CACHE_HOME
  else process.env.XDG_CACHE_HOME = XDG_CACHE_HOME
  assert.not.ok(existsSync(cache))
})

test('a damaged cache is measured anew', async () => {
  const cache = join(at, 'damaged')
  mkdirSync(join(cache, 'kerf'), { recursive: true })
  for (const text of ['{', 'null', '["4x8"]', '\0\xff']) {
    writeFileSync(cacheFile(cache), text, 'latin1')
    const { kernel } = await openCached(cache)
    assert.ok(Object.values(readCache(cache)).includes(kernel.tile), text)
  }
})

test('a cache that cannot be written does no harm', async () => {
  const file = join(at, 'a file'), full = join(at, 'full')
  writeFileSync(file, '')
  mkdirSync(cacheFile(full), { recursive: true })
  for (const cache of [file, join(file, 'below'), full]) assert.ok(TILES.includes((await openCached(cache)).kernel.tile), cache)
  assert.is(readFileSync(file, 'utf8'), '')
  // Without a home, and with a relative path, there is no cache, and none in the directory of the call.
  const before = process.cwd()
  process.chdir(at)
  try {
    for (const cache of ['', 'relative']) assert.ok(TILES.includes((await openCached(cache)).kernel.tile))
  } finally {
    process.chdir(before)
  }
  for (const name of ['.cache', 'kerf', 'relative']) assert.not.ok(existsSync(join(at, name)), name)
})

test('profile, build and tile are refused by name', async () => {
  for (const [args, expected] of [
    [['--profile', 'fast', '--build', 'scalar'], '--build: expected auto with --profile fast, got "scalar"'],
    [['--profile', 'fast', '--build', 'simd'], '--build: expected auto with --profile fast, got "simd"'],
    [['--profile', 'exact'], '--profile: expected strict, fast, got "exact"'],
    [['--tile', '9x9'], `--tile: expected auto, ${TILES.join(', ')}, got "9x9"`],
    [['--build', 'relaxed'], '--build: expected auto, simd, scalar, got "relaxed"'],
  ] as const) assert.is((await refusalOf(open(...args))).message, expected)
  for (const args of [['--profile', 'fast', '--build', 'scalar'], ['--tile', '9x9']]) {
    const { exitCode, stderr } = runKerf(['plan', '--model', model, ...args])
    assert.is(exitCode, 2)
    assert.match(stderr, /^kerf: --(build|tile): expected auto[^\n]+\n$/)
  }
})

test('the fast profile: fused where the host can, else strict, and it says so', async () => {
  const fast = await train('fast', { profile: 'fast' })
  const strict = /^--profile fast: this host has no relaxed SIMD \(node [\d.]+\); strict instead$/m.test(fast.stderr)
  assert.match(fast.stderr, strict ? /^kernel simd, tile / : /^kernel relaxed, tile /)
  if (strict) assert.is(fast.adapter, plain.adapter)
  // Here in this process, whose engine may need to be told.
  assert.is(strict, RELAXED_FLAGS.length > 0 || missingRelaxed() !== undefined)
})

test('the fast profile with the engine told: the run of the strict one but for rounding, in every thread', async () => {
  const lacks = missingRelaxed()
  if (lacks) return skipTest(lacks)
  const out = join(at, 'relaxed')
  const { exitCode, stderr } = await startProcess(process.execPath, [
    ...RELAXED_FLAGS, PROGRAM, 'train', ...flagsOf({ ...RUN, out, profile: 'fast', threads: 2 }),
  ]).ended
  assert.is(exitCode, 0, stderr)
  assert.match(stderr, /^kernel relaxed, tile \d+x\d+, [12] threads?$/m)
  const losses = readMetrics(out).filter(({ event }) => event === 'step').map(({ loss }) => loss)
  const exact = readMetrics(join(at, 'plain')).filter(({ event }) => event === 'step').map(({ loss }) => loss)
  assert.is(losses.length, exact.length)
  losses.forEach((loss, index) => assert.ok(Math.abs(loss - exact[index]) < 1e-4, `${loss} ${exact[index]}`))
})

test.run()
