/** CONFORMANCE.md suffices: a reader written from it, in plain Python, finds the published bits, and a changed one. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { CASES_FILE, readCases } from '../../scripts/conform/published.ts'
import { skipTest } from '../skip.ts'

const READER = fileURLToPath(new URL('../../scripts/conform/reader.py', import.meta.url))
const LINES_MAX = 150
const missing = spawnSync('python3', ['--version']).status === 0 ? undefined : 'no python3'

const run = (file: string) => spawnSync('python3', [READER, file], { encoding: 'utf8' })

test('the reader is short', () => {
  assert.ok(readFileSync(READER, 'utf8').trimEnd().split('\n').length <= LINES_MAX)
})

test('it gives the published bits', () => {
  if (missing !== undefined) return skipTest(missing)
  const { status, stdout } = run(fileURLToPath(CASES_FILE))
  const [, passed, cases, operations] = /(\d+) of (\d+) cases, (\d+) operations/.exec(stdout)!
  assert.is(status, 0, stdout)
  assert.is(passed, cases)
  assert.ok(Number(operations) >= 12 && Number(cases) > 800, stdout)
})

test('it names a tensor whose digest is another', () => {
  if (missing !== undefined) return skipTest(missing)
  const folder = mkdtempSync(join(tmpdir(), 'kerf-reader-'))
  try {
    const found = readCases().find(({ case: name }) => name === 'layerNorm N=5 C=7')!
    const file = join(folder, 'cases.ndjson')
    writeFileSync(file, `${JSON.stringify({ ...found, expect: { ...found.expect, stats: '0123456789abcdef' } })}\n`)
    const { status, stdout } = run(file)
    assert.is(status, 1)
    assert.match(stdout, /^layerNorm N=5 C=7: stats differs\n0 of 1 cases/)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test.run()
