/** Ctrl-C, SIGTERM, and a disk that fills up or a checkpoint that cannot be written while a run goes on. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { decodeSafetensors } from '../../runtime/wire/safetensors.ts'
import { skipTest } from '../skip.ts'
import type { Process } from './cli.ts'
import {
  SHELL_CALL, adapterFile, callKerf, checkpointFile, flagsOf, killAll, makeRoom, pause, readFiles,
  readMetrics, readResult, startKerf, startProcess,
} from './cli.ts'

const { at, model, data, val } = makeRoom()
const BASE = { model, data, val, clients: 2, cuts: '1,2', steps: 60, interval: 10, batch: 4, lr: 0.01, 'keep-checkpoints': 1 }

test.after.each(killAll)

type More = Readonly<Record<string, string | number | boolean>>

const call = (out: string, more: More = {}) => ['train', ...flagsOf({ ...BASE, out, ...more })]
const whole = join(at, 'whole')

/** A run in `out` that has written a checkpoint and goes on. */
async function startRun(out: string, more: More = {}): Promise<Process> {
  const run = startKerf(call(out, more))
  assert.ok(await run.when(() => existsSync(checkpointFile(out))), run.stderr())
  return run
}

/** One line at the end that begins with `kerf:`, and no stack before it. */
function lastLine(stderr: string): string {
  const lines = stderr.trimEnd().split('\n')
  assert.is(lines.filter((line) => line.startsWith('kerf:')).length, 1, stderr)
  assert.not.match(stderr, /^\s+at /m)
  return lines.at(-1)!
}

async function expectSame(out: string, more: More = {}): Promise<void> {
  await callKerf(call(out, { ...more, resume: true }))
  assert.equal(readResult(out), readResult(whole))
}

test('a run left alone', async () => {
  await callKerf(call(whole))
})

for (const [signal, exitCode] of [['SIGINT', 130], ['SIGTERM', 143]] as const) {
  test(`${signal} stops at once, says how to go on, and the files are whole`, async () => {
    const out = join(at, signal)
    const run = await startRun(out)
    const begin = performance.now()
    run.kill(signal)
    const outcome = await run.ended
    assert.ok(performance.now() - begin < 5000)
    assert.is(outcome.exitCode, exitCode, outcome.stderr)
    assert.is(outcome.stdout, '')
    const told = /^kerf: interrupted: the same command with --resume goes on from round \d+ of 60 in .*\/checkpoint$/
    assert.match(lastLine(outcome.stderr), told)
    decodeSafetensors(readFileSync(checkpointFile(out)))
    readMetrics(out)
    assert.not.ok(existsSync(adapterFile(out)))
    await expectSame(out)
  })
}

test('two signals at once end it too', async () => {
  const out = join(at, 'twice')
  const run = await startRun(out)
  run.kill('SIGINT')
  run.kill('SIGINT')
  const { exitCode } = await run.ended
  assert.ok(exitCode === 130 || exitCode === null)
  await expectSame(out)
})

test('before the first checkpoint there is nothing to go on from', async () => {
  const run = startKerf(call(join(at, 'early'), { steps: 4000, 'checkpoint-every': 0, interval: 4000 }))
  await run.until(/training/)
  run.kill('SIGINT')
  const { exitCode, stderr } = await run.ended
  assert.is(exitCode, 130)
  assert.match(lastLine(stderr), /^kerf: interrupted before the first checkpoint: the same command starts again$/)
})

test('a server that waits for devices, and a device that waits for a server', async () => {
  const { steps, ...rest } = BASE
  const serve = startKerf(['serve', ...flagsOf({ ...rest, steps, port: 0, out: join(at, 'serve') })])
  await serve.until(/listening on/)
  const joined = startKerf(['join', 'ws://127.0.0.1:9', '--model', model])
  await pause(1000)
  for (const run of [serve, joined]) run.kill('SIGINT')
  assert.is((await serve.ended).exitCode, 130)
  assert.match(lastLine(serve.stderr()), /interrupted before the first checkpoint/)
  const { exitCode } = await joined.ended
  assert.ok(exitCode === 130 || exitCode === null)
})

