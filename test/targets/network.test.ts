/** The network port by itself: links between this process and peers that keep to the rules, and peers that do not. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { connect } from 'node:net'
import type { ClientOptions } from 'ws'
import { WebSocket, WebSocketServer } from 'ws'
import type { DialOptions, Link, ListenOptions, Listener } from '../../runtime/host/network.ts'
import { GREETING_BYTES_MAX, PING_SECONDS, QUEUE_FRAMES_MAX, SILENT_PINGS, SPARE_IN_ALL, SPARE_PER_ADDRESS } from '../../runtime/network/limits.ts'
import { RUNTIME } from '../../scripts/runtime.ts'
import { createHost } from '../../targets/node/host.ts'
import { Strangers, judgeUpgrade, placeOf } from '../../runtime/network/stranger.ts'
import { Tally } from '../../runtime/network/tally.ts'
import { closeSockets, network, watchSockets } from '../../targets/node/socket.ts'
import { pause } from './cli.ts'

const FRAME_BYTES_MAX = 1 << 20
const PEERS = 4
const DIAL = { frameBytesMax: FRAME_BYTES_MAX, timeoutMs: 10_000, greetingMs: 10_000 }

type Place = { listener: Listener; port: number; links: Link[]; told: string[]; next(): Promise<Link> }
const open: Listener[] = []

async function listen(more: Partial<ListenOptions> = {}): Promise<Place> {
  const links: Link[] = [], told: string[] = [], waiting: ((link: Link) => void)[] = []
  const listener = await network.listen({
    host: '127.0.0.1', port: 0, peers: PEERS, greetingMs: 60_000, frameBytesMax: FRAME_BYTES_MAX, tell: (line) => { told.push(line) },
    attend(link) {
      links.push(link)
      waiting.shift()?.(link)
    },
    ...more,
  })
  open.push(listener)
  const next = () => new Promise<Link>((resolve) => { waiting.push(resolve) })
  return { listener, port: Number(new URL(listener.address).port), links, told, next }
}

test.after.each(() => { for (const listener of open.splice(0)) listener.close() })
test.after(closeSockets)

async function until(condition: () => boolean, what: string): Promise<void> {
  for (const end = Date.now() + 60_000; !condition(); await pause(10)) if (Date.now() > end) throw new Error(`expected ${what}, got none within 60 s`)
}

const bytes = (length: number, value = 7) => new Uint8Array(length).fill(value)

async function dialOnce(url: string, options: DialOptions): Promise<Link> {
  const link = await network.dial(url, options)
  return 'miss' in link ? assert.unreachable(`${url}: ${link.miss}`) as never : link
}

/** A link of each side, the first frame read. */
async function pair(place: Place, admit = true): Promise<[Link, Link]> {
  const [near, coming] = [await dialOnce(place.listener.address, DIAL), place.next()]
  near!.send(bytes(3))
  const far = await coming
  assert.equal(await far.receive(), bytes(3))
  if (admit) for (const link of [near!, far]) link.admit()
  return [near!, far]
}

async function foe(place: Place, options: ClientOptions = {}): Promise<WebSocket> {
  const socket = new WebSocket(place.listener.address, { perMessageDeflate: false, ...options })
  socket.on('error', () => {})
  await Promise.race([once(socket, 'open'), once(socket, 'close')])
  return socket
}

/** The code and the words with which a socket is closed. */
async function closing(socket: WebSocket): Promise<[number, string]> {
  const [code, words] = await once(socket, 'close') as [number, Buffer]
  return [code, words.toString()]
}

