/** A listening place of Node's: HTTP, TLS where it is asked for, and the WebSockets that come of it. */
import { X509Certificate, createPrivateKey } from 'node:crypto'
import { createServer } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo, Socket as Connection } from 'node:net'
import { createServer as createNetServer } from 'node:net'
import { networkInterfaces } from 'node:os'
import { WebSocketServer } from 'ws'
import { listAddresses } from '../../runtime/network/address.ts'
import type { Peer, Sockets } from '../../runtime/network/socket.ts'
import { SOCKET_OPTIONS, limitPieces, wrapSocket } from './io.socket.ts'

const UPGRADE_REQUIRED = 426
const STATUS = { 403: 'Forbidden', 404: 'Not Found' } as const

const peerOf = ({ remoteAddress = '', remotePort = 0 }: Connection): Peer => ({ address: remoteAddress, port: remotePort })

/** Deno takes any text for a certificate, and Bun until it listens; both would then refuse every device. */
function checkCertificate(cert: string, key: string): void {
  const refuse = (message: string) => { throw Object.assign(new Error(message), { code: 'ERR_TLS_CERT_KEY' }) }
  let fits = false
  try {
    fits = new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))
  } catch (error) {
    refuse((error as Error).message)
  }
  if (!fits) refuse('the key of another certificate')
}

export const listen: Sockets['listen'] = async ({ host, port, frameBytesMax, tls }, visits) => {
  const sockets = new WebSocketServer({ noServer: true, ...SOCKET_OPTIONS, ...limitPieces(frameBytesMax) })
  const asked = tls?.ca === undefined ? {} : { ca: tls.ca, requestCert: true, rejectUnauthorized: true }
  const server = tls ? createSecureServer({ cert: tls.cert, key: tls.key, ...asked }) : createServer()
  if (tls) checkCertificate(tls.cert!, tls.key!)
  server.on('request', ({ url }, response) => {
    response.writeHead(url === '/' ? UPGRADE_REQUIRED : 404, { Connection: 'close' }).end()
  })
  server.on('upgrade', (request, stream, head) => {
    const connection = stream as Connection
    const peer = peerOf(connection)
    const status = visits.judge(peer, request)
    if (!status) return sockets.handleUpgrade(request, stream, head, (socket) => visits.meet(peer, wrapSocket(socket, connection)))
    stream.on('error', () => {})
    stream.end(`HTTP/1.1 ${status} ${STATUS[status]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
  })
  server.on('tlsClientError', (error: Error & { code?: string }, connection: Connection) => {
    visits.fail(peerOf(connection), `TLS: ${error.code ?? error.message}`)
    connection.destroy()
  })
  const gate = createNetServer({ noDelay: true }, (connection) => {
    // Of a connection that has closed, Node knows no peer any more.
    const peer = peerOf(connection)
    connection.on('error', () => {})
    if (!visits.enter(peer, () => connection.destroy())) return connection.destroy()
    connection.once('close', () => visits.left(peer))
    server.emit('connection', connection)
  })
  await new Promise<void>((resolve, reject) => {
    gate.once('listening', resolve)
    gate.once('error', reject)
    gate.listen(port, host)
  })
  // One connection that can't be taken ends nothing.
  gate.on('error', () => {})
  const interfaces = Object.values(networkInterfaces()).flatMap((all) => all ?? [])
  return { ...listAddresses(tls ? 'wss' : 'ws', host, gate.address() as AddressInfo, interfaces), close: () => gate.close() }
}
