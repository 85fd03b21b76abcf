/** The thread of Node's sockets. */
import type { Socket as Connection } from 'node:net'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { parentPort } from 'node:worker_threads'
import { WebSocket } from 'ws'
import type { ToSockets } from '../../runtime/network/message.ts'
import type { Sockets } from '../../runtime/network/socket.ts'
import { Switchboard } from '../../runtime/network/switchboard.ts'
import { clock } from './clock.ts'
import { listen } from './io.place.ts'
import { SOCKET_OPTIONS, limitPieces, wrapSocket } from './io.socket.ts'
import { explainMiss } from './miss.ts'

const STALL_STEP_MS = 1
const NANOSECONDS = 1e6

const dial: Sockets['dial'] = (url, { frameBytesMax, timeoutMs, tls }, opened, missed) => {
  const fail = (error: unknown) => missed(explainMiss(error as Error))
  try {
    const socket = new WebSocket(url, { ...tls, ...SOCKET_OPTIONS, handshakeTimeout: timeoutMs, ...limitPieces(frameBytesMax) })
    socket.on('error', fail)
    socket.on('unexpected-response', (request, { statusCode: status = 0, statusMessage = '' }) => {
      socket.off('error', fail)
      socket.on('error', () => {})
      missed({ miss: 'status', said: `HTTP ${status} ${statusMessage}`.trim(), status })
      request.destroy()
    })
    socket.once('upgrade', (response) => {
      socket.once('open', () => {
        socket.off('error', fail)
        opened(wrapSocket(socket, response.socket as Connection))
      })
    })
  } catch (error) {
    fail(error)
  }
}

const port = parentPort!
const delays = monitorEventLoopDelay({ resolution: STALL_STEP_MS })
const board = new Switchboard({
  clock, sockets: { listen, dial }, post: (message, transfer) => port.postMessage(message, transfer),
  watch() {
    delays.enable()
    delays.reset()
  },
  longestStallMs: () => delays.max / NANOSECONDS,
})
port.on('message', (message: ToSockets) => board.answer(message))
