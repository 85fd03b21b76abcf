/** `kerf serve`: the edge server of a run, devices joining over the network. */
import { refuse } from '../../error.ts'
import { activationExpectation, adapterExpectation, bodyBytesMax, stateExpectation } from '../../split/contract.ts'
import type { Contract } from '../../split/contract.ts'
import { SCHEME_NAMES, schemeOf } from '../../split/scheme.ts'
import { PRELUDE_BYTES } from '../../wire/limits.ts'
import { defineCommand } from '../command.ts'
import type { Connect } from '../conduct.ts'
import { claimOut, conduct } from '../conduct.ts'
import type { ProgramHost } from '../host.ts'
import { writeReport } from '../output.ts'
import type { Prepared } from '../run.ts'
import { RUN_SETTINGS, makeContract, prepareRun } from '../run.ts'
import type { Settings } from '../settings.ts'

const CONTROL_BYTES = 1 << 17
/** A connection that has sent no message by then is closed: a device's hello is the first thing that it sends. */
const HELLO_MS = 10_000
/** Connections beside one for each device: for strangers, and for devices that are back before their broken one has been noticed. */
export const CONNECTIONS_SPARE = 16

/** No frame of this run is longer; a connection refuses more before it holds it. */
function frameBytesMax({ model, layout }: Pick<Prepared, 'model' | 'layout'>, contract: Contract): number {
  const { batch, maxLength } = contract
  const share = { samples: 1, labelCounts: [], rows: batch * maxLength, sequences: batch, longest: maxLength, memoryBytes: 1 }
  const state = contract.checkpointEvery > 0 ? stateExpectation(layout) : []
  const bodies = [activationExpectation(contract, share, model.config.hiddenSize), adapterExpectation(layout), state]
  return PRELUDE_BYTES + Math.max(CONTROL_BYTES, ...bodies.map(bodyBytesMax))
}

function refusePlace({ host, port }: Pick<Settings, 'host' | 'port'>, error: unknown): never {
  const { code } = error as { code?: string }
  if (code === 'EADDRINUSE' || code === 'EACCES') refuse('serve-port', '--port', 'a free port', `${port}: ${code}`)
  return refuse('serve-host', '--host', 'an address of this machine', `${host}: ${code}`)
}

function listen({ network, terminal }: ProgramHost, prepared: Prepared, place: Pick<Settings, 'host' | 'port'>): Connect {
  return async ({ server }, contract) => {
    const listener = await network.listen({
      ...place, connectionsMax: contract.cuts.length + CONNECTIONS_SPARE, silenceMs: HELLO_MS, frameBytesMax: frameBytesMax(prepared, contract),
      attend: (link) => { void server.attend(link) },
    }).catch((error: unknown) => refusePlace(place, error))
    const { address, elsewhere } = listener
    const others = elsewhere.length > 0 ? `; from other machines ${elsewhere.join(' or ')}` : ''
    terminal.screen.write(`listening on ${address} for ${contract.cuts.length} devices: kerf join ${address} --data FILE${others}\n`)
    return { failed: new Promise<never>(() => {}), close: () => listener.close() }
  }
}

export const serveCommand = defineCommand({
  summary: 'hold the server of a run; devices join it over WebSocket',
  names: ['scheme', 'host', 'port', 'joinSeconds', ...RUN_SETTINGS],
  async run(settings, context) {
    const { scheme: asked, clients, interval, out, joinSeconds } = settings
    const [scheme] = asked === 'all' || asked.length > 1 ? refuse('flag-choice', '--scheme', `${SCHEME_NAMES.join(', ')}, one alone`, String(asked)) : asked
    const prepared = await prepareRun(context.host, settings, { texts: 'devices' })
    try {
      // A run of one client has no aggregation to start again from, so its states travel at each interval.
      const alone = schemeOf({ scheme }).pooled || clients === 1
      const contract = makeContract(prepared, scheme, settings.checkpointEvery ?? (alone ? interval : 0))
      const claim = await claimOut(context.host, settings, [out])
      const connect = listen(context.host, prepared, settings)
      const report = await conduct(context.host, prepared, { contract, out, claim, joinSeconds, connect })
      await writeReport(context, prepared, [report])
    } finally {
      await prepared.close()
    }
  },
})