/** A connection on which nothing is read unless it is told to. */
async function bare(port: number, path = '/', head = ''): Promise<{ socket: Socket; status: string }> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  await once(socket, 'connect')
  const upgrade = 'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13'
  socket.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n${head}${upgrade}\r\n\r\n`)
  const [answer] = await once(socket, 'data') as [Buffer]
  socket.pause()
  return { socket, status: answer.toString().split(' ')[1] }
}

/** A client's frame with mask 0. */
function maskFrame(opcode: number, payload: Uint8Array): Buffer {
  const head = payload.length < 126 ? Buffer.alloc(2) : payload.length < 65536 ? Buffer.alloc(4) : Buffer.alloc(10)
  head[0] = 0x80 | opcode
  if (payload.length < 126) head[1] = 0x80 | payload.length
  else if (payload.length < 65536) head.writeUInt16BE(payload.length, 2)
  else head.writeBigUInt64BE(BigInt(payload.length), 2)
  if (payload.length >= 126) head[1] = 0x80 | (payload.length < 65536 ? 126 : 127)
  return Buffer.concat([head, Buffer.alloc(4), payload])
}
const BINARY = 2, PING = 9

/** A link to a peer that reads nothing unless it is told to; its first frame waits. */
async function deafPair(place: Place): Promise<{ socket: Socket; link: Link }> {
  const { socket } = await bare(place.port)
  const coming = place.next()
  socket.write(maskFrame(BINARY, bytes(1)))
  const link = await coming
  link.admit()
  return { socket, link }
}

test('frames pass whole, in order, both ways; the end comes after them, with its reason on both sides', async () => {
  const place = await listen()
  const [near, far] = await pair(place)
  for (const length of [0, 1, 5000, FRAME_BYTES_MAX]) {
    near.send(bytes(length))
    assert.is((await far.receive())?.length, length)
    far.send(bytes(length, 9))
    assert.is((await near.receive())?.[length - 1], length === 0 ? undefined : 9)
  }
  far.send(bytes(2))
  far.close(`a reason\nwith a bell\u0007, ${'long '.repeat(40)}`)
  assert.is(await far.receive(), null)
  assert.is(far.why(), null)
  assert.equal(await near.receive(), bytes(2))
  assert.is(await near.receive(), null)
  assert.match(near.why()!, /^closed by the other side: a reason with a bell , long [long ]+$/)
  near.send(bytes(1))
  near.close()
})

test('who computes is not dead: links outlive a thread that is busy; a peer that shows no life is found by then', async () => {
  const place = await listen()
  const [near, far] = await pair(place)
  const [, mute] = await Promise.all([bare(place.port).then(({ socket }) => socket.write(maskFrame(BINARY, bytes(1)))), place.next()])
  mute.admit()
  await pause(200)
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000 * PING_SECONDS * (SILENT_PINGS + 2))
  assert.equal(await mute.receive(), bytes(1))
  assert.is(await mute.receive(), null)
  assert.is(mute.why(), 'no sign of life for 25 s')
  near.send(bytes(4))
  assert.equal(await far.receive(), bytes(4))
  assert.is(far.why(), null)
})

test('an upgrade is refused for a foreign origin or path', async () => {
  const place = await listen()
  const { port } = place
  for (const [path, head, status] of [
    ['/', '', '101'], ['/?a=1', '', '101'], ['/other', '', '404'], ['//', '', '404'], ['http://127.0.0.1/', '', '404'],
    ['/', 'Origin: https://evil.example\r\n', '403'], ['/', 'Origin: null\r\n', '403'], ['/', 'Origin: \r\n', '403'],
    ['/', `Origin: http://127.0.0.1:${port}\r\n`, '101'], ['/', `Origin: http://127.0.0.1:${port + 1}\r\n`, '403'],
    ['/', `Origin: http://localhost:${port}\r\n`, '403'], ['/', `Origin: https://127.0.0.1:${port}\r\n`, '403'],
  ]) {
    const { socket, status: got } = await bare(port, path, head)
    assert.is(got, status, `${path} ${head}`)
    socket.destroy()
  }
  await until(() => place.told.length > 0, 'a line')
  assert.match(place.told.join('\n'), /from 127\.0\.0\.1: an upgrade of a (foreign origin|path that is none)/)
})

