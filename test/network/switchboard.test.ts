/** The thread of the sockets in virtual time, over sockets that do what a test says: who is dead, who is late, who is let in. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Clock } from '../../runtime/host/clock.ts'
import {
  EXPEL_MS, FINISH_MS, GREETING_BYTES_MAX, PING_SECONDS, PONGS_MAX, QUEUE_FRAMES_MAX, SILENT_PINGS, SPARE_PER_ADDRESS, STUCK_PINGS,
} from '../../runtime/network/limits.ts'
import type { FromSockets } from '../../runtime/network/message.ts'
import type { Peer, Socket, SocketEvents, Visits } from '../../runtime/network/socket.ts'
import { Switchboard } from '../../runtime/network/switchboard.ts'
import { INBOX_FRAMES_MAX } from '../../runtime/split/link.ts'

const GREETING_MS = 10_000, FRAME_BYTES_MAX = 1000, PEERS = 2
const BUSY = new TextEncoder().encode('busy')

/** Time that goes on when it is told to; `passMs` runs what is due, in order. */
class VirtualClock implements Clock {
  private nowMs = 0
  private readonly timers = new Set<{ atMs: number; done(): void }>()

  now = (): number => this.nowMs
  turn = (): Promise<void> => Promise.resolve()
  after = (ms: number, done: () => void): (() => void) => {
    const timer = { atMs: this.nowMs + ms, done }
    this.timers.add(timer)
    return () => { this.timers.delete(timer) }
  }

  passMs(ms: number): void {
    const end = this.nowMs + ms
    for (;;) {
      const next = [...this.timers].filter(({ atMs }) => atMs <= end).sort((a, b) => a.atMs - b.atMs)[0]
      if (!next) break
      this.timers.delete(next)
      this.nowMs = next.atMs
      next.done()
    }
    this.nowMs = end
  }
}

/** A socket whose peer is the test. */
class FakeSocket implements Socket {
  events!: SocketEvents
  count: ((bytes: number) => void) | null = null
  open = true
  heardBytes = 0
  waiting = ''
  queued = 0
  readonly pings: string[] = []
  readonly did: string[] = []
  readonly pongs: (() => void)[] = []

  watch = (events: SocketEvents): void => { this.events = events }
  countBytes = (count: (bytes: number) => void): (() => void) => {
    this.count = count
    return () => { this.count = null }
  }
  isOpen = (): boolean => this.open
  send = (frame: Uint8Array): void => { this.did.push(`send ${frame.length}`) }
  ping = (payload?: Uint8Array): void => { this.pings.push(new TextDecoder().decode(payload)) }
  pong = (_payload: Uint8Array, written: () => void): void => { this.pongs.push(written) }
  close = (code: number, reason: string): void => {
    if (!this.open) return
    this.open = false
    this.did.push(`close ${code} ${reason}`.trim())
  }
  terminate = (): void => {
    this.open = false
    this.did.push('terminate')
    this.events.closed(1006, '')
  }
  pause = (): void => { this.did.push('pause') }
  receivedBytes = (): number => this.heardBytes
  queuedBytes = (): number => this.queued
  describeWaiting = (): string => this.waiting

  /** The peer sends a message. */
  say(bytes = 3): void {
    this.heardBytes += bytes
    this.count?.(bytes)
    this.events.message(new Uint8Array(bytes), true)
  }
}

type Bench = {
  clock: VirtualClock; told: FromSockets[]; board: Switchboard; visits: Visits
  come(port: number): FakeSocket
  dial(link: number): FakeSocket
  ends(): (string | null)[]
}

