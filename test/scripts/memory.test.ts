/** The server's memory: what one more device adds, the same figures as the forecast, and a process that really takes them. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { TAKES, formatRows, measureRows, planServer } from '../../scripts/memory.ts'
import type { Row } from '../../scripts/memory.ts'
import { forecastRun } from '../../runtime/forecast/forecast.ts'
import type { ModelConfig } from '../../runtime/model/config.ts'
import { layoutOf } from '../../runtime/model/layout.ts'
import { planStage } from '../../runtime/model/plan.ts'
import type { SchemeName } from '../../runtime/split/scheme.ts'
import { SCHEME_NAMES } from '../../runtime/split/scheme.ts'
import { flagTable, readSettings } from '../../runtime/program/settings.ts'
import { parseFlags } from '../../runtime/program/flags.ts'
import { chooseLora, fitCuts } from '../../runtime/program/shape.ts'
import { createHost } from '../../targets/node/host.ts'
import { openKernelBuild } from '../kernels.ts'

const CONFIG: ModelConfig = {
  vocabSize: 97, hiddenSize: 24, layers: 4, heads: 3, intermediateSize: 40, positionsMax: 64, typesMax: 2, layerNormEps: 1e-12, labels: [],
}
const ALIGNMENT_BYTES = 64

const kernel = await openKernelBuild('simd')
const settings = readSettings(TAKES, parseFlags(flagTable(TAKES), ['--batch', '4', '--max-length', '16', '--rank', '3'], 0))
const adapter = await chooseLora(createHost().files, settings)

const plansOf = (scheme: SchemeName, devices: number) =>
  planServer(settings, CONFIG, adapter, { scheme, devices }).map((spec) => planStage(spec, kernel.exports).memory)
const usedBytes = (scheme: SchemeName, devices: number) => plansOf(scheme, devices).reduce((sum, plan) => sum + plan.usedBytes, 0)

test('kerf: one more device adds its adapter set with two moments, to the byte', () => {
  const cuts = fitCuts(settings, 24, CONFIG.layers)
  for (let devices = 3; devices <= 24; devices++) {
    const { count } = layoutOf(CONFIG, adapter, 6, cuts[devices - 1], CONFIG.layers)
    const part = Math.ceil((4 * count) / ALIGNMENT_BYTES) * ALIGNMENT_BYTES
    assert.is(usedBytes('kerf', devices) - usedBytes('kerf', devices - 1), 3 * part, `device ${devices - 1}`)
  }
})

test('sl and splitlora: the server does not depend on the number of devices', () => {
  for (const scheme of ['sl', 'splitlora'] as const) assert.equal(plansOf(scheme, 24), plansOf(scheme, 2))
})

test('sfl: a model for each device', () => {
  assert.is(plansOf('sfl', 24).length, 24)
  assert.is(usedBytes('sfl', 24), 4 * usedBytes('sfl', 6))
})

test('every scheme: the same bytes as the forecast', () => {
  const input = { config: CONFIG, labels: 6, adapter, batch: 4, tokens: 16, longest: 16, interval: 10, codec: 'f32' as const }
  for (const scheme of SCHEME_NAMES) {
    for (const devices of [2, 6]) {
      const { serverBytes } = forecastRun({ ...input, cuts: fitCuts(settings, devices, CONFIG.layers) }, scheme, kernel, () => 0)
      assert.is(plansOf(scheme, devices).reduce((sum, { bytes }) => sum + bytes, 0), serverBytes, `${scheme} with ${devices}`)
    }
  }
})

test('a process takes what the plan says', async () => {
  const [kerf, sfl] = await measureRows(['--lengths', '64'], [{ scheme: 'kerf', devices: 6 }, { scheme: 'sfl', devices: 6 }])
  for (const row of [kerf, sfl]) {
    assert.is(row.linearBytes, row.planBytes)
    assert.ok(row.residentBytes > 0.9 * row.planBytes, `${row.scheme}: expected ${row.planBytes} resident bytes, got ${row.residentBytes}`)
    assert.ok(row.residentBytes < row.planBytes + 2 ** 24, `${row.scheme}: expected about ${row.planBytes} resident bytes, got ${row.residentBytes}`)
  }
  assert.ok(kerf.residentBytes < 0.5 * sfl.residentBytes)
})

test('the table shows growth from row to row of one scheme', () => {
  const row = (scheme: SchemeName, devices: number, bytes: number): Row => (
    { scheme, devices, planBytes: bytes, linearBytes: bytes, residentBytes: 10 * bytes, arrayBufferBytes: 0, externalBytes: 1 })
  const lines = formatRows([row('kerf', 2, 1000), row('kerf', 6, 1400), row('sl', 2, 7)]).split('\n')
  assert.match(lines[1], /^kerf +2 +1 000 +1 000 +10 000 +0 +1$/)
  assert.match(lines[2], /^kerf +6 +1 400 +1 400 +14 000 +0 +1 +100 +1 000$/)
  assert.match(lines[3], /^sl +2 +7 +7 +70 +0 +1$/)
})

test.run()
