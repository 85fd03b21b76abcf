/** The suite as one ES5 script: on an engine with nothing but ES5 and typed arrays, and as a row of an engine that is here. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { nameCase } from '../../runtime/cases/case.ts'
import { CASES } from '../../runtime/cases/table.ts'
import { STAGE_CASES } from '../../runtime/conformance/stages.ts'
import { FOLDER } from '../../scripts/conform/bundle.ts'
import { HOSTS, writeSuite } from '../../scripts/conform/hosts/script.ts'
import { readParts } from '../../scripts/conform/part.ts'
import { readMessages } from '../../scripts/conform/protocol.ts'
import { readExpected } from '../../scripts/conform/published.ts'
import { skipTest } from '../skip.ts'
import { readNames } from '../targets/embedded.form.ts'
import { GLOBALS, bareHost } from '../targets/embedded.script.ts'

const parts = readParts()
const script = await writeSuite(false)
/** ES5's too, which the embedded script has no need of, and what the suite is handed. */
const OTHERS = ['Date', 'Infinity', 'parseInt', 'print']

test('it is ES5 and takes nothing but the language\'s own and `print`', () => {
  const { taken, declared } = readNames(script)
  assert.equal([...declared], ['kerfConform'])
  assert.equal([...taken].filter((name) => !OTHERS.includes(name) && !GLOBALS.some((known) => known === name)), [])
})

test('a bare engine gives the published bits, the wire\'s among them; a digest that is not the published one is a failure by name', async () => {
  const name = 'matmul N=1 O=1 I=1 accumulated, its order'
  const { out } = readExpected()[name]
  const changed = script.replace(`"${name}":{"out":"${out}"`, `"${name}":{"out":"0"`)
  const [failure, score, ...more] = readMessages((await bareHost.run(changed)).lines)
  assert.ok(more.length === 0 && failure.kind === 'failure' && score?.kind === 'score', JSON.stringify([failure, score]).slice(0, 1000))
  assert.equal([failure.case, failure.tensor, failure.expected, failure.got, failure.hex?.length], [name, 'out', '0', out, 8])
  const { cases, digest } = parts['all but large, one model']
  assert.equal([score.part, score.passed, score.cases, score.digest], ['all but large, one model', cases - 1, cases, digest])
})

test('a part names every case that it lacks', () => {
  const large = CASES.filter((it) => it.large).map(nameCase), models = STAGE_CASES.map(({ name }) => name)
  const { without } = parts['all but large, one model']
  assert.equal([...without].sort(), [...large, ...models.filter((name) => name !== 'model three steps, device')].sort())
  for (const { cases, without: lacking } of Object.values(parts)) assert.is(cases + lacking.length, parts.all.cases)
  assert.equal(parts.all.without, [])
  assert.is(new Set(Object.values(parts).map(({ digest }) => digest)).size, Object.keys(parts).length)
})

test('Hermes: a row', async () => {
  const host = HOSTS.find(({ name }) => name === 'Hermes')!
  if (host.find() === undefined) {
    if (process.env.KERF_REQUIRE_ALL !== '1') return skipTest(`no ${host.name}: ${host.install}`)
    host.fetch!()
  }
  const scratch = mkdtempSync(join(tmpdir(), 'kerf-conform-test-'))
  try {
    const [score] = readMessages(await host.run({ folder: FOLDER, binaries: 'dist', scratch }, 'wasm2js'))
    assert.ok(score.kind === 'score' && score.passed === score.cases && score.digest === parts['all but large, one model'].digest)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
})

test.run()