test('a page whose name has been turned to this machine is foreign; where a certificate holds the name it is not', () => {
  const judge = (origin: string, host: string, secure: boolean) => judgeUpgrade({ url: '/', headers: { origin, host } }, secure)
  assert.is(judge('http://evil.example:7700', 'evil.example:7700', false), 403)
  assert.is(judge('https://kerf.example:7700', 'kerf.example:7700', true), null)
  assert.is(judge('http://[::1]:7700', '[::1]:7700', false), null)
  assert.is(judge('http://localhost', 'localhost:80', false), null)
  assert.is(judge('http://localhost', 'localhost:8080', false), 403)
  assert.is(judge('http://a b', 'a b', false), 403)
})

test('one address has room for those awaited and a few; all together for a few more; who is admitted counts no more', () => {
  assert.is(placeOf('::ffff:10.0.0.1'), '10.0.0.1')
  assert.is(placeOf('2001:db8:1:2::7'), placeOf('2001:db8:1:2:ffff::1%eth0'))
  assert.is.not(placeOf('2001:db8:1:2::7'), placeOf('2001:db8:1:3::7'))
  assert.is(placeOf('fe80::1'), placeOf('fe80::2'))
  const strangers = new Strangers(PEERS)
  const fill = (name: string) => { for (let count = 0; ; count++) if (!strangers.enter(name)) return count }
  assert.is(fill('a'), PEERS + SPARE_PER_ADDRESS)
  strangers.admit('a')
  assert.is(fill('a'), 0)
  strangers.leave('a')
  assert.is(fill('a'), 1)
  const others = Array.from({ length: 8 }, (_, index) => fill(`b${index}`)).reduce((sum, count) => sum + count, 0)
  assert.is(PEERS - 1 + SPARE_PER_ADDRESS + others, PEERS - 1 + SPARE_IN_ALL)
})

test('a flood of reasons makes a few lines', () => {
  const lines: string[] = []
  const tally = new Tally((line) => { lines.push(line) })
  tally.add('first', 'a')
  tally.tick()
  for (let index = 0; index < 5000; index++) tally.add(`reason ${index % 2000}`, 'b')
  for (let second = 0; second < 9; second++) tally.tick()
  assert.equal(lines, ['closed a connection from a: first'])
  tally.tick()
  assert.is(lines.length, 6)
  assert.is(lines[1], 'closed 4808 connections, the last from b: other reasons')
})

test('a greeting has an end: silence, dripping bytes, a hello without more; who waits for us is not late', async () => {
  const greetingMs = 1500
  const place = await listen({ greetingMs })
  const silent = await foe(place)
  const { socket: dripping } = await bare(place.port)
  const drip = setInterval(() => dripping.write(Buffer.from([0x82])), 100)
  const plain = connect(place.port, '127.0.0.1').resume()
  const coming = place.next()
  const [waiting, halfway] = [await foe(place), await foe(place)]
  waiting.send(bytes(3))
  const first = await coming
  const second = place.next()
  halfway.send(bytes(3))
  const answered = await second
  await answered.receive()
  answered.send(bytes(1))
  const [said] = await Promise.all([
    closing(silent), once(dripping.resume(), 'close'), once(plain, 'close'),
    closing(halfway).then(([, words]) => assert.is(words, 'a greeting not ended within 1.5 s')),
  ])
  clearInterval(drip)
  assert.equal(said, [1008, 'a greeting not ended within 1.5 s'])
  assert.is(await answered.receive(), null)
  assert.is(answered.why(), 'a greeting not ended within 1.5 s')
  // Its hello waits for us, however long that takes.
  await pause(2 * greetingMs)
  assert.is(waiting.readyState, WebSocket.OPEN)
  first.admit()
  first.send(bytes(1))
  await pause(2 * greetingMs)
  assert.is(waiting.readyState, WebSocket.OPEN)
  waiting.terminate()
})

test('a greeting is short: what is longer is not held', async () => {
  const place = await listen()
  const long = await foe(place)
  long.send(bytes(GREETING_BYTES_MAX + 1))
  assert.is((await closing(long))[0], 1009)
  assert.is(place.links.length, 0)
})

