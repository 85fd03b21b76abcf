/** `kerf serve`: the edge server of a run, devices joining over WebSocket. */
import { WebSocketServer } from 'ws'
import { refuse } from '../../../runtime/error.ts'
import { SCHEMES, activationExpectation, adapterExpectation, bodyBytesMax, stateExpectation } from '../../../runtime/split/contract.ts'
import type { Contract } from '../../../runtime/split/contract.ts'
import { PRELUDE_BYTES } from '../../../runtime/wire/limits.ts'
import type { Connect } from '../conduct.ts'
import { conduct } from '../conduct.ts'
import type { Command } from '../flags.ts'
import { linkSocket } from '../host.ts'
import { writeReport } from '../output.ts'
import type { Setting } from '../setting.ts'
import { RUN_FLAGS, makeContract, openSetting } from '../setting.ts'

const CONTROL_BYTES = 1 << 17

/** No frame of this run is longer; a socket refuses more before it holds it. */
export function frameBytesMax({ model, layout }: Pick<Setting, 'model' | 'layout'>, contract: Contract): number {
  const { batch, maxLength } = contract
  const share = { samples: 1, labelCounts: [], rows: batch * maxLength, sequences: batch, longest: maxLength, memoryBytes: 1 }
  const state = contract.checkpointEvery > 0 ? stateExpectation(layout) : []
  const bodies = [activationExpectation(contract, share, model.config.hiddenSize), adapterExpectation(layout), state]
  return PRELUDE_BYTES + Math.max(CONTROL_BYTES, ...bodies.map(bodyBytesMax))
}

function listen(setting: Setting): Connect {
  const { flags } = setting
  return async ({ server }, contract) => {
    const port = flags.integer('port', 0, 65535)
    const sockets = new WebSocketServer({ port, host: flags.text('host'), perMessageDeflate: false, maxPayload: frameBytesMax(setting, contract) })
    sockets.on('connection', (socket) => { void server.attend(linkSocket(socket)) })
    await new Promise<void>((resolve, reject) => {
      sockets.once('listening', resolve)
      sockets.once('error', (error: NodeJS.ErrnoException) => reject(error))
    }).catch(({ code }: NodeJS.ErrnoException) => {
      if (code === 'EADDRINUSE' || code === 'EACCES') refuse('serve-port', '--port', 'a free port', `${port}: ${code}`)
      refuse('serve-host', '--host', 'an address of this machine', `${flags.text('host')}: ${code}`)
    })
    const address = sockets.address()
    const at = typeof address === 'object' && address ? `ws://${flags.text('host')}:${address.port}` : ''
    process.stderr.write(`listening on ${at} for ${contract.cuts.length} devices: kerf join ${at} --data FILE\n`)
    // One connection that can't be taken ends nothing.
    sockets.on('error', () => {})
    return {
      failed: new Promise<never>(() => {}),
      close() {
        for (const client of sockets.clients) client.terminate()
        sockets.close()
      },
    }
  }
}

export const serveCommand: Command = {
  summary: 'hold the server of a run; devices join it over WebSocket',
  flags: {
    scheme: { type: 'string', value: 'NAME', default: 'kerf', help: SCHEMES.join(', ') },
    host: { type: 'string', value: 'ADDRESS', default: '127.0.0.1', help: 'address to listen on' },
    port: { type: 'string', value: 'PORT', default: '7700', help: 'port to listen on; 0 takes a free one' },
    'join-seconds': { type: 'string', value: 'S', default: '600', help: 'how long to wait for all devices' },
    ...RUN_FLAGS,
  },
  async run(flags) {
    const setting = await openSetting(flags)
    const scheme = flags.choice('scheme', SCHEMES)
    // A run of one client has no aggregation to start again from, so its states travel at each interval.
    const alone = scheme === 'central' || flags.integer('clients', 1) === 1
    const every = flags.has('checkpoint-every') ? flags.integer('checkpoint-every', 0) : alone ? flags.integer('interval', 1) : 0
    const report = await conduct(setting, makeContract(setting, scheme, every), flags.text('out'), listen(setting))
    writeReport(setting, [report], flags.text('out'))
  },
}
