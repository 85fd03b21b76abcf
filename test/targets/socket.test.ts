/** `kerf serve` and `kerf join` as processes over WebSocket: the bytes of `kerf train`, whatever happens to devices and server. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { WebSocket } from 'ws'
import { createChecksum } from '../../runtime/kernel/checksum.ts'
import type { FrameType } from '../../runtime/wire/frame.ts'
import { encodeFrame, FRAME_TYPES } from '../../runtime/wire/frame.ts'
import { createRandom } from '../../runtime/random.ts'
import { SPARE_PER_ADDRESS } from '../../runtime/network/limits.ts'
import { openKernelBuild } from '../kernels.ts'
import type { Process } from './cli.ts'
import { adapterFile, callKerf, checkpointFile, flagsOf, killAll, makeRoom, pause, readMetrics, readResult, startKerf } from './cli.ts'

const { at, model, data, val } = makeRoom()
const CLIENTS = 2
const BASE = { model, data, val, clients: CLIENTS, cuts: '1,3', steps: 9, interval: 3, batch: 4, lr: 0.01 }

test.after.each(killAll)

type More = Readonly<Record<string, string | number | boolean>>
type Serving = { process: Process; url: string }

/** Starts a server that writes into `name`, and waits until it listens. */
async function serve(name: string, more: More = {}): Promise<Serving> {
  const run = startKerf(['serve', ...flagsOf({ ...BASE, port: 0, out: join(at, name), ...more })])
  const [, url] = await run.until(/listening on (ws:\/\/127\.0\.0\.1:\d+) for \d devices/)
  return { process: run, url }
}

function joinRun(url: string, client: number | 'any', more: More = {}): Process {
  return startKerf(['join', url, ...flagsOf({ model, data, share: true, client, 'retry-seconds': 30, ...more })])
}

function joinAll(url: string): Process[] {
  return Array.from({ length: CLIENTS }, (_, client) => joinRun(url, client))
}

async function expectEnd(run: Process, exitCode = 0): Promise<void> {
  const outcome = await run.ended
  assert.is(outcome.exitCode, exitCode, outcome.stderr)
  assert.not.match(outcome.stderr, /^\s+at /m)
}

const trained = new Map<string, ReturnType<typeof readResult>>()

/** What `kerf train` gives with the same flags. */
async function trainAlone(more: More = {}): Promise<ReturnType<typeof readResult>> {
  const name = `train${flagsOf(more).join('')}`
  if (!trained.has(name)) {
    await callKerf(['train', ...flagsOf({ ...BASE, out: join(at, name), ...more })])
    trained.set(name, readResult(join(at, name)))
  }
  return trained.get(name)!
}

async function expectTrained(name: string, more: More = {}): Promise<void> {
  assert.equal(readResult(join(at, name)), await trainAlone(more))
}

test('every scheme over sockets gives the bytes of kerf train', async () => {
  for (const scheme of ['sl', 'sfl', 'splitlora', 'fl']) {
    const name = `serve-${scheme}`
    const { process, url } = await serve(name, { scheme })
    for (const device of joinAll(url)) await expectEnd(device)
    await expectEnd(process)
    await expectTrained(name, { scheme })
  }
  const { process, url } = await serve('serve-central', { scheme: 'central' })
  await expectEnd(joinRun(url, 0))
  await expectEnd(process)
  await expectTrained('serve-central', { scheme: 'central' })
})

test('devices that ask for any number, and int8 frames', async () => {
  const more = { codec: 'int8', 'checkpoint-every': 2 }
  const { process, url } = await serve('any', more)
  const devices = Array.from({ length: CLIENTS }, (_, index) => joinRun(url, 'any', { name: `gateway ${index}` }))
  for (const run of [...devices, process]) await expectEnd(run)
  await expectTrained('any', { codec: 'int8' })
})

test('a device killed in the middle and started again', async () => {
  for (const every of [0, 1]) {
    const name = `killed-${every}`
    const { process, url } = await serve(name, { steps: 60, interval: 20, 'checkpoint-every': every })
    const devices = joinAll(url)
    await process.until(/2\d %/)
    devices[1].kill()
    await devices[1].ended
    devices[1] = joinRun(url, 1)
    for (const run of [...devices, process]) await expectEnd(run)
    assert.match(process.stderr(), /device 1 left\n/)
    assert.match(process.stderr(), /device 1 came back\n/)
    await expectTrained(name, { steps: 60, interval: 20 })
  }
})

