import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { formatBytes, formatCount, formatNumber, formatPercent, formatSeconds } from '../../runtime/text/quantity.ts'
import { nameSchemes, totalScheme, type SchemeReport } from '../../runtime/report/report.ts'
import { formatTable } from '../../runtime/report/table.ts'
import { makeReport } from './sample.ts'

const COLUMNS_MAX = 110

function rowsOf(table: string): string[] {
  const lines = table.split('\n')
  const rule = lines.findIndex((line) => line.startsWith('---'))
  return lines.slice(rule + 1, lines.findIndex((line) => line.startsWith('Device memory')))
}

test('one aligned line for each scheme', () => {
  const report = makeReport()
  const table = formatTable(report)
  const rows = rowsOf(table)
  assert.equal(rows.map((row) => row.split(' ')[0]), report.schemes.map((scheme) => scheme.scheme))
  assert.is(new Set(rows.map((row) => row.length)).size, 1)
  assert.match(rows[0], /^kerf +16\.6 -> 87\.0 +0\.825 +203 MiB +532 MiB +389 MiB +389 MiB +104 s +259 s +54\.2 s$/)
  assert.match(rows[5], /^central .* -  /)
  assert.ok(table.endsWith('scores 34.8 %.\n'))
})

test('numbers are those of the report', () => {
  const scheme = makeReport().schemes[0]
  const totals = totalScheme(scheme)
  assert.is(totals.samples, 16000)
  assert.is(totals.drops, 2)
  assert.is(totals.upBytes, scheme.devices.map((device) => device.upBytes).reduce((a, b) => a + b))
  assert.is(totals.deviceMemoryBytesMax, scheme.devices[4].memoryBytes)
  assert.is(totals.computeMs, totals.deviceComputeMs + scheme.server.computeMs)
  assert.is(totals.waitMs, totals.deviceWaitMs + scheme.server.waitMs)
})

test('wide numbers, long names and other alphabets stay within the width and in ASCII', () => {
  const report = makeReport()
  const widen = (scheme: SchemeReport, index: number): SchemeReport => ({
    ...scheme,
    scheme: index < 3 ? 'splitlora' : `схема-${'x'.repeat(80)}`,
    scheduler: `longest-backward-${index}`,
    accuracyBefore: 1,
    accuracyAfter: 1,
    wallMs: 99_999_999,
    server: { ...scheme.server, memoryBytes: 1023 * 1024 * 1024, computeMs: 88_888_888, waitMs: 77_777_777 },
  })
  const table = formatTable({ ...report, schemes: report.schemes.map(widen) })
  for (const line of table.split('\n')) assert.ok(line.length <= COLUMNS_MAX, `${line.length}: ${line}`)
  assert.match(table, /^[\x20-\x7e\n]*$/)
  assert.match(table, 'splitlora/')
  assert.match(table, '~')
})

test('numbers that are missing show as a dash; no scheme is said in words', () => {
  const report = makeReport(1)
  const scheme = { ...report.schemes[0], accuracyAfter: NaN, macroF1After: NaN, majorityAccuracy: NaN, wallMs: Infinity }
  const table = formatTable({ ...report, schemes: [scheme] })
  assert.not.match(table, /NaN|Infinity|commonest/)
  assert.match(table, /16\.6 -> +- +- /)
  assert.is(formatTable({ ...report, schemes: [] }), 'No scheme was run.\n')
})

test('schemes that ran several times get distinct names', () => {
  const [kerf, sl] = makeReport().schemes
  assert.equal(nameSchemes([kerf, sl]), ['kerf', 'sl'])
  const fifo = { ...kerf, scheduler: 'fifo' }
  assert.equal(nameSchemes([kerf, fifo, fifo, sl, sl]), ['kerf/longest-backward', 'kerf/fifo', 'kerf/fifo#2', 'sl', 'sl#2'])
})

test('quantities keep three digits across their steps', () => {
  assert.equal([0, 0.5, 999, 1000, 1023, 1024, 10 * 1024 - 1, 123456, 1e6, 2.5 * 2 ** 30, 2 ** 60].map(formatBytes), [
    '0 B', '1 B', '999 B', '0.98 KiB', '1.00 KiB', '1.00 KiB', '10.0 KiB', '121 KiB', '977 KiB', '2.50 GiB', '1024 PiB',
  ])
  assert.equal([0, 0.00001, 0.0123, 0.9996, 9.996, 12.34, 99.96, 12345, -1.5, NaN].map(formatNumber), [
    '0', '0.000010', '0.012', '1.00', '10.0', '12.3', '100', '12345', '-1.50', '–',
  ])
  assert.equal([formatSeconds(0), formatSeconds(850), formatSeconds(61234), formatSeconds(NaN)], ['0 s', '0.850 s', '61.2 s', '–'])
  const counts = [formatPercent(0.91249), formatPercent(1), formatCount(999), formatCount(109486854)]
  assert.equal(counts, ['91.2 %', '100.0 %', '999', '109\u202f486\u202f854'])
})

test.run()
