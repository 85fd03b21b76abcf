/** Device profiles: what is written is read, what is damaged is refused by name, what is estimated follows the rates. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { DeviceProfile } from '../../runtime/model/profile.ts'
import { estimateSeconds, formatProfile, parseProfile } from '../../runtime/model/profile.ts'
import { formatBench, otherMs } from '../../runtime/bench/table.ts'
import { KerfError } from '../../runtime/error.ts'
import type { Device } from '../../runtime/forecast/seconds.ts'
import { doubtSeconds, estimateSteps, formatSteps } from '../../runtime/forecast/seconds.ts'
import type { SchemeForecast } from '../../runtime/forecast/forecast.ts'
import { presetConfig } from '../../runtime/bench/presets.ts'

const PROFILE: DeviceProfile = {
  format: 'kerf-device-profile', version: 1,
  kernel: { build: 'relaxed', bytes: 17000, tile: '6x8', threads: 2, dtype: 'f16' },
  host: { name: 'node', version: '20.1.0', machine: 'a board', memoryBytesMax: 1e9 },
  peakGflops: 50,
  tiles: [{ tile: '6x8', gflops: 40 }, { tile: '5x16', gflops: 35.5 }, { tile: '4x8', gflops: 30 }],
  operations: [
    { operation: 'matmul', sizes: '20 × 128 → 512', rows: 20, ms: 0.1, gflops: 26, gbps: 3 },
    { operation: 'crc32c', sizes: '80 bytes', rows: 0, ms: 0.01, gflops: 0, gbps: 1 },
  ],
  step: {
    model: 'BERT-tiny', cut: 1, batch: 4, length: 32, rank: 8,
    hiddenSize: 128, intermediateSize: 512, heads: 2, layers: 2, targets: ['query', 'value'],
  },
  steps: [
    { rows: 20, forwardMs: 1, backwardMs: 2, forwardGflops: 10, backwardGflops: 20 },
    { rows: 120, forwardMs: 3, backwardMs: 5, forwardGflops: 30, backwardGflops: 10 },
  ],
  whole: { rows: 120, forwardMs: 5, backwardMs: 15, forwardGflops: 18, backwardGflops: 6 },
  parts: [
    { phase: 'forward', operation: 'query linear', count: 2, ms: 1.5, gflops: 25, gbps: 1 },
    { phase: 'backward', operation: 'clear gradients', count: 1, ms: 0.5, gflops: 0, gbps: 40 },
  ],
}

test('what is written is read', () => {
  assert.equal(parseProfile(formatProfile(PROFILE)), PROFILE)
  const unknown = { ...PROFILE, host: { ...PROFILE.host, memoryBytesMax: null } }
  assert.equal(parseProfile(formatProfile(unknown)), unknown)
})

test('further fields are left out', () => {
  assert.equal(parseProfile(JSON.stringify({ ...PROFILE, note: 'mine' })), PROFILE)
})

/** The profile with the value at a path replaced, or without it. */
function damage(path: readonly (string | number)[], value?: unknown): string {
  const copy = JSON.parse(formatProfile(PROFILE)) as Record<string, unknown>
  const last = path[path.length - 1]
  const parent = path.slice(0, -1).reduce<Record<string, unknown>>((at, key) => at[key] as Record<string, unknown>, copy)
  if (value === undefined) delete parent[last]
  else parent[last] = value
  return JSON.stringify(copy)
}

