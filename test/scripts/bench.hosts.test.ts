/** Profiles from a shell of JavaScriptCore and from an engine without WebAssembly: read by `kerf plan` like a board's own. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { HOSTS } from '../../scripts/conform/hosts/jsc.ts'
import { duktape } from '../../scripts/engines/duktape.ts'
import { makeDirectory } from '../command.ts'
import { skipTest } from '../skip.ts'
import { startKerf } from '../targets/cli.ts'

const at = makeDirectory()

test('a host of each kind is measured, and planned from', async () => {
  const missing = [...(HOSTS[0].find() ? [] : [HOSTS[0].install]), ...(await duktape.find() ? [] : [duktape.installedBy])]
  if (missing.length > 0) return skipTest(`no ${missing.join(', ')}`)
  const { status, stdout, stderr } = spawnSync(process.execPath, [
    '--import', 'tsx', 'scripts/bench.hosts.ts', '--host', 'jsc', '--host', 'duktape', '--out', at,
  ], { encoding: 'utf8' })
  assert.is(status, 0, stderr)
  const rows = stdout.trim().split('\n')
  assert.is(rows.length, 4, stdout)
  assert.match(rows[2], /^\| jsc \S+ \| simd \| [\d.]+ \| [\d,.]+ \| [\d.]+ \| [\d,.]+ \|$/)
  assert.match(rows[3], /^\| Duktape \S+ \| wasm2js \| 0\.\d+ \| [\d.]+ \| – \| – \|$/)
  for (const name of ['jsc.bert-base.json', 'duktape.bert-tiny.json']) {
    const file = join(at, name)
    assert.ok(existsSync(file), name)
    const planned = await startKerf(['plan', '--clients', '1', '--device', file]).ended
    assert.is(planned.exitCode, 0, planned.stderr)
    assert.match(planned.stdout, new RegExp(`^cut 1 +${name.replace('.json', '').replace('.', '\\.')} +[\\d.]+ +[\\d.]+ +[\\d.]+$`, 'm'))
  }
})

test.run()
