/** A worker that ends without a word, at whatever it was asked: the run fails by name instead of waiting for it. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Outcome } from '../command.ts'
import { skipUnlessNode } from '../skip.ts'
import { PROGRAM, flagsOf, killAll, makeRoom, startKerf, startProcess } from './cli.ts'

const { at, model, data, val } = makeRoom()
const BASE = { model, data, val, scheme: 'sfl', clients: 2, cuts: '1,2', steps: 6, interval: 3, batch: 4, lr: 0.01 }
const EXIT_CODE = 7
const PRELOADED = 'a module that is loaded into every thread'

test.after.each(killAll)

/** A module that Node loads into every thread: a worker that is asked for `method` the `count`th time ends instead, without an error. */
function writeDeath(method: string, count: number): string {
  const file = join(at, `${method}-${count}.cjs`)
  writeFileSync(file, `
    const { isMainThread, parentPort } = require('node:worker_threads')
    if (!isMainThread) {
      const on = parentPort.on
      let asked = 0
      const hear = (listener) => (message) => {
        if (message.path?.[0] === '${method}' && ++asked === ${count}) process.exit(${EXIT_CODE})
        listener(message)
      }
      parentPort.on = (name, listener) => on.call(parentPort, name, name === 'message' ? hear(listener) : listener)
    }
  `)
  return file
}

/** Runs `kerf …args` with a worker that ends at the `count`th call of `method`. */
function runDying(method: string, count: number, args: readonly string[]): Promise<Outcome> {
  return startProcess(process.execPath, ['--require', writeDeath(method, count), PROGRAM, ...args]).ended
}

function expectLoss({ exitCode, stdout, stderr }: Outcome, who: string): void {
  assert.is(exitCode, 1, stderr)
  assert.is(stdout, '')
  const lines = stderr.trimEnd().split('\n')
  assert.match(lines.at(-1)!, new RegExp(`^kerf: ${who}: expected a thread that lasts as long as the run, got exit code ${EXIT_CODE}$`), stderr)
  assert.is(lines.filter((line) => line.startsWith('kerf:')).length, 1, stderr)
  assert.not.match(stderr, /^\s+at /m)
}

for (const [method, count] of [['openHalf', 1], ['write', 1], ['forward', 1], ['finish', 3], ['read', 1], ['memory', 1]] as const) {
  test(`an executor that ends at call ${count} of ${method}`, async () => {
    if (skipUnlessNode(PRELOADED)) return
    expectLoss(await runDying(method, count, ['train', ...flagsOf({ ...BASE, out: join(at, `${method}-${count}`) })]), 'executor [01]')
  })
}

test('a device that ends', async () => {
  if (skipUnlessNode(PRELOADED)) return
  expectLoss(await runDying('device', 1, ['train', ...flagsOf({ ...BASE, scheme: 'kerf', out: join(at, 'device') })]), 'device [01]')
})

test('devices that have joined are told', async () => {
  if (skipUnlessNode(PRELOADED)) return
  const call = ['serve', ...flagsOf({ ...BASE, port: 0, out: join(at, 'serve') })]
  const server = startProcess(process.execPath, ['--require', writeDeath('finish', 2), PROGRAM, ...call])
  const [, url] = await server.until(/listening on (ws:\/\/127\.0\.0\.1:\d+) for/)
  const devices = [0, 1].map((client) => startKerf(['join', url, ...flagsOf({ model, data, share: true, client, 'retry-seconds': 5 })]))
  const outcomes = await Promise.all(devices.map(({ ended }) => ended))
  for (const { exitCode, stderr } of outcomes) assert.is(exitCode, 1, stderr)
  // The device whose step it was waits for an answer and reads this one; another may be writing when the connection ends.
  const told = /^kerf: run: expected to reach its end, got executor [01]: expected a thread/m
  assert.ok(outcomes.some(({ stderr }) => told.test(stderr)), outcomes.map(({ stderr }) => stderr).join())
  expectLoss(await server.ended, 'executor [01]')
})

test.run()