test('a device killed for good is left out, and the run ends without it', async () => {
  const { process, url } = await serve('left', { steps: 60, interval: 20, 'deadline-seconds': 2 })
  const devices = joinAll(url)
  await process.until(/2\d %/)
  devices[1].kill()
  for (const run of [devices[0], process]) await expectEnd(run)
  assert.match(process.stderr(), /device 1 left out: silent for 2 s\n/)
  assert.is(readMetrics(join(at, 'left')).filter(({ event, client }) => event === 'step' && client === 0).length, 60)
  assert.ok(existsSync(adapterFile(join(at, 'left'))))
})

test('a device that stands still is left out, and comes back by itself', async () => {
  const { process, url } = await serve('still', { steps: 600, interval: 20, 'deadline-seconds': 2 })
  const devices = joinAll(url)
  await process.until(/1\d %/)
  devices[1].kill('SIGSTOP')
  await process.until(/device 1 left out: silent for 2 s\n/)
  devices[1].kill('SIGCONT')
  for (const run of [...devices, process]) await expectEnd(run)
  assert.match(devices[1].stderr(), /device: expected a frame within 2000 ms, got none\n/)
  assert.match(process.stderr(), /device 1 came back\n/)
  const lines = readMetrics(join(at, 'still')).filter(({ event }) => event === 'step')
  const steps = [0, 1].map((client) => lines.filter((line) => line.client === client).length)
  assert.is(steps[0], 600)
  assert.ok(steps[1] > 20 && steps[1] < 600, String(steps[1]))
})

test('a number that is taken, one that is none, and another model', async () => {
  const { process, url } = await serve('taken')
  const first = joinRun(url, 0)
  await pause(1500)
  const thief = await joinRun(url, 0).ended
  assert.is(thief.exitCode, 2)
  assert.match(thief.stderr, /^kerf: hello\.client: expected a free client of this run, got "0"\n$/)
  const stranger = await joinRun(url, 0, { name: 'stranger' }).ended
  assert.is(stranger.exitCode, 2)
  assert.match(stranger.stderr, /^kerf: hello\.client: expected a free client of this run, got "0"\n$/)
  const beyond = await joinRun(url, 7).ended
  assert.is(beyond.exitCode, 2)
  assert.match(beyond.stderr, /^kerf: hello\.client: expected a free client of this run, got "7"\n$/)
  for (const run of [first, joinRun(url, 1), process]) await expectEnd(run)
  await expectTrained('taken')
})

const crc32c = createChecksum(await openKernelBuild('scalar'))

function makeFrame(type: FrameType, metadata: Record<string, string>): Uint8Array {
  return encodeFrame({ type, run: 0, client: 0, epoch: 0, round: 0, step: 0, sequence: 0, tensors: [], metadata }, crc32c)
}

const HELLO = makeFrame('hello', { name: 'x', client: 'any' })

type Answer = { frames: Uint8Array[]; closed: boolean; code: number }

/** Sends messages over a bare WebSocket and collects what comes back until it closes or falls silent. */
function attack(url: string, messages: readonly (Uint8Array | string)[]): Promise<Answer> {
  return new Promise((resolve) => {
    const socket = new WebSocket(url, { perMessageDeflate: false })
    const answer: Answer = { frames: [], closed: false, code: 0 }
    const end = () => {
      clearTimeout(timer)
      socket.terminate()
      resolve(answer)
    }
    const timer = setTimeout(end, 20_000)
    socket.on('open', () => { for (const message of messages) socket.send(message) })
    socket.on('message', (bytes: Buffer) => answer.frames.push(new Uint8Array(bytes)))
    socket.on('error', () => {})
    socket.on('close', (code) => {
      Object.assign(answer, { closed: true, code })
      end()
    })
  })
}

/** The words of the one error frame of an answer. */
function errorText({ frames }: Answer): string {
  assert.is(frames.length, 1)
  assert.is(frames[0][5], FRAME_TYPES.error)
  return new TextDecoder().decode(frames[0].subarray(64))
}

