/**
 * A real `kerf serve` with two real devices and one foe: are the honest devices' bytes those of a run without it, what does the
 * server's memory come to, and for how long was the thread of its sockets held up?
 *
 *   npm run build && node --import tsx scripts/trouble/hostile.ts [--cases flood,takeover,…] [--steps 400]
 *
 * Strangers (flood, greetings, hellos, takeover, deaf) leave the bytes as they are. Members (unread, claims, absurd) hold a third
 * number: what they send is compared with a run in which that number's holder says nothing.
 */
import { existsSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { formatColumns } from '../../runtime/text/columns.ts'
import { decodeSafetensors } from '../../runtime/wire/safetensors.ts'
import type { Foe } from './foe.ts'
import { openFoe } from './foe.ts'
import type { Party } from './parties.ts'
import { allEnded, hashOf, joinAll, makeRoom, pause, serve, until, writeShares } from './parties.ts'
import { flood, knock } from './strangers.ts'

const WIDTH = 160
const HONEST = 2
/** Fewer than the strangers that one address may have: each is heard. */
const FEW_AT_ONCE = 8
const MEGABYTE = 1e6

type Target = { url: string; port: number; out: string; running(): boolean }

const UPGRADE = 'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n'

/** A greeting a byte at a time, as long as it is taken. */
async function drip(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  let closed = false
  socket.on('close', () => { closed = true })
  socket.write(`GET / HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n${UPGRADE}`)
  await pause(300)
  socket.write(Buffer.from([0x82, 0xfe, 0x10, 0, 0, 0, 0, 0]))
  while (!closed) {
    socket.write(Buffer.from([1]))
    await pause(500)
  }
}

/** Keys of the devices that the server knows. */
function keysOf(out: string): string[] {
  const path = join(out, 'checkpoint', 'devices.json')
  return existsSync(path) ? Object.keys((JSON.parse(readFileSync(path, 'utf8')) as { devices: object }).devices) : []
}

/** Says that it is a device that is there: by its number, by its key without and with a signature. */
async function takeOver({ url, out }: Target, index: number): Promise<void> {
  const foe = await openFoe(url)
  const keys = keysOf(out)
  const key = keys[index % Math.max(1, keys.length)]
  const answer = await foe.hello(index % HONEST, index % 3 === 0 || !key ? {} : { key })
  if (answer?.type === 'challenge' && index % 3 === 2) {
    foe.channel.send('proof', { metadata: { signature: 'ab'.repeat(64) } })
    await foe.next()
  }
  if (answer?.type === 'welcome') throw new Error(`a stranger was welcomed as ${answer.client}`)
  foe.socket.terminate()
}

/** A peer that sends pings as fast as it can and reads nothing, again and again. */
async function deaf(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  let closed = false
  socket.on('close', () => { closed = true })
  socket.write(`GET / HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n${UPGRADE}`)
  await new Promise<void>((resolve) => { socket.once('data', () => resolve()).once('close', () => resolve()) })
  socket.pause()
  const pings = Buffer.concat(Array.from({ length: 1000 }, () => Buffer.from([0x89, 0x80, 0, 0, 0, 0])))
  while (!closed) {
    if (!socket.write(pings)) await pause(5)
  }
}

const repeat = (act: () => Promise<void>) => async ({ running }: Target): Promise<void> => { while (running()) await Promise.race([act(), pause(2000)]) }

const STRANGERS: Readonly<Partial<Record<string, (target: Target) => Promise<void>>>> = {
  none: async () => {},
  flood: ({ port }) => flood(5000, (index) => knock(port, index)),
  greetings: async ({ port }) => { await Promise.all(Array.from({ length: 120 }, () => drip(port))) },
  hellos: ({ url }) => flood(300, async () => {
    const foe = await openFoe(url)
    if (foe.socket.readyState === foe.socket.OPEN) foe.channel.send('hello', { metadata: { name: 'foe', client: 'any' } })
    await pause(5)
    foe.socket.terminate()
  }),
  takeover: (target) => flood(300, (index) => takeOver(target, index), FEW_AT_ONCE),
  deaf: (target) => repeat(() => deaf(target.port))(target),
}

type Adapter = (values: Float32Array) => Float32Array

/** Takes part in every interval until it is thrown out; `adapter` is what it makes of the set that it was given. */
async function member(foe: Foe, samples: number, adapter: Adapter): Promise<void> {
  for (let order = await foe.ready(samples); order?.type === 'adapter' || order?.type === 'state'; order = await foe.next()) {
    const end = Number(order.metadata.until)
    for (let step = order.step; step < end; step++) {
      foe.activate(step, 8, WIDTH)
      if ((await foe.next())?.type !== 'gradient') return
    }
    const tensors = [...order.tensors.values()].filter(({ name }) => !/^[mv]\./.test(name)).map((tensor) => (
      { ...tensor, data: new Uint8Array(adapter(new Float32Array(tensor.data.slice().buffer)).buffer) }))
    foe.channel.send('adapter', { round: end, step: end, tensors })
  }
}

/** Sends activation after activation and reads nothing. */
async function unread(foe: Foe): Promise<void> {
  const order = await foe.ready(100)
  foe.socket.pause()
  for (let step = order?.step ?? 0; foe.socket.readyState === foe.socket.OPEN; step++) {
    foe.activate(step, foe.contract().maxLength, WIDTH)
    await pause(200)
  }
}

const MEMBERS: Readonly<Partial<Record<string, (foe: Foe) => Promise<void>>>> = {
  silent: async (foe) => { await foe.ready(100) },
  unread,
  claims: (foe) => member(foe, 1e9, (values) => values),
  absurd: (foe) => member(foe, 100, (values) => values.fill(1e30)),
}

type Result = { name: string; hash: string; values: Float32Array; memoryMb: number; stallMs: number; seconds: number; said: readonly string[] }

function readAdapter(out: string): Float32Array {
  const { tensors } = decodeSafetensors(new Uint8Array(readFileSync(join(out, 'adapter_model.safetensors'))))
  return Float32Array.from([...tensors.values()].flatMap(({ data }) => [...new Float32Array(data.slice().buffer)]))
}

async function play(name: string, at: string, steps: number): Promise<Result> {
  const out = join(at, name), watch = join(at, `${name}.watch`)
  const asMember = MEMBERS[name]
  const asStranger = STRANGERS[name] ?? (() => Promise.reject(new Error(`no case ${name}`)))
  const clients = asMember ? HONEST + 1 : HONEST
  const begin = performance.now()
  const flags = [
    '--clients', String(clients), '--cuts', '1,2,1', '--steps', String(steps), '--interval', '50', '--batch', '8', '--max-length', '64',
    '--truncate', '--lr', '2e-3', '--deadline-seconds', asMember ? '5' : '60', '--checkpoint-every', '50', '--port', '0', '--out', out,
  ]
  const { server, url, port } = await serve(flags, at, { watch })
  const devices = await joinAll(url, out, [server], writeShares(at, HONEST), at)
  const target: Target = { url, port, out, running: () => !server.ended }
  const foe = asMember ? await openFoe(url) : undefined
  if (foe && (await foe.hello('any'))?.type !== 'welcome') throw new Error(`${name}: expected a welcome`)
  const acting = asMember && foe ? asMember(foe) : until(() => server.said.includes('training'), 'to train', [server]).then(() => asStranger(target))
  const parties: readonly Party[] = [server, ...devices]
  await Promise.all([allEnded(parties), acting.catch((error: unknown) => { if (!server.ended) throw error })])
  foe?.socket.terminate()
  const read = (suffix: string) => Number(readFileSync(`${watch}.${suffix}`, 'utf8'))
  const said = server.said.split('\n').filter((line) => /device 2|closed /.test(line)).map((line) => line.replace(/^.*\r/, '').trim())
  return {
    name, hash: hashOf(out), values: readAdapter(out), memoryMb: read('memory') / MEGABYTE, stallMs: read('stall'),
    seconds: (performance.now() - begin) / 1000, said,
  }
}

/** ‖a − b‖ / ‖b‖. */
function distance(a: Float32Array, b: Float32Array): number {
  const norm = (of: (index: number) => number) => Math.sqrt(b.reduce((sum, _, index) => sum + of(index) ** 2, 0))
  return norm((index) => a[index] - b[index]) / norm((index) => b[index])
}

const { values: { cases, steps } } = parseArgs({ options: { cases: { type: 'string' }, steps: { type: 'string', default: '400' } } })
const names = cases?.split(',') ?? [...Object.keys(STRANGERS), ...Object.keys(MEMBERS)]
const at = makeRoom()
const results = new Map<string, Result>()
const rows: string[][] = []
for (const name of names) {
  const alone = name in MEMBERS ? 'silent' : 'none'
  for (const each of new Set([alone, name])) if (!results.has(each)) results.set(each, await play(each, at, Number(steps)))
  const [result, reference] = [results.get(name)!, results.get(alone)!]
  const same = result.hash === reference.hash ? 'the same bytes' : `${distance(result.values, reference.values).toExponential(2)} away`
  rows.push([name, same, result.memoryMb.toFixed(0), result.stallMs.toFixed(0), result.seconds.toFixed(0)])
  console.log(rows.at(-1)!.join('  '))
  for (const line of result.said.slice(0, 4)) console.log(`    ${line}`)
}
console.log(formatColumns([['case', 'adapter', 'MB', 'stall ms', 's'], ...rows], 2).join('\n'))