test('a peer that does not read is closed once a few frames wait for it', async () => {
  const place = await listen()
  const { socket, link } = await deafPair(place)
  assert.equal(await link.receive(), bytes(1))
  const ended = link.receive()
  let sent = 0, over = false
  void ended.then(() => { over = true })
  while (!over && sent < 64) {
    link.send(bytes(FRAME_BYTES_MAX))
    sent++
    await pause(20)
  }
  assert.is(await ended, null)
  assert.match(link.why()!, new RegExp(`^[1-${QUEUE_FRAMES_MAX}] frames that were not read$`))
  assert.ok(sent < 32, String(sent))
  socket.destroy()
})

test('a peer that was expelled gets no more time when its link is closed too', async () => {
  const place = await listen()
  const { socket, link } = await deafPair(place)
  socket.resume()
  const ended = once(socket, 'close')
  socket.write(Buffer.concat(Array.from({ length: 64 }, () => maskFrame(BINARY, bytes(1)))))
  // This thread computes while the other expels: it closes what it does not know to be over.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000)
  assert.is(link.why(), null)
  const beginMs = Date.now()
  link.close('refused as well')
  await ended
  // A link that closes in good order has 30 s.
  assert.ok(Date.now() - beginMs < 20_000)
})

test('pings of a peer that reads no pong are not answered without end', async () => {
  const place = await listen()
  const { socket, link } = await deafPair(place)
  const before = process.memoryUsage().rss
  const pings = Buffer.concat(Array.from({ length: 4096 }, () => maskFrame(PING, bytes(125))))
  // 64 MB of pongs, were each of them answered.
  for (let index = 0; index < 128; index++) if (!socket.write(pings)) await once(socket, 'drain')
  assert.ok(process.memoryUsage().rss - before < 48e6, `${process.memoryUsage().rss - before} bytes`)
  assert.is(link.why(), null)
  socket.destroy()
})

test('frames that nobody takes are bounded, in number and in bytes', async () => {
  for (const [length, count] of [[10, 64], [FRAME_BYTES_MAX, 8]]) {
    const place = await listen()
    const socket = await foe(place)
    const coming = place.next()
    socket.send(bytes(1))
    const link = await coming
    link.admit()
    await pause(200)
    for (let index = 0; index < count; index++) socket.send(bytes(length))
    const [code, words] = await closing(socket)
    assert.is(code, 1008)
    assert.match(words, /^frames that nobody asked for: \d+ wait to be read$/)
    let taken = 0
    while (await link.receive()) taken++
    assert.ok(taken >= 3 && taken <= 16, String(taken))
    assert.is(link.why(), words)
  }
})

test('texts, frames beyond the limit and broken framing end the link with what was wrong', async () => {
  const place = await listen()
  for (const [send, code, why] of [
    [(socket: WebSocket) => socket.send('hello'), 1003, 'binary frames only'],
    [(socket: WebSocket) => socket.send(bytes(FRAME_BYTES_MAX + 1)), 1009, 'Max payload size exceeded'],
  ] as const) {
    const socket = await foe(place)
    const coming = place.next()
    socket.send(bytes(1))
    const link = await coming
    link.admit()
    await link.receive()
    send(socket)
    assert.is((await closing(socket))[0], code)
    assert.is(await link.receive(), null)
    assert.is(link.why(), why)
  }
  const { socket } = await bare(place.port)
  const coming = place.next()
  socket.write(maskFrame(BINARY, bytes(1)))
  const link = await coming
  await link.receive()
  socket.write(Buffer.from([0xf2, 0x80, 0, 0, 0, 0]))
  assert.is(await link.receive(), null)
  assert.match(link.why()!, /^Invalid WebSocket frame/)
})

