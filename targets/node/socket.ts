/** Node's network port: WebSockets, a frame in each binary message. */
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { isIPv6 } from 'node:net'
import { networkInterfaces } from 'node:os'
import { WebSocket, WebSocketServer } from 'ws'
import type { Link, ListenOptions, Listener, Miss, Network, NoLink } from '../../runtime/host/network.ts'
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

/** Addresses that stand for all of a machine's own, and what reaches them from itself. */
const ANY: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' }

/** Beyond these a machine has interfaces for its containers. */
const ELSEWHERE_MAX = 4

function formatUrl(host: string, port: number): string {
  return `ws://${isIPv6(host) ? `[${host}]` : host}:${port}`
}

/** What devices dial. The name that was asked for, since it may be one that others know too. */
function listAddresses(asked: string, { address, port }: AddressInfo): Pick<Listener, 'address' | 'elsewhere'> {
  const here = ANY[address]
  if (here === undefined) return { address: formatUrl(asked, port), elsewhere: [] }
  // Addresses of one link alone bear the name of an interface, which no URL can.
  const others = Object.values(networkInterfaces()).flatMap((all) => all ?? [])
    .filter((each) => !each.internal && (each.family === 'IPv4' || (address === '::' && !each.address.startsWith('fe80:'))))
  return { address: formatUrl(here, port), elsewhere: others.slice(0, ELSEWHERE_MAX).map((each) => formatUrl(each.address, port)) }
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
  return {
    ...listAddresses(host, server.address() as AddressInfo),
    close() {
      for (const client of sockets.clients) client.terminate()
      server.close()
      server.closeAllConnections()
    },
  }
}

/** OpenSSL's names for what is wrong with a certificate, and Node's own. */
const CERTIFICATE = new RegExp(`^(${[
  'CERT_', 'CRL_', 'DEPTH_ZERO_', 'SELF_SIGNED_', 'UNABLE_TO_', 'INVALID_CA', 'INVALID_PURPOSE', 'HOSTNAME_MISMATCH', 'PATH_LENGTH_',
  'ERR_TLS_CERT_',
].join('|')})`)
/** By code: of the resolver, and of what speaks otherwise than TLS or HTTP. */
const MISSES: readonly (readonly [RegExp, Miss])[] = [
  [/^ENOTFOUND$/, 'name-unknown'], [/^EAI_/, 'name-unresolved'], [CERTIFICATE, 'certificate'],
  [/^(ERR_SSL_|ERR_TLS_|HPE_|EPROTO$)/, 'protocol'], [/^ETIMEDOUT$/, 'silent'], [/^E[A-Z]+$/, 'unreachable'],
]
/** Without codes: a peer that hangs up, and the time limit. */
const HUNG_UP = 'socket hang up', TIMED_OUT = 'Opening handshake has timed out'

/** What OpenSSL says, between its places in the source. */
const OPENSSL = /:SSL routines:[^:]*:([^:]+):/

type Failure = Error & { code?: string; reason?: string }

/** A name may have several addresses, each with an error of its own: that of a machine that was reached speaks for them, else the first. */
function firstOf(error: Failure): Failure {
  const all = error instanceof AggregateError ? error.errors as Failure[] : []
  return all.find(({ code }) => code === 'ECONNREFUSED') ?? all[0] ?? error
}

/** That nobody listens needs no words. */
function explain(error: Error): NoLink {
  const { code = '', reason, message: whole } = firstOf(error)
  const message = reason ?? OPENSSL.exec(whole)?.[1] ?? whole
  if (code === 'ECONNREFUSED') return { miss: 'unreachable', said: '' }
  const said = code === '' || message.includes(code) ? message : `${message} (${code})`
  if (message === TIMED_OUT) return { miss: 'silent', said }
  const known = MISSES.find(([pattern]) => pattern.test(code))?.[1]
  return { miss: known ?? (message === HUNG_UP ? 'unreachable' : 'protocol'), said }
}

function dial(url: string, frameBytesMax: number, timeoutMs: number): Promise<Link | NoLink> {
  return new Promise((resolve) => {
    const socket = new WebSocket(url, { perMessageDeflate: false, maxPayload: frameBytesMax, handshakeTimeout: timeoutMs })
    socket.once('open', () => resolve(linkSocket(socket)))
    socket.on('unexpected-response', (request, { statusCode: status = 0, statusMessage = '' }) => {
      resolve({ miss: 'status', said: `HTTP ${status} ${statusMessage}`.trim(), status })
      request.destroy()
    })
    socket.on('error', (error) => resolve(explain(error)))
  })
}

export const network: Network = {
  listen,
  dial: (url, { frameBytesMax, timeoutMs }) => dial(url, frameBytesMax, timeoutMs).catch((error: unknown) => explain(error as Error)),
}
