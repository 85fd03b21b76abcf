/** A listening place: takes connections in, refuses upgrades that no device asks for, and makes links of the others. */
import { createServer } from 'node:http'
import type { IncomingMessage, Server } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { createServer as createNetServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { WebSocketServer } from 'ws'
import type { Listener as Place } from '../../runtime/host/network.ts'
import { listAddresses } from './io.address.ts'
import { Greeting } from './io.greeting.ts'
import { socketLimits } from './io.limits.ts'
import { KeptLink } from './io.link.ts'
import type { FromIo, ToIo } from './io.message.ts'
import { CLOSE_MS, FINISH_MS } from './io.message.ts'
import { Strangers, judgeUpgrade, placeOf } from './io.stranger.ts'
import { Tally } from './io.tally.ts'

const UPGRADE_REQUIRED = 426
const STATUS = { 403: 'Forbidden', 404: 'Not Found' } as const

type Options = Extract<ToIo, { kind: 'listen' }>['options']
/** A connection that is no link yet. */
type Entry = { greeting: Greeting; place: string; admitted: boolean; link: KeptLink | null }

export type Host = {
  post(message: FromIo, transfer?: ArrayBuffer[]): void
  /** Links by number; a number of its own for each that is accepted. */
  links: Map<number, { link: KeptLink; admit(): void }>
  nextLink(): number
  /** A link's socket is closed. */
  forget(link: number): void
}

export class Listening {
  private readonly host: Host
  private readonly listener: number
  private readonly options: Options
  private readonly strangers: Strangers
  private readonly tally: Tally
  /** By the peer's address and port, which a connection and the TLS upon it share. */
  private readonly entries = new Map<string, Entry>()
  private readonly connections = new Set<Socket>()
  private readonly gate = createNetServer({ noDelay: true })
  private readonly server: Server
  private readonly sockets: WebSocketServer

  /** Throws OpenSSL's error for a certificate or a key that is none. */
  constructor(host: Host, listener: number, options: Options) {
    const { peers, frameBytesMax, tls } = options
    this.host = host
    this.listener = listener
    this.options = options
    this.strangers = new Strangers(peers)
    this.tally = new Tally((line) => host.post({ kind: 'told', listener, line }))
    const how = { perMessageDeflate: false, autoPong: false, closeTimeout: CLOSE_MS, ...socketLimits(frameBytesMax) }
    this.sockets = new WebSocketServer({ noServer: true, ...how })
    const asked = tls?.ca === undefined ? {} : { ca: tls.ca, requestCert: true, rejectUnauthorized: true }
    this.server = tls ? createSecureServer({ cert: tls.cert, key: tls.key, ...asked }) : createServer()
    this.server.on('request', ({ url }, response) => {
      response.writeHead(url === '/' ? UPGRADE_REQUIRED : 404, { Connection: 'close' }).end()
    })
    this.server.on('upgrade', (request, socket, head) => this.upgrade(request, socket, head))
    this.server.on('tlsClientError', (error: Error & { code?: string }, socket: Socket) => {
      this.tally.add(`TLS: ${error.code ?? error.message}`, placeOf(socket.remoteAddress ?? ''))
      socket.destroy()
    })
    this.gate.on('connection', (connection) => this.enter(connection))
  }

  async open(): Promise<Pick<Place, 'address' | 'elsewhere'>> {
    const { host, port, tls } = this.options
    await new Promise<void>((resolve, reject) => {
      this.gate.once('listening', resolve)
      this.gate.once('error', reject)
      this.gate.listen(port, host)
    })
    // One connection that can't be taken ends nothing.
    this.gate.on('error', () => {})
    return listAddresses(tls ? 'wss' : 'ws', host, this.gate.address() as AddressInfo)
  }

  private enter(connection: Socket): void {
    const { strangers, entries, connections, tally } = this
    const { remoteAddress = '', remotePort = 0 } = connection
    const place = placeOf(remoteAddress)
    connection.on('error', () => {})
    if (!strangers.enter(place)) {
      tally.add('too many at once', place)
      return void connection.destroy()
    }
    const key = `${remoteAddress} ${remotePort}`
    const greeting = new Greeting(this.options.greetingMs, () => {
      tally.add(`nothing asked for within ${greeting.ms / 1000} s`, place)
      connection.destroy()
    })
    const entry: Entry = { greeting, place, admitted: false, link: null }
    entries.set(key, entry)
    connections.add(connection)
    connection.once('close', () => {
      greeting.end()
      entries.delete(key)
      connections.delete(connection)
      if (entry.admitted) strangers.dismiss()
      else strangers.leave(place)
    })
    greeting.run()
    this.server.emit('connection', connection)
  }

  private upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { remoteAddress = '', remotePort = 0 } = socket as Socket
    const entry = this.entries.get(`${remoteAddress} ${remotePort}`)
    if (!entry) return void socket.destroy()
    const status = judgeUpgrade(request, this.options.tls !== undefined)
    if (status) {
      this.tally.add(status === 403 ? 'an upgrade of a foreign origin' : 'an upgrade of a path that is none', entry.place)
      socket.on('error', () => {})
      socket.end(`HTTP/1.1 ${status} ${STATUS[status]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
      return
    }
    this.sockets.handleUpgrade(request, socket, head, (webSocket) => {
      const { host, listener, strangers, tally } = this
      const number = host.nextLink()
      let opened = false
      const link = new KeptLink({
        socket: webSocket, connection: socket as Socket, frameBytesMax: this.options.frameBytesMax, greeting: entry.greeting, dialled: false,
        deliver(frame) {
          if (!opened) host.post({ kind: 'open', link: number, listener })
          opened = true
          host.post({ kind: 'frame', link: number, frame }, [frame.buffer as ArrayBuffer])
        },
        ended(reason) {
          if (opened) host.post({ kind: 'ended', link: number, reason })
          if (!entry.admitted && reason !== null) tally.add(reason, entry.place)
        },
        gone: () => host.forget(number),
      })
      entry.link = link
      host.links.set(number, {
        link,
        admit() {
          if (!entry.admitted) strangers.admit(entry.place)
          entry.admitted = true
          link.admit()
        },
      })
    })
  }

  /** Each second. */
  tick(): void {
    this.tally.tick()
  }

  /** Takes nobody in any more; links have a moment to close. */
  close(): void {
    this.gate.close()
    for (const { link } of this.entries.values()) link?.close('the run is over', FINISH_MS)
    for (const connection of this.connections) {
      const { remoteAddress = '', remotePort = 0 } = connection
      if (!this.entries.get(`${remoteAddress} ${remotePort}`)?.link) connection.destroy()
    }
  }
}