async function open(): Promise<Bench> {
  const clock = new VirtualClock()
  const told: FromSockets[] = []
  let visits: Visits | undefined
  let opened: ((socket: Socket) => void) | undefined
  const board = new Switchboard({
    clock, post: (message) => { told.push(message) }, watch() {}, longestStallMs: () => 0,
    sockets: {
      async listen(_, given) {
        visits = given
        return { address: 'ws://here', elsewhere: [], close() {} }
      },
      dial: (_url, _options, done) => { opened = done },
    },
  })
  const options = { host: '', port: 0, peers: PEERS, greetingMs: GREETING_MS, frameBytesMax: FRAME_BYTES_MAX }
  board.answer({ kind: 'listen', listener: 0, options })
  await Promise.resolve()
  const peer = (port: number): Peer => ({ address: '10.0.0.1', port })
  return {
    clock, told, board, visits: visits!,
    come(port) {
      const socket = new FakeSocket()
      assert.ok(visits!.enter(peer(port), () => socket.terminate()))
      visits!.meet(peer(port), socket)
      return socket
    },
    dial(link) {
      const socket = new FakeSocket()
      board.answer({ kind: 'dial', link, url: '', options: { frameBytesMax: FRAME_BYTES_MAX, timeoutMs: 1000, greetingMs: GREETING_MS } })
      opened!(socket)
      return socket
    },
    ends: () => told.flatMap((message) => (message.kind === 'ended' ? [message.reason] : [])),
  }
}

/** The first link that came, its first frame read and admitted. */
function admit({ board, come }: Bench, port = 1): FakeSocket {
  const socket = come(port)
  socket.say()
  board.answer({ kind: 'take', link: 1 })
  board.answer({ kind: 'admit', link: 1 })
  return socket
}

const SILENT_MS = SILENT_PINGS * PING_SECONDS * 1000

test('an admitted peer may be silent in frames, never in pongs: it is dead after its last byte, and not a ping before', async () => {
  const bench = await open()
  const socket = admit(bench)
  for (let pings = 0; pings < 50; pings++) {
    bench.clock.passMs(PING_SECONDS * 1000)
    socket.heardBytes += 2
  }
  assert.equal(bench.ends(), [])
  bench.clock.passMs(SILENT_MS)
  assert.equal(bench.ends(), [])
  bench.clock.passMs(PING_SECONDS * 1000)
  assert.equal(bench.ends(), [`no sign of life for ${SILENT_MS / 1000} s`])
  assert.equal(socket.did, ['terminate'])
})

test('a peer that takes not one byte of what waits does not read; one that takes a byte a ping does', async () => {
  const bench = await open()
  const socket = admit(bench)
  const ping = (waiting: string): void => {
    socket.waiting = waiting
    socket.heardBytes++
    bench.clock.passMs(PING_SECONDS * 1000)
  }
  for (let pings = 0; pings < 3 * STUCK_PINGS; pings++) ping(String(pings))
  for (let pings = 0; pings < STUCK_PINGS; pings++) ping('same')
  assert.equal(bench.ends(), [])
  ping('same')
  assert.equal(bench.ends(), [`nothing read for ${STUCK_PINGS * PING_SECONDS} s`])
})

test('a greeting ends with its time, however little at a time comes in, and waits for a thread that computes', async () => {
  const bench = await open()
  const socket = bench.come(1)
  for (let seconds = 1; seconds < GREETING_MS / 1000; seconds++) {
    bench.clock.passMs(1000)
    socket.count!(1)
  }
  assert.equal(socket.did, [])
  bench.clock.passMs(1000)
  assert.equal(socket.did, [`close 1008 a greeting not ended within ${GREETING_MS / 1000} s`, 'pause'])
  bench.clock.passMs(EXPEL_MS)
  assert.is(socket.did.at(-1), 'terminate')

  const patient = bench.come(2)
  patient.say()
  // Its frame waits for us: it is pinged, and its time stands still.
  for (let seconds = 0; seconds < 100; seconds++) {
    patient.heardBytes++
    bench.clock.passMs(1000)
  }
  assert.equal(patient.did, [])
  assert.ok(patient.pings.includes('busy'))
})

