/** The matrix: a host that runs, one that is missing, one that crashes, and how a difference is told. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { describeFailure, nameElement } from '../../scripts/conform/difference.ts'
import type { Host } from '../../scripts/conform/host.ts'
import { formatMatrix, formatPage } from '../../scripts/conform/matrix.ts'
import type { Row, Run } from '../../scripts/conform/matrix.ts'
import { readParts } from '../../scripts/conform/part.ts'
import { formatMessage, readMessages } from '../../scripts/conform/protocol.ts'
import { HOSTS as NODES } from '../../scripts/conform/hosts/node.ts'
import { scriptArgs } from '../../scripts/runtime.ts'

const major = process.versions.node.split('.')[0]

/** Without hosts from npm, and with no program but node on the path. */
function conform(args: readonly string[], env: Record<string, string> = {}) {
  const out = mkdtempSync(join(tmpdir(), 'kerf-conform-test-'))
  try {
    const { status, stdout } = spawnSync(process.execPath, scriptArgs('scripts/conform/conform.ts', ['--out', out, ...args]), {
      encoding: 'utf8', env: { ...process.env, CI: '', KERF_HOSTS: `${out}/none/`, PATH: out, ...env },
    })
    return { status, stdout, run: JSON.parse(readFileSync(join(out, 'conformance.json'), 'utf8')) as Run }
  } finally {
    rmSync(out, { recursive: true, force: true })
  }
}

test('this Node gives the published bits; a host that is not here is named with what installs it', () => {
  const args = ['--host', `node ${major}`, '--host', 'deno', '--build', 'scalar']
  const { status, stdout, run } = conform(args)
  assert.is(status, 0, stdout)
  const [row] = run.rows.filter(({ host }) => host === `Node ${major}`)
  assert.is(row.verdict, 'equal')
  assert.is(row.digest, run.parts.all.digest)
  assert.ok(row.passed === row.cases && row.cases > 1300)
  assert.ok(run.missing.some(({ host, install }) => host === 'Deno' && install === 'npm package deno'))
  assert.match(stdout, /^Deno: not here; needs npm package deno$/m)
})

test('where CI=true a missing host is a failure', () => {
  const { status, run } = conform(['--host', 'deno'], { CI: 'true' })
  assert.is(status, 1)
  assert.equal(run.missing.map(({ host }) => host), ['Deno'])
})

test('a name that is no host fails', () => {
  assert.is(conform(['--host', 'abacus']).status, 1)
})

test('every host says what installs it and runs a strict build', () => {
  const hosts: readonly Host[] = NODES
  for (const { install, builds } of hosts) assert.ok(install !== '' && builds.includes('scalar'))
})

test('lines of the suite are found among a host\'s own', () => {
  const failure = { kind: 'failure', case: 'a', tensor: 'out', element: 'f32', expected: '0', got: '1' } as const
  assert.equal(readMessages(['warning: slow', `[log] ${formatMessage(failure)}`, '']), [failure])
})

test('a difference is named by its first element, with both values and their bits', async () => {
  const failure = { case: 'add n=3', tensor: 'out', element: 'f32', expected: 'e', got: 'g' } as const
  const bytes = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer)
  assert.is(nameElement(failure, bytes(1, 2, 3), bytes(1, -2, 4)), 'add n=3: out[1]: expected 2 (bits 40000000), got -2 (bits c0000000)')
  const told = nameElement({ ...failure, way: 'tile 6x8' }, bytes(1), bytes(2))
  assert.is(told, 'add n=3 (tile 6x8): out[0]: expected 1 (bits 3f800000), got 2 (bits 40000000)')
  assert.is(nameElement(failure, bytes(1), bytes(1, 2)), 'add n=3: out: expected 4 bytes, got 8')
  assert.is(await describeFailure(failure), 'add n=3: out: expected e, got g')
  // The reference is computed on this host, and lies within ±2.
  const described = await describeFailure({ ...failure, hex: '0000b840'.repeat(3) })
  assert.match(described, /^add n=3: out\[0\]: expected \S+ \(bits [0-9a-f]{8}\), got 5.75 \(bits 40b80000\)$/)
})

test('the matrix shows what fuses, what differs and what failed', () => {
  const row: Row = {
    host: 'Abacus', version: '1', engine: 'beads', build: 'fast', cases: 3, passed: 3, digest: 'd', ms: 1500, part: 'all', fused: true, gap: 1e-6,
    modelGap: 2e-3, verdict: 'within tolerance',
  }
  const differing: Row = { ...row, fused: undefined, gap: undefined, build: 'simd', verdict: 'differs', differs: 'add: <out>' }
  const rows: Row[] = [row, differing, { ...row, verdict: 'failed', differs: 'hung' }]
  const text = formatMatrix(rows)
  assert.match(text, /within tolerance \(1\.0e-6, models 2\.0e-3\), fuses/)
  assert.match(text, /differs: add: <out>/)
  assert.match(text, /FAILED: hung/)
  const parts = readParts()
  const page = formatPage({ date: 'today', parts, rows, left: [], missing: [{ host: 'Dial', install: 'a dial' }], seconds: 3 })
  assert.match(page, /differs: add: &#60;out&#62;/)
  assert.match(page, /<td>Dial<\/td><td colspan="7">missing: a dial<\/td>/)
})

test.run()