const REFUSED: readonly (readonly [string, string, RegExp])[] = [
  ['cut short', formatProfile(PROFILE).slice(0, -9), /^d\.json: expected valid JSON/],
  ['a list', '[]', /^d\.json: expected a JSON object/],
  ['another format', damage(['format'], 'other'), /^d\.json\.format: expected kerf-device-profile, got "other"/],
  ['another version', damage(['version'], 2), /^d\.json\.version: expected 1, got 2/],
  ['no kernel', damage(['kernel']), /^d\.json\.kernel: expected a JSON object/],
  ['no build', damage(['kernel', 'build'], ''), /^d\.json\.kernel\.build: expected text/],
  ['no tile', damage(['kernel', 'tile'], '3x3'), /^d\.json\.kernel\.tile: expected 4x8, 6x8, 3x12, 5x16, got "3x3"/],
  ['no threads', damage(['kernel', 'threads'], 0), /^d\.json\.kernel\.threads: expected a whole number of at least 1, got 0/],
  ['too many threads', damage(['kernel', 'threads'], 65), /^d\.json\.kernel\.threads: expected at most 64, got 65/],
  ['another dtype', damage(['kernel', 'dtype'], 'int4'), /^d\.json\.kernel\.dtype: expected f32, f16, int8, got "int4"/],
  ['tiles no list', damage(['tiles']), /^d\.json\.tiles: expected a list/],
  ['a tile without a rate', damage(['tiles', 1, 'gflops'], 0), /^d\.json\.tiles\[1\]\.gflops: expected a number above 0, got 0/],
  ['no whole step', damage(['whole']), /^d\.json\.whole: expected a JSON object/],
  ['long text', damage(['host', 'machine'], 'x'.repeat(257)), /^d\.json\.host\.machine: expected text/],
  ['half a byte', damage(['host', 'memoryBytesMax'], 1.5), /^d\.json\.host\.memoryBytesMax: expected a whole number/],
  ['no memory', damage(['host', 'memoryBytesMax']), /^d\.json\.host\.memoryBytesMax: expected a whole number/],
  ['no peak', damage(['peakGflops'], 0), /^d\.json\.peakGflops: expected a number above 0, got 0/],
  ['text for a number', damage(['peakGflops'], '50'), /^d\.json\.peakGflops: expected a number above 0, got "50"/],
  [
    'too large a number', formatProfile(PROFILE).replace('"peakGflops": 50', '"peakGflops": 1e999'),
    /^d\.json\.peakGflops: .* got Infinity/,
  ],
  ['a negative rate', damage(['operations', 1, 'gbps'], -1), /^d\.json\.operations\[1\]\.gbps: expected a number of at least 0, got -1/],
  ['no time', damage(['operations', 0, 'ms'], 0), /^d\.json\.operations\[0\]\.ms: expected a number above 0/],
  ['operations no list', damage(['operations'], {}), /^d\.json\.operations: expected a list/],
  ['no targets', damage(['step', 'targets'], []), /^d\.json\.step\.targets: expected a list of 1/],
  ['a target no text', damage(['step', 'targets', 1], 7), /^d\.json\.step\.targets\[1\]\.target: expected text/],
  ['no width', damage(['step', 'hiddenSize'], 0), /^d\.json\.step\.hiddenSize: expected a whole number of at least 1, got 0/],
  ['no steps', damage(['steps'], []), /^d\.json\.steps: expected a list of 1/],
  ['a step without a rate', damage(['steps', 1, 'backwardGflops']), /^d\.json\.steps\[1\]\.backwardGflops: expected a number above 0/],
  ['rows that do not rise', damage(['steps', 1, 'rows'], 20), /^d\.json\.steps\[1\]\.rows: expected more than 20, got 20/],
  ['a third phase', damage(['parts', 0, 'phase'], 'update'), /^d\.json\.parts\[0\]\.phase: expected forward, backward, got "update"/],
  ['a part no object', damage(['parts', 1], null), /^d\.json\.parts\[1\]: expected a JSON object/],
]

for (const [what, text, message] of REFUSED) {
  test(`refused: ${what}`, () => {
    try {
      parseProfile(text, 'd.json')
    } catch (error) {
      assert.instance(error, KerfError)
      assert.match((error as KerfError).message, message)
      return
    }
    assert.unreachable()
  })
}

test('seconds: two flops for each multiply-add, straight lines between the sizes, level beyond them', () => {
  const work = { forward: 5e9, backward: 1e9 }
  assert.equal(estimateSeconds(PROFILE, work, 20), { forward: 1, backward: 0.1 })
  assert.equal(estimateSeconds(PROFILE, work, 3), { forward: 1, backward: 0.1 })
  assert.equal(estimateSeconds(PROFILE, work, 120), { forward: 1 / 3, backward: 0.2 })
  assert.equal(estimateSeconds(PROFILE, work, 5000), { forward: 1 / 3, backward: 0.2 })
  // Half way: 20 and 15 GFLOP/s.
  assert.equal(estimateSeconds(PROFILE, work, 70), { forward: 0.5, backward: 2 / 15 })
})