test('a checkpoint that cannot be written ends the run, and the one before it stays', async () => {
  const out = join(at, 'blocked')
  const run = await startRun(out)
  const aside = `${checkpointFile(out)}.new`
  // A directory in the place of the temporary file; the run's own may stand there for a moment.
  await run.when(() => {
    try {
      mkdirSync(aside)
      return true
    } catch {
      return false
    }
  })
  const { exitCode, stdout, stderr } = await run.ended
  assert.is(exitCode, 1, stderr)
  assert.is(stdout, '')
  const told = /^kerf: .*round\.safetensors: expected room and permission to write; the file before it is untouched, got "\w+"$/
  assert.match(lastLine(stderr), told)
  assert.not.match(stderr, /refused|left out/)
  rmSync(aside, { recursive: true })
  decodeSafetensors(readFileSync(checkpointFile(out)))
  await expectSame(out)
})

test('a file over the size limit is never left half written', async () => {
  const out = join(at, 'limit')
  await callKerf(call(out, { steps: 10 }))
  const before = readFiles(out)
  const largest = statSync(checkpointFile(out)).size
  // Blocks of 1 KiB; the signal that comes with the limit is set aside, as a full disk sends none.
  const limit = Math.floor(largest / 1024) - 1
  const command = `trap '' XFSZ; ulimit -f ${limit}; exec ${SHELL_CALL} ${call(out, { seed: 2 }).join(' ')}`
  const { exitCode, stderr } = await startProcess('bash', ['-c', command]).ended
  assert.is(exitCode, 1, stderr)
  assert.match(lastLine(stderr), /expected room and permission to write; the file before it is untouched, got "(EFBIG|Error: File too large \(os error 27\))"$/)
  const after = readFiles(out)
  for (const name of ['adapter_config.json', 'adapter_model.safetensors', 'labels.json', 'report.json', 'checkpoint/round.safetensors']) {
    assert.is(after[name], before[name], name)
  }
  assert.equal(readdirSync(join(out, 'checkpoint')), ['round.safetensors'])
})

/** A file system of `bytes` on `directory`, or false where this user may not mount one. */
function mountSmall(directory: string, bytes: number): boolean {
  mkdirSync(directory)
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', directory]).status !== 0) return false
  process.prependListener('exit', () => { spawnSync('umount', ['-l', directory]) })
  return true
}

test('a full disk: one line, and the earlier run untouched', async () => {
  const done = join(at, 'done')
  await callKerf(call(done, { steps: 10 }))
  const bytes = ['adapter_model.safetensors', 'report.json', 'report.html', 'metrics.jsonl', 'checkpoint/round.safetensors']
    .reduce((sum, name) => sum + statSync(join(done, name)).size, 0)
  const disk = join(at, 'disk')
  if (!mountSmall(disk, bytes + (64 << 10))) return skipTest('no permission to mount a small file system')
  const out = join(disk, 'out')
  cpSync(done, out, { recursive: true })
  const before = readFiles(out)
  // What is left must not hold even the metrics, then the metrics but no checkpoint.
  for (const free of [0, 8 << 10]) {
    fill(disk, free)
    for (const scheme of ['kerf', 'central']) {
      const { stderr } = await callKerf(call(out, { scheme, seed: 3, steps: 10 }), 1)
      assert.match(lastLine(stderr), /: expected room and permission to write; the file before it is untouched, got "ENOSPC"$/)
      const { 'metrics.jsonl': _, ...files } = readFiles(out)
      const { 'metrics.jsonl': __, ...earlier } = before
      assert.equal(files, earlier)
    }
    rmSync(join(disk, 'filler'))
  }
})

/** Takes all room of `disk` but about `free` bytes. */
function fill(disk: string, free: number): void {
  const filler = join(disk, 'filler')
  spawnSync('dd', ['if=/dev/zero', `of=${filler}`, 'bs=1024'])
  const size = statSync(filler).size
  writeFileSync(filler, new Uint8Array(Math.max(0, size - free)))
}

test.run()