test('garbage is answered by an error or the end of the connection, and the run goes on', async () => {
  const random = createRandom(4, 'shuffle')
  const noise = (count: number) => Uint8Array.from({ length: count }, () => Math.floor(random.uniform() * 256))
  const { process, url } = await serve('garbage')
  assert.match(errorText(await attack(url, [noise(200)])), /frame-prelude-crc/)
  assert.match(errorText(await attack(url, [noise(10)])), /frame-short/)
  assert.match(errorText(await attack(url, [new Uint8Array(0)])), /frame-short/)
  assert.match(errorText(await attack(url, [HELLO.subarray(0, HELLO.length - 1)])), /frame-length/)
  assert.match(errorText(await attack(url, [makeFrame('bye', {})])), /frame-type-unexpected/)
  assert.match(errorText(await attack(url, [makeFrame('hello', { name: '', client: 'any' })])), /hello\.name/)
  assert.match(errorText(await attack(url, [makeFrame('hello', { name: 'x', client: '1e9' })])), /hello\.client/)
  const text = await attack(url, ['hello'])
  assert.equal([text.closed, text.code], [true, 1003])
  const large = await attack(url, [noise(1 << 22)])
  assert.equal([large.closed, large.code], [true, 1009])
  const flood = await attack(url, Array.from({ length: 200 }, () => HELLO))
  assert.ok(flood.closed)
  // A welcomed stranger that then sends noise frees its place.
  assert.ok((await attack(url, [HELLO, noise(100)])).closed)
  const answer = await fetch(url.replace('ws:', 'http:'))
  assert.is(answer.status, 426)
  assert.is(process.child.exitCode, null)
  for (const run of [...joinAll(url), process]) await expectEnd(run)
  await expectTrained('garbage')
})

test('strangers who say nothing: no more than the spare connections, each closed after its time, and the run goes on', async () => {
  const { process, url } = await serve('silent')
  const connectionsMax = CLIENTS + SPARE_PER_ADDRESS
  // A connection that never becomes a WebSocket counts and ends as any other.
  const bare = connect(Number(new URL(url).port), '127.0.0.1').resume()
  await once(bare, 'connect')
  const silent = Array.from({ length: connectionsMax - 2 }, () => new WebSocket(url))
  await Promise.all(silent.map((socket) => once(socket, 'open')))
  // Its time ends later than theirs.
  await pause(2000)
  const greeted = new WebSocket(url)
  greeted.on('open', () => greeted.send(HELLO))
  const [welcome] = await once(greeted, 'message') as [Buffer]
  assert.is(welcome[5], FRAME_TYPES.welcome)
  const [refused] = await once(new WebSocket(url), 'error') as [Error]
  assert.match(refused.message, /socket hang up|ECONNRESET/)
  await Promise.all([bare, ...silent].map((socket) => once(socket, 'close')))
  // One that was welcomed and never became ready has had its time too.
  if (greeted.readyState !== WebSocket.CLOSED) await once(greeted, 'close')
  for (const run of [...joinAll(url), process]) await expectEnd(run)
  await expectTrained('silent')
})

test('the server killed and started again on its port', async () => {
  for (const [scheme, every] of [['kerf', 0], ['central', 5]] as const) {
    const name = `server-${scheme}`
    const flags = { scheme, steps: 60, interval: 10, 'checkpoint-every': every }
    const first = await serve(name, flags)
    const devices = scheme === 'central' ? [joinRun(first.url, 0)] : joinAll(first.url)
    await first.process.until(/[3-9]\d %/)
    first.process.kill()
    await first.process.ended
    assert.ok(existsSync(checkpointFile(join(at, name))))
    const second = await serve(name, { ...flags, port: new URL(first.url).port, resume: true })
    for (const run of [...devices, second.process]) await expectEnd(run)
    assert.match(second.process.stderr(), /going on from round \d+ of/)
    await expectTrained(name, { scheme, steps: 60, interval: 10 })
  }
})

test('nobody there: one line, exit 1', async () => {
  const { exitCode, stderr } = await joinRun('ws://127.0.0.1:9', 0, { 'retry-seconds': 1 }).ended
  assert.is(exitCode, 1)
  assert.is(stderr, 'kerf: address: expected a server within 1 s, got "ws://127.0.0.1:9"\n')
})

test('devices that never come: one line, exit 1', async () => {
  const { process } = await serve('alone', { 'join-seconds': 1 })
  const { exitCode, stderr } = await process.ended
  assert.is(exitCode, 1)
  assert.match(stderr, /\nkerf: serve\.join: expected 2 devices within 1 s, got "none for client 0, 1"\n$/)
})

test('a port in use', async () => {
  const { process, url } = await serve('port')
  const { exitCode, stderr } = await startKerf(['serve', ...flagsOf({ ...BASE, port: new URL(url).port, out: join(at, 'port-2') })]).ended
  process.kill()
  assert.is(exitCode, 2)
  assert.match(stderr, /^kerf: --port: expected a free port, got "\d+: EADDRINUSE"\n$/)
  assert.not.ok(existsSync(join(at, 'port-2')))
  await process.ended
})

test.run()
