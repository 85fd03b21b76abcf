/** `kerf serve` and `kerf join` on a network that damages, floods and keeps silent: the honest devices' bytes are those of a run left alone. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { WebSocket, WebSocketServer } from 'ws'
import { RUNTIME } from '../../scripts/runtime.ts'
import { flood, knock } from '../../scripts/trouble/strangers.ts'
import { skipTest } from '../skip.ts'
import type { Process } from './cli.ts'
import { callKerf, flagsOf, killAll, makeRoom, readResult, startKerf } from './cli.ts'
import type { Damage } from './proxy.ts'
import { openProxy } from './proxy.ts'

const { at, model, data, val } = makeRoom()
const BASE = { model, data, val, clients: 2, cuts: '1,3', steps: 40, interval: 20, batch: 4, lr: 0.01 }

type More = Readonly<Record<string, string | number | boolean>>

async function serve(name: string, more: More = {}): Promise<{ process: Process; url: string }> {
  const run = startKerf(['serve', ...flagsOf({ ...BASE, port: 0, out: join(at, name), ...more })])
  const [, url] = await run.until(/listening on (wss?:\/\/[\d.]+:\d+) for \d devices/)
  return { process: run, url }
}

function joinRun(url: string, client: number, more: More = {}): Process {
  return startKerf(['join', url, ...flagsOf({ model, data, share: true, client, 'retry-seconds': 30, ...more })])
}

async function expectEnd(run: Process): Promise<void> {
  const outcome = await run.ended
  assert.is(outcome.exitCode, 0, outcome.stderr)
}

await callKerf(['train', ...flagsOf({ ...BASE, out: join(at, 'train') })])
const trained = readResult(join(at, 'train'))

test.after.each(killAll)

/** A frame of a step, as against a greeting or an answer to a ping. */
const STEP_BYTES = 1000

/** Turns one bit of the piece at which `moment` first holds. */
function flipOnce(moment: (piece: Buffer, direction: 'up' | 'down', total: number) => number | null): { damage: Damage; done(): boolean } {
  let done = false
  return {
    done: () => done,
    damage(piece, direction, total) {
      const place = done ? null : moment(piece, direction, total)
      if (place === null) return
      piece[place] ^= 1
      done = true
    },
  }
}

const within = (piece: Buffer) => piece.length >> 1
const FLIPS: Readonly<Record<string, Parameters<typeof flipOnce>[0]>> = {
  'a step up': (piece, direction, total) => (direction === 'up' && total > 8 * STEP_BYTES && piece.length > STEP_BYTES ? within(piece) : null),
  'a step down': (piece, direction, total) => (direction === 'down' && total > 8 * STEP_BYTES && piece.length > STEP_BYTES ? within(piece) : null),
  // Behind the upgrade: a WebSocket's head, a prelude, a body.
  'the hello': (piece, direction, total) => (direction === 'up' && total > 0 ? piece.length - 1 : null),
  'the head of a hello': (_, direction, total) => (direction === 'up' && total > 0 ? 0 : null),
  'the welcome': (piece, direction, total) => (direction === 'down' && total > 0 && piece.length > 500 ? within(piece) : null),
  'the upgrade': (_, direction, total) => (direction === 'down' && total === 0 ? 9 : null),
}

test('one flipped bit, wherever it is: the device comes back, and the bytes are the same', async () => {
  for (const [index, [name, moment]] of Object.entries(FLIPS).entries()) {
    const { process, url } = await serve(`flip-${index}`, { 'deadline-seconds': 60 })
    const flip = flipOnce(moment)
    const proxy = await openProxy(url, flip.damage)
    for (const run of [joinRun(url, 0), joinRun(proxy.url, 1), process]) await expectEnd(run)
    assert.ok(flip.done(), name)
    assert.equal(readResult(join(at, `flip-${index}`)), trained, name)
    proxy.close()
  }
})

test('a link that damages every hello is given up with what is wrong with it', async () => {
  const { process, url } = await serve('damaged')
  const proxy = await openProxy(url, (piece, direction, total) => { if (direction === 'up' && total > 0) piece[piece.length - 1] ^= 1 })
  const { exitCode, stderr } = await joinRun(proxy.url, 0).ended
  assert.is(exitCode, 2)
  assert.match(stderr, /\nkerf: frame\.bodyCrc: expected 0x[0-9a-f]{8}, got "0x[0-9a-f]{8}"\n$/)
  assert.match(process.stderr(), /closed .*127\.0\.0\.1: frame\.bodyCrc: expected /)
  proxy.close()
})

test('a server that takes a hello and never answers is tried again, then given up by name', async () => {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
  let hellos = 0
  server.on('connection', (socket) => { socket.on('message', () => { hellos++ }) })
  await once(server, 'listening')
  const url = `ws://127.0.0.1:${(server.address() as { port: number }).port}`
  const { exitCode, stderr } = await joinRun(url, 0, { 'retry-seconds': 4 }).ended
  server.close()
  assert.is(exitCode, 1)
  assert.ok(hellos >= 2, String(hellos))
  assert.match(stderr, new RegExp(`^kerf: address: expected a server within 4 s, got "${url}: no answer within 1\\.\\d+ s"\n$`))
})

test('why a link ended stands in both logs', async () => {
  const { process, url } = await serve('why', { steps: 400, interval: 200, 'deadline-seconds': 2 })
  const devices = [0, 1].map((client) => joinRun(url, client))
  await process.until(/1\d %/)
  devices[1].kill('SIGSTOP')
  await process.until(/device 1 left out: silent for 2 s\n/)
  devices[1].kill('SIGCONT')
  await devices[1].until(/device: expected a frame within 2000 ms, got none\n/)
  devices[0].kill()
  await process.until(/device 0 left\n/)
})

