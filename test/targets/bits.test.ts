/** A kernel that computes other bits on this host: a device with one is refused by name before it trains, and nothing else runs on it. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { cpSync, existsSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { SELF_TEST_DIGEST } from '../../runtime/cases/selftest.digests.ts'
import { MUTANTS, compileMutant } from '../conformance/mutant.ts'
import { LABELS, PROGRAM, flagsOf, killAll, makeRoom, startKerf, startProcess } from './cli.ts'

const { at, model, data, val } = makeRoom()
const [mutant] = MUTANTS
const dist = join(at, 'dist')
cpSync(dirname(PROGRAM), dist, { recursive: true })
writeFileSync(join(dist, `kerf.${mutant.build}.wasm`), compileMutant(mutant))
const WRONG = `"[0-9a-f]{16}, otherwise in sumRow n=1021"`

test.after.each(killAll)

const startWrong = (args: readonly string[]) => startProcess(process.execPath, [join(dist, 'kerf.js'), ...args, '--build', mutant.build])

test('a device is refused by a strict run, both sides name the case, and the run goes on with another', async () => {
  const BASE = { model, val, clients: 1, cuts: '1', steps: 2, batch: 4, labels: LABELS.join(',') }
  const server = startKerf(['serve', ...flagsOf({ ...BASE, port: 0, out: join(at, 'run') })])
  const [, url] = await server.until(/listening on (ws:\/\/[^ ]+)/)
  const device = flagsOf({ model, data })
  const refused = await startWrong(['join', url, ...device]).ended
  assert.is(refused.exitCode, 2, refused.stderr)
  const line = `ready\\.share\\.bits: expected ${SELF_TEST_DIGEST}, as in a strict run every engine gives, got ${WRONG}`
  assert.match(refused.stderr, new RegExp(`^kerf: ${line}$`, 'm'))
  assert.match(server.stderr(), new RegExp(`refused: ${line}$`, 'm'))
  assert.not(existsSync(join(at, 'run', 'metrics.jsonl')), 'nothing was trained')
  for (const { ended } of [startKerf(['join', url, ...device]), server]) {
    const { exitCode, stderr } = await ended
    assert.is(exitCode, 0, stderr)
  }
})

test('where no server decides, nothing runs on it', async () => {
  for (const args of [
    ['train', ...flagsOf({ model, data, val, clients: 1, cuts: '1', steps: 1, out: join(at, 'alone') })],
    ['serve', ...flagsOf({ model, val, clients: 1, steps: 1, labels: LABELS.join(','), port: 0, out: join(at, 'alone') })],
    ['eval', ...flagsOf({ model, data: val, labels: LABELS.join(',') })],
  ]) {
    const { exitCode, stderr } = await startWrong(args).ended
    assert.is(exitCode, 2, stderr)
    assert.match(stderr, new RegExp(`^kerf: kernel\\.${mutant.build}: expected bits of digest ${SELF_TEST_DIGEST}, as on every host, got ${WRONG}$`, 'm'))
    assert.not(existsSync(join(at, 'alone')))
  }
})

test.run()
