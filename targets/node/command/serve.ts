/** `kerf serve`: the edge server of a run, devices joining over WebSocket. */
import { createServer } from 'node:http'
import type { Server as HttpServer } from 'node:http'
import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import { WebSocketServer } from 'ws'
import { refuse } from '../../../runtime/error.ts'
import { activationExpectation, adapterExpectation, bodyBytesMax, stateExpectation } from '../../../runtime/split/contract.ts'
import { SCHEME_DEFAULT, SCHEME_NAMES, schemeOf } from '../../../runtime/split/scheme.ts'
import type { Contract } from '../../../runtime/split/contract.ts'
import { PRELUDE_BYTES } from '../../../runtime/wire/limits.ts'
import type { Connect } from '../conduct.ts'
import { conduct } from '../conduct.ts'
import type { Command } from '../flags.ts'
import { clock, linkSocket } from '../host.ts'
import { writeReport } from '../output.ts'
import type { Setting } from '../setting.ts'
import { RUN_FLAGS, makeContract, openSetting } from '../setting.ts'

const CONTROL_BYTES = 1 << 17
/** A connection that has sent no message by then is closed: a device's hello is the first thing that it sends. */
export const HELLO_MS = 10_000
/** Connections beside one for each device: for strangers, and for devices that are back before their broken one has been noticed. */
export const CONNECTIONS_SPARE = 16
const UPGRADE_REQUIRED = 426

/** No frame of this run is longer; a socket refuses more before it holds it. */
export function frameBytesMax({ model, layout }: Pick<Setting, 'model' | 'layout'>, contract: Contract): number {
  const { batch, maxLength } = contract
  const share = { samples: 1, labelCounts: [], rows: batch * maxLength, sequences: batch, longest: maxLength, memoryBytes: 1 }
  const state = contract.checkpointEvery > 0 ? stateExpectation(layout) : []
  const bodies = [activationExpectation(contract, share, model.config.hiddenSize), adapterExpectation(layout), state]
  return PRELUDE_BYTES + Math.max(CONTROL_BYTES, ...bodies.map(bodyBytesMax))
}

/** Takes WebSockets in while there are fewer than `connectionsMax` connections of any kind; one that says nothing is closed after HELLO_MS. */
function takeSockets(server: HttpServer, connectionsMax: number, maxPayload: number, attend: (socket: WebSocket) => void): WebSocketServer {
  server.maxConnections = connectionsMax
  const stopClocks = new WeakMap<Socket, () => void>()
  server.on('connection', (connection) => {
    const stopClock = clock.after(HELLO_MS, () => connection.destroy())
    stopClocks.set(connection, stopClock)
    connection.once('close', stopClock)
  })
  const sockets = new WebSocketServer({ server, perMessageDeflate: false, maxPayload })
  sockets.on('connection', (socket, { socket: connection }) => {
    socket.once('message', () => stopClocks.get(connection)?.())
    attend(socket)
  })
  return sockets
}

function listen(setting: Setting): Connect {
  const { flags } = setting
  return async (run, contract) => {
    const port = flags.integer('port', 0, 65535)
    const server = createServer((_, response) => { response.writeHead(UPGRADE_REQUIRED).end() })
    const connectionsMax = contract.cuts.length + CONNECTIONS_SPARE
    const sockets = takeSockets(server, connectionsMax, frameBytesMax(setting, contract), (socket) => { void run.server.attend(linkSocket(socket)) })
    await new Promise<void>((resolve, reject) => {
      sockets.once('listening', resolve)
      sockets.once('error', (error: NodeJS.ErrnoException) => reject(error))
      server.listen(port, flags.text('host'))
    }).catch(({ code }: NodeJS.ErrnoException) => {
      if (code === 'EADDRINUSE' || code === 'EACCES') refuse('serve-port', '--port', 'a free port', `${port}: ${code}`)
      refuse('serve-host', '--host', 'an address of this machine', `${flags.text('host')}: ${code}`)
    })
    const address = server.address()
    const at = typeof address === 'object' && address ? `ws://${flags.text('host')}:${address.port}` : ''
    process.stderr.write(`listening on ${at} for ${contract.cuts.length} devices: kerf join ${at} --data FILE\n`)
    // One connection that can't be taken ends nothing.
    sockets.on('error', () => {})
    return {
      failed: new Promise<never>(() => {}),
      close() {
        for (const client of sockets.clients) client.terminate()
        server.close()
        server.closeAllConnections()
      },
    }
  }
}

export const serveCommand: Command = {
  summary: 'hold the server of a run; devices join it over WebSocket',
  flags: {
    scheme: { type: 'string', value: 'NAME', default: SCHEME_DEFAULT, help: SCHEME_NAMES.join(', ') },
    host: { type: 'string', value: 'ADDRESS', default: '127.0.0.1', help: 'address to listen on' },
    port: { type: 'string', value: 'PORT', default: '7700', help: 'port to listen on; 0 takes a free one' },
    'join-seconds': { type: 'string', value: 'S', default: '600', help: 'how long to wait for all devices' },
    ...RUN_FLAGS,
  },
  async run(flags) {
    const setting = await openSetting(flags)
    const scheme = flags.choice('scheme', SCHEME_NAMES)
    // A run of one client has no aggregation to start again from, so its states travel at each interval.
    const alone = schemeOf({ scheme }).pooled || flags.integer('clients', 1) === 1
    const every = flags.has('checkpoint-every') ? flags.integer('checkpoint-every', 0) : alone ? flags.integer('interval', 1) : 0
    const contract = makeContract(setting, scheme, every)
    const report = await conduct(setting, contract, flags.text('out'), listen(setting))
    writeReport(setting, [report], flags.text('out'))
  },
}
