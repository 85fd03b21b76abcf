/** Pipes as data, as shells and other programs give them: read once, and by a device that comes back not again. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { runKerf } from '../command.ts'
import type { Process } from './cli.ts'
import { LABELS, SHELL_CALL, callKerf, checkpointFile, flagsOf, killAll, makeRoom, readResult, startKerf, startProcess } from './cli.ts'

const { at, model, data, val } = makeRoom()
const BASE = { model, val, clients: 2, cuts: '1,3', steps: 60, interval: 10, batch: 4, lr: 0.01 }

test.after.each(killAll)

type Values = Readonly<Record<string, string | number | boolean>>

/** `kerf …words` with `flags`, and a pipe for --data. */
function startPiped(words: readonly string[], flags: Values): Process {
  const script = `data=$1; shift; exec ${SHELL_CALL} "$@" --data <(cat "$data")`
  return startProcess('bash', ['-c', script, 'bash', data, ...words, ...flagsOf(flags)])
}

async function expectEnd(run: Process): Promise<void> {
  const { exitCode, stderr } = await run.ended
  assert.is(exitCode, 0, stderr)
}

const whole = callKerf(['train', ...flagsOf({ ...BASE, data, out: join(at, 'whole') })])

test('kerf train with a pipe for its data', async () => {
  await whole
  await expectEnd(startPiped(['train'], { ...BASE, out: join(at, 'piped') }))
  assert.equal(readResult(join(at, 'piped')), readResult(join(at, 'whole')))
})

test('a device with a pipe for its data comes back when the server does', async () => {
  const out = join(at, 'served')
  const serve = async (more: Values) => {
    const run = startKerf(['serve', ...flagsOf({ ...BASE, data, out, ...more })])
    return { run, url: (await run.until(/listening on (\S+)/))[1] }
  }
  const first = await serve({ port: 0 })
  const devices = [0, 1].map((client) => startPiped(['join', first.url], { model, share: true, client, 'retry-seconds': 30 }))
  await first.run.until(/[3-9]\d %/)
  first.run.kill()
  await first.run.ended
  assert.ok(existsSync(checkpointFile(out)))
  const second = await serve({ port: new URL(first.url).port, resume: true })
  for (const run of [...devices, second.run]) await expectEnd(run)
  for (const { stderr } of devices) assert.match(stderr(), /connection lost\n/)
  await whole
  assert.equal(readResult(out), readResult(join(at, 'whole')))
})

test('/dev/stdin for the data, be it a pipe or a socket', async () => {
  if (!existsSync('/dev/stdin')) return
  const input = readFileSync(val, 'utf8')
  const call = ['eval', ...flagsOf({ model, adapter: join(at, 'whole'), json: true })]
  await whole
  const rows = (data: string) => {
    const { exitCode, stdout, stderr } = runKerf([...call, '--data', data], { input })
    assert.is(exitCode, 0, stderr)
    return JSON.parse(stdout) as { rows: number; labels: string[] }
  }
  for (const data of ['/dev/stdin', '/dev/fd/0', '/proc/self/fd/0']) assert.equal([rows(data).rows, rows(data).labels], [20, LABELS])
})

test.run()