test('a server that says it computes is waited for; one that says nothing is not', async () => {
  const bench = await open()
  const socket = bench.dial(0)
  bench.board.answer({ kind: 'send', link: 0, frame: new Uint8Array(5) })
  for (let seconds = 0; seconds < 100; seconds++) {
    bench.clock.passMs(1000)
    socket.heardBytes++
    socket.events.ping(BUSY)
  }
  assert.equal(bench.ends(), [])
  for (let seconds = 0; seconds < GREETING_MS / 1000; seconds++) {
    bench.clock.passMs(1000)
    socket.heardBytes++
    socket.events.ping(new Uint8Array(0))
  }
  assert.equal(bench.ends(), [`no answer within ${GREETING_MS / 1000} s`])
  assert.is(socket.pongs.length, PONGS_MAX)
})

test('what piles up is bounded on each way: bytes of a greeting, frames unasked, frames unread, text', async () => {
  const bench = await open()
  const greedy = bench.come(1)
  greedy.count!(GREETING_BYTES_MAX)
  assert.equal(greedy.did, [])
  greedy.count!(1)
  assert.match(greedy.did[0], /^close 1009 a greeting of more than/)

  const eager = bench.dial(0)
  for (let frames = 0; frames < INBOX_FRAMES_MAX; frames++) eager.say()
  assert.equal(eager.did, [])
  eager.say()
  assert.match(eager.did[0], /^close 1008 frames that nobody asked for/)

  const long = bench.dial(2)
  for (let frames = 0; frames < 3; frames++) long.say(FRAME_BYTES_MAX)
  assert.equal(long.did, [])
  long.say(1)
  assert.match(long.did[0], /^close 1008 frames that nobody asked for: 3/)

  const deaf = bench.dial(4)
  for (let frames = 0; frames < QUEUE_FRAMES_MAX; frames++) bench.board.answer({ kind: 'send', link: 4, frame: new Uint8Array(7) })
  assert.equal(deaf.did, new Array(QUEUE_FRAMES_MAX).fill('send 7'))
  bench.board.answer({ kind: 'send', link: 4, frame: new Uint8Array(7) })
  assert.is(deaf.did[QUEUE_FRAMES_MAX], `close 1008 ${QUEUE_FRAMES_MAX} frames that were not read`)

  const wordy = bench.dial(6)
  wordy.events.message(new Uint8Array(1), false)
  assert.is(wordy.did[0], 'close 1003 binary frames only')
})

test('strangers are counted by place, and give their room back once, whether admitted or not', async () => {
  const bench = await open()
  const { visits, board } = bench
  const room = PEERS + SPARE_PER_ADDRESS
  const peer = (port: number): Peer => ({ address: '10.0.0.9', port })
  const enter = (port: number) => visits.enter(peer(port), () => {})
  for (let port = 0; port < room; port++) assert.ok(enter(port))
  assert.not.ok(enter(room))
  assert.ok(visits.enter({ address: '10.0.0.8', port: 1 }, () => {}), 'another address has its own room')
  visits.left(peer(0))
  visits.left(peer(0))
  assert.ok(enter(room))
  assert.not.ok(enter(room + 1))
  // One that is admitted is no stranger, but nor is it awaited any more.
  visits.meet(peer(1), new FakeSocket())
  board.answer({ kind: 'admit', link: 1 })
  assert.not.ok(enter(room + 1))
  visits.left(peer(1))
  assert.ok(enter(room + 1))
})

test('finishing closes all with a short grace, and says when the last is closed', async () => {
  const bench = await open()
  const [came, dialled] = [admit(bench), bench.dial(0)]
  let destroyed = false
  bench.visits.enter({ address: '10.0.0.1', port: 9 }, () => { destroyed = true })
  bench.board.answer({ kind: 'finish' })
  assert.equal(came.did, ['close 1001 the run is over'])
  assert.equal(dialled.did, ['close 1001'])
  assert.ok(destroyed)
  dialled.events.closed(1000, '')
  assert.not.ok(bench.told.some(({ kind }) => kind === 'finished'))
  bench.clock.passMs(FINISH_MS)
  assert.is(came.did.at(-1), 'terminate')
  assert.is(bench.told.filter(({ kind }) => kind === 'finished').length, 1)
})

test.run()