test('a server that answers nothing is given up; one that says it computes is waited for', async () => {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
  await once(server, 'listening')
  const url = `ws://127.0.0.1:${(server.address() as { port: number }).port}`
  const dial = async () => {
    const link = await dialOnce(url, { ...DIAL, greetingMs: 1000 })
    link!.send(bytes(3))
    return link!
  }
  const mute = await dial()
  assert.is(await mute.receive(), null)
  assert.is(mute.why(), 'no answer within 1 s')
  const busy = setInterval(() => { for (const client of server.clients) client.ping('busy') }, 300)
  const coming = once(server, 'connection') as Promise<[WebSocket]>
  const patient = await dial()
  const [socket] = await coming
  setTimeout(() => socket.send(bytes(5)), 3000)
  assert.equal(await patient.receive(), bytes(5))
  clearInterval(busy)
  server.close()
  for (const client of server.clients) client.terminate()
  assert.equal(await network.dial(url, DIAL), { miss: 'unreachable', said: '' })
})

test('a server whose thread computes says so', async () => {
  const place = await listen()
  const socket = await foe(place)
  const pings: string[] = []
  socket.on('ping', (data: Buffer) => { pings.push(data.toString()) })
  socket.send(bytes(3))
  await until(() => pings.includes('busy'), 'a ping that says busy')
  await place.links[0].receive()
  place.links[0].admit()
  socket.terminate()
})

test('what has come while this thread computed is there after one turn', async () => {
  const { clock } = createHost()
  const place = await listen()
  const [[near, far], [other, end]] = [await pair(place), await pair(place)]
  for (let round = 0; round < 20; round++) {
    other.send(bytes(1))
    await end.receive()
    let got = 0
    const coming = far.receive().then((frame) => { got = frame!.length })
    near.send(bytes(9))
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100)
    await clock.turn()
    assert.is(got, 9)
    await coming
  }
})

const FLOOD = 5000

test('a flood of connections holds up neither the thread of the sockets nor the links that are there', async () => {
  const place = await listen({ greetingMs: 2000 })
  const [near, far] = await pair(place)
  const stall = watchSockets()
  const before = process.memoryUsage().rss
  let left = FLOOD, open = 0, peak = 0
  const one = () => new Promise<void>((resolve) => {
    const socket = connect(place.port, '127.0.0.1')
    peak = Math.max(peak, ++open)
    socket.on('error', () => {}).on('close', () => {
      open--
      resolve()
    })
    socket.resume()
    if (left % 2 === 0) socket.write('GET / HTTP/1.1\r\nHost: a\r\n')
  })
  const flooding = Promise.all(Array.from({ length: 200 }, async () => { while (left-- > 0) await one() }))
  let over = false, rounds = 0
  void flooding.then(() => { over = true })
  while (!over) {
    near.send(bytes(4096))
    assert.is((await far.receive())?.length, 4096)
    rounds++
    await pause(5)
  }
  const [ms, grown] = [await stall(), process.memoryUsage().rss - before]
  process.stdout.write(`\n${FLOOD} connections, ${peak} at once: stall ${ms.toFixed(1)} ms, ${(grown / 1e6).toFixed(1)} MB, ${rounds} frames meanwhile\n`)
  assert.ok(rounds > 10, String(rounds))
  assert.ok(ms < 2000, `${ms} ms`)
  assert.ok(grown < 128e6, `${grown} bytes`)
  assert.is(far.why(), null)
})

/** What a runtime says of an address of another machine. */
const NOT_OURS = RUNTIME === 'deno' ? 'EINVAL' : 'EADDRNOTAVAIL'

test('a place that cannot be listened on', async () => {
  const { port } = await listen()
  for (const [more, code] of [[{ port }, 'EADDRINUSE'], [{ host: '192.0.2.1' }, NOT_OURS], [{ tls: { cert: 'x', key: 'y' } }, 'ERR_']] as const) {
    const error = await listen(more).then(() => null, (failed: Error & { code: string }) => failed)
    assert.ok(error?.code.startsWith(code), error?.code)
  }
})

test.run()
