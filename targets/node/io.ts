/**
 * The thread of the sockets: owns every one of this process and never computes, so that a ping is answered and judged whatever
 * the others do. Frames are handed over, not copied.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Socket } from 'node:net'
import { parentPort } from 'node:worker_threads'
import { WebSocket } from 'ws'
import type { NoLink } from '../../runtime/host/network.ts'
import { Greeting } from './io.greeting.ts'
import { socketLimits } from './io.limits.ts'
import { KeptLink } from './io.link.ts'
import type { Host } from './io.listener.ts'
import { Listening } from './io.listener.ts'
import type { FromIo, ToIo } from './io.message.ts'
import { CLOSE_MS, FINISH_MS } from './io.message.ts'
import { explainMiss } from './io.miss.ts'

const TICK_MS = 1000
const STALL_STEP_MS = 1
const NANOSECONDS = 1e6

const port = parentPort!
const listeners = new Map<number, Listening>()
const delays = monitorEventLoopDelay({ resolution: STALL_STEP_MS })
/** Accepted links have odd numbers, dialled ones even. */
let accepted = -1
let finishing = false

const host: Host = {
  post: (message: FromIo, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer),
  links: new Map(),
  nextLink: () => (accepted += 2),
  forget(link) {
    host.links.delete(link)
    checkFinished()
  },
}

async function listen({ listener, options }: Extract<ToIo, { kind: 'listen' }>): Promise<void> {
  try {
    const listening = new Listening(host, listener, options)
    const addresses = await listening.open()
    listeners.set(listener, listening)
    host.post({ kind: 'listening', listener, ...addresses })
  } catch (error) {
    host.post({ kind: 'unlistened', listener, code: (error as { code?: string }).code ?? String(error) })
  }
}

function dial({ link: number, url, options: { frameBytesMax, timeoutMs, greetingMs, tls } }: Extract<ToIo, { kind: 'dial' }>): void {
  const miss = (why: NoLink) => host.post({ kind: 'missed', link: number, why })
  const fail = (error: unknown) => miss(explainMiss(error as Error))
  try {
    const how = { perMessageDeflate: false, autoPong: false, closeTimeout: CLOSE_MS, handshakeTimeout: timeoutMs, ...socketLimits(frameBytesMax) }
    const socket = new WebSocket(url, { ...tls, ...how })
    socket.on('error', fail)
    socket.on('unexpected-response', (request, { statusCode: status = 0, statusMessage = '' }) => {
      socket.off('error', fail)
      socket.on('error', () => {})
      miss({ miss: 'status', said: `HTTP ${status} ${statusMessage}`.trim(), status })
      request.destroy()
    })
    socket.once('upgrade', (response) => {
      socket.once('open', () => {
        socket.off('error', fail)
        const link = new KeptLink({
          socket, connection: response.socket as Socket, frameBytesMax, greeting: new Greeting(greetingMs, () => {}), dialled: true,
          deliver: (frame) => host.post({ kind: 'frame', link: number, frame }, [frame.buffer as ArrayBuffer]),
          ended: (reason) => host.post({ kind: 'ended', link: number, reason }),
          gone: () => host.forget(number),
        })
        host.links.set(number, { link, admit: () => link.admit() })
        host.post({ kind: 'open', link: number, listener: null })
      })
    })
  } catch (error) {
    fail(error)
  }
}

function finish(): void {
  finishing = true
  for (const listening of listeners.values()) listening.close()
  for (const { link } of host.links.values()) link.close('', FINISH_MS)
  checkFinished()
}

function checkFinished(): void {
  if (finishing && host.links.size === 0) host.post({ kind: 'finished' })
}

function answer(message: ToIo): void {
  if (message.kind === 'listen') void listen(message)
  else if (message.kind === 'dial') dial(message)
  else if (message.kind === 'unlisten') {
    listeners.get(message.listener)?.close()
    listeners.delete(message.listener)
  } else if (message.kind === 'finish') finish()
  else if (message.kind === 'watch') {
    delays.enable()
    delays.reset()
  } else if (message.kind === 'stall') host.post({ kind: 'stalled', ms: delays.max / NANOSECONDS })
  else {
    const kept = host.links.get(message.link)
    if (message.kind === 'send') kept?.link.send(message.frame)
    else if (message.kind === 'take') kept?.link.release()
    else if (message.kind === 'admit') kept?.admit()
    else kept?.link.close(message.reason)
  }
}

port.on('message', answer)
setInterval(() => {
  for (const { link } of host.links.values()) link.tick()
  for (const listening of listeners.values()) listening.tick()
}, TICK_MS)