const work = (forward: number) => ({ forward, backward: 2 * forward })
const FORECAST = {
  parties: [
    { party: 'device', clients: [1], memory: { bytes: 500 }, format: 'f16' },
    { party: 'device', clients: [0, 2], memory: { bytes: 2e9 }, format: 'f16' },
    { party: 'server', clients: [0, 1, 2], memory: { bytes: 9e9 }, format: 'f32' },
  ],
  clients: [{ cut: 1, clients: [1], device: work(5e9) }, { cut: 2, clients: [0, 2], device: work(1e10) }],
} as unknown as SchemeForecast
const FAST: DeviceProfile = {
  ...PROFILE, steps: [{ ...PROFILE.steps[0], forwardGflops: 100, backwardGflops: 100 }], host: { ...PROFILE.host, memoryBytesMax: null },
}

test('each client by its own device, or all by the one, in the order of the clients', () => {
  const slow = { name: 'slow', profile: PROFILE }, fast = { name: 'fast', profile: FAST }
  assert.equal(estimateSteps(FORECAST, [slow], 20), [
    { client: 0, cut: 2, device: 'slow', forward: 2, backward: 2 },
    { client: 1, cut: 1, device: 'slow', forward: 1, backward: 1 },
    { client: 2, cut: 2, device: 'slow', forward: 2, backward: 2 },
  ])
  const steps = estimateSteps(FORECAST, [slow, fast, fast], 20)
  assert.equal(steps.map(({ device, forward }) => [device, forward]), [['slow', 2], ['fast', 0.1], ['fast', 0.2]])
  const doubted = /cut 2 +slow +2\.00 +2\.00 +4\.00\ncut 1 +fast +0\.100 +0\.200 +0\.300\ncut 2 +fast .*\na doubt\n$/
  assert.match(formatSteps(steps, ['a doubt']), doubted)
  assert.match(formatSteps(estimateSteps(FORECAST, [slow], 20), []), /cut 2 x2 +slow/)
})

test('doubts: other widths, another format, too little memory', () => {
  const devices = [{ name: 'slow', profile: PROFILE }, { name: 'fast', profile: FAST }, { name: 'slow', profile: PROFILE }]
  assert.equal(doubtSeconds(FORECAST, devices, presetConfig('tiny')), [
    'client 0 needs 1.86 GiB, slow has at most 954 MiB.', 'client 2 needs 1.86 GiB, slow has at most 954 MiB.',
  ])
  const doubts = doubtSeconds(FORECAST, devices.slice(1, 2), presetConfig('mini'))
  assert.equal(doubts, ['fast was measured at width 128, hidden 512, not 256 and 1024.'])
  const wide: Device = { name: 'wide', profile: { ...FAST, kernel: { ...FAST.kernel, dtype: 'f32' } } }
  assert.equal(doubtSeconds(FORECAST, [wide], presetConfig('tiny')), ['wide was measured with weights in f32, not f16.'])
})

test('tables: shares of the step and of as many peaks as threads, what the parts leave, a dash where nothing is computed', () => {
  assert.is(otherMs(PROFILE), 20 - 3.5)
  const text = formatBench(PROFILE)
  assert.match(text, /^kernel relaxed, 17000 bytes, tile 6x8; steps on 2 threads, weights in f16$/m)
  assert.match(text, /^GFLOP\/s of one thread: in registers 50\.0, tile 6x8 40\.0, tile 5x16 35\.5, tile 4x8 30\.0$/m)
  assert.match(text, /^120 +3\.00 +30\.0 +30\.0 +5\.00 +10\.0 +10\.0 +40000 +15000$/m)
  assert.match(text, /^Where the time of one training step of 120 rows on one thread goes/m)
  assert.match(text, /^forward query linear +2 +1\.50 +3\.00 +15\.0 +25\.0 +50\.0 +1\.00$/m)
  assert.match(text, /^backward clear gradients +1 +0\.500 +0\.500 +2\.5 +- +- +40\.0$/m)
  assert.match(text, /^other +16\.5 +82\.5$/m)
  assert.match(text, /^whole step +20\.0 +100\.0$/m)
  assert.match(text, /^crc32c +80 bytes +0\.0100 +- +- +1\.00$/m)
})

test.run()
