/** Node's network port: WebSockets, a frame in each binary message. */
import { createServer } from 'node:http'
import type { Socket } from 'node:net'
import { WebSocket, WebSocketServer } from 'ws'
import type { Link, ListenOptions, Listener, Network } from '../../runtime/host/network.ts'
import { createInbox } from '../../runtime/split/link.ts'

const PING_MS = 5000
const OPEN = 1
const UPGRADE_REQUIRED = 426
const BINARY_ONLY = 1003

/** Frames as binary messages of a WebSocket; text is refused. A peer that answers no ping for two periods is gone. */
function linkSocket(socket: WebSocket): Link {
  const inbox = createInbox(() => socket.terminate())
  let alive = true
  const timer = setInterval(() => {
    if (!alive) return socket.terminate()
    alive = false
    if (socket.readyState === OPEN) socket.ping()
  }, PING_MS)
  socket.on('pong', () => { alive = true })
  socket.on('message', (data: Buffer, binary: boolean) => {
    alive = true
    // A large message has a buffer of its own, aligned; a small one is a piece of what was read, which a view would keep and share.
    const whole = data.byteLength === data.buffer.byteLength
    if (binary) inbox.push(whole ? new Uint8Array(data.buffer) : new Uint8Array(data))
    else socket.close(BINARY_ONLY, 'binary frames only')
  })
  socket.on('close', () => {
    clearInterval(timer)
    inbox.finish()
  })
  // A socket error is always followed by close, which is where the link ends.
  socket.on('error', () => {})
  return {
    send: (frame) => { if (socket.readyState === OPEN) socket.send(frame) },
    receive: () => inbox.receive(),
    close: () => socket.close(),
  }
}

/** Takes connections in while there are fewer than `connectionsMax` of any kind; one that says nothing is closed after `silenceMs`. */
async function listen({ host, port, connectionsMax, silenceMs, frameBytesMax, attend }: ListenOptions): Promise<Listener> {
  const server = createServer((_, response) => { response.writeHead(UPGRADE_REQUIRED).end() })
  server.maxConnections = connectionsMax
  const timers = new WeakMap<Socket, NodeJS.Timeout>()
  server.on('connection', (connection) => {
    const timer = setTimeout(() => connection.destroy(), silenceMs)
    timers.set(connection, timer)
    connection.once('close', () => clearTimeout(timer))
  })
  const sockets = new WebSocketServer({ server, perMessageDeflate: false, maxPayload: frameBytesMax })
  sockets.on('connection', (socket, { socket: connection }) => {
    socket.once('message', () => clearTimeout(timers.get(connection)))
    attend(linkSocket(socket))
  })
  await new Promise<void>((resolve, reject) => {
    sockets.once('listening', resolve)
    sockets.once('error', reject)
    server.listen(port, host)
  })
  // One connection that can't be taken ends nothing.
  sockets.on('error', () => {})
  const place = server.address()
  return {
    address: typeof place === 'object' && place ? `ws://${host}:${place.port}` : '',
    close() {
      for (const client of sockets.clients) client.terminate()
      server.close()
      server.closeAllConnections()
    },
  }
}

export const network: Network = {
  listen,
  dial: (url, { frameBytesMax, timeoutMs }) => new Promise((resolve) => {
    const socket = new WebSocket(url, { perMessageDeflate: false, maxPayload: frameBytesMax, handshakeTimeout: timeoutMs })
    socket.once('open', () => resolve(linkSocket(socket)))
    socket.once('error', () => resolve(null))
  }),
}