function residentBytes({ child }: Process): number {
  const pages = readFileSync(`/proc/${child.pid}/statm`, 'utf8').split(' ')[1]
  return Number(pages) * 4096
}

test('a flood of connections, slow greetings and a peer that never reads: the same bytes, and no memory to speak of', async () => {
  if (process.platform !== 'linux') return skipTest('needs /proc')
  if (RUNTIME === 'bun') return skipTest("the inside of ws's sockets, for which Bun has its own", { optional: true })
  const more = { steps: 400, interval: 200 }
  await callKerf(['train', ...flagsOf({ ...BASE, ...more, out: join(at, 'train-long') })])
  const { process: server, url } = await serve('flood', more)
  const devices = [0, 1].map((client) => joinRun(url, client))
  await server.until(/training/)
  const before = residentBytes(server)
  const slow = Array.from({ length: 4 }, () => new WebSocket(url))
  const drip = setInterval(() => { for (const { readyState, _socket } of slow as unknown as Dripping[]) if (readyState === 1) _socket.write('\x82') }, 500)
  for (const socket of slow) socket.on('error', () => {})
  await flood(2000, (index) => knock(Number(new URL(url).port), index))
  clearInterval(drip)
  const grown = residentBytes(server) - before
  for (const run of [...devices, server]) await expectEnd(run)
  assert.ok(grown < 128e6, `${grown} bytes`)
  assert.match(server.stderr(), /closed \d+ connections, the last from 127\.0\.0\.1: too many at once\n/)
  assert.equal(readResult(join(at, 'flood')), readResult(join(at, 'train-long')))
})

type Dripping = { readyState: number; _socket: { write(text: string): void } }

const file = (name: string) => join(at, name)

/** A certificate for 127.0.0.1 and its key, made now; null where there is no openssl. */
function makeCertificate(name: string): { cert: string; key: string } | null {
  const [cert, key] = [file(`${name}.pem`), file(`${name}.key`)]
  const { status } = spawnSync('openssl', [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', `/CN=${name}`,
    '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert,
  ], { stdio: 'ignore' })
  return status === 0 ? { cert, key } : null
}

test('over TLS: the same bytes; who is not trusted, on either side, is not let in', async () => {
  const [mine, other] = [makeCertificate('server'), makeCertificate('other')]
  if (!mine || !other) return skipTest('no openssl')
  const secure = { 'tls-cert': mine.cert, 'tls-key': mine.key }
  const { process, url } = await serve('tls', secure)
  assert.match(url, /^wss:/)
  const few = { 'retry-seconds': 2 }
  assert.is((await joinRun(url, 0, { 'tls-ca': other.cert, ...few }).ended).exitCode, 1)
  assert.is((await joinRun(url.replace('wss', 'ws'), 0, few).ended).exitCode, 1)
  for (const run of [...[0, 1].map((client) => joinRun(url, client, { 'tls-ca': mine.cert })), process]) await expectEnd(run)
  assert.equal(readResult(join(at, 'tls')), trained)

  const strict = await serve('tls-both', { ...secure, 'tls-ca': other.cert })
  assert.is((await joinRun(strict.url, 0, { 'tls-ca': mine.cert, ...few }).ended).exitCode, 1)
  await strict.process.until(/closed .* from 127\.0\.0\.1: TLS: /)
  const shown = { 'tls-ca': mine.cert, 'tls-cert': other.cert, 'tls-key': other.key }
  for (const run of [...[0, 1].map((client) => joinRun(strict.url, client, shown)), strict.process]) await expectEnd(run)
  assert.equal(readResult(join(at, 'tls-both')), trained)
})

test('certificates that cannot be, and open connections off this machine, are said', async () => {
  const mine = makeCertificate('mine'), other = makeCertificate('another')
  if (!mine || !other) return skipTest('no openssl')
  const calls: [string[], RegExp][] = [
    [['serve', ...flagsOf({ ...BASE, 'tls-cert': mine.cert })], /^kerf: --tls-key: expected the key of --tls-cert, got "none"\n$/],
    [['serve', ...flagsOf({ ...BASE, 'tls-key': mine.key })], /^kerf: --tls-cert: expected the certificate of --tls-key, got "none"\n$/],
    [['serve', ...flagsOf({ ...BASE, 'tls-ca': mine.cert })], /^kerf: --tls-cert: expected the certificate of a server/],
    [['serve', ...flagsOf({ ...BASE, 'tls-cert': mine.key, 'tls-key': mine.cert })], /^kerf: --tls-cert: expected a PEM file with a CERTIFICATE/],
    [['serve', ...flagsOf({ ...BASE, port: 0, 'tls-cert': mine.cert, 'tls-key': other.key })], /^kerf: --tls-cert: expected a certificate and its key/],
    [['join', 'ws://127.0.0.1:9', ...flagsOf({ model, 'tls-ca': mine.cert })], /^kerf: address: expected wss:\/\/HOST:PORT, where certificates are named/],
  ]
  for (const [args, message] of calls) assert.match((await callKerf(args, 2)).stderr, message)
  const wide = startKerf(['serve', ...flagsOf({ ...BASE, port: 0, host: '0.0.0.0', out: file('wide') })])
  await wide.until(/anybody on the way can read and change what devices send: --tls-cert and --tls-key encrypt it\nlistening on/)
  const far = startKerf(['join', 'ws://192.0.2.1:9', ...flagsOf({ model, data, 'retry-seconds': 0 })])
  await far.until(/^anybody on the way can read and change what is sent: wss:\/\/ encrypts it\n/)
})

test.run()
