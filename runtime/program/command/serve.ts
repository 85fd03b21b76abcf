/** `kerf serve`: the edge server of a run, devices joining over the network. */
import { refuse } from '../../error.ts'
import type { Tls } from '../../host/network.ts'
import { activationExpectation, adapterExpectation, bodyBytesMax, stateExpectation } from '../../split/contract.ts'
import type { Contract } from '../../split/contract.ts'
import { SCHEME_NAMES, schemeOf } from '../../split/scheme.ts'
import { PRELUDE_BYTES } from '../../wire/limits.ts'
import { isLoopback, writeAddress } from '../address.ts'
import { defineCommand } from '../command.ts'
import type { Connect } from '../conduct.ts'
import { claimOut, conduct } from '../conduct.ts'
import type { ProgramHost } from '../host.ts'
import { writeReport } from '../output.ts'
import type { OpenAdmission } from '../roll.ts'
import { openAdmission } from '../roll.ts'
import type { Prepared } from '../run.ts'
import { RUN_SETTINGS, makeContract, prepareRun } from '../run.ts'
import type { Settings } from '../settings.ts'
import { TLS_SETTINGS, readTls } from '../tls.ts'

const CONTROL_BYTES = 1 << 17
/** What a stranger's greeting may take from the first byte to the last. A device that needs longer to make itself ready comes again. */
export const GREETING_MS = 10_000

/** No frame of this run is longer; a connection refuses more before it holds it. */
function frameBytesMax({ model, layout }: Pick<Prepared, 'model' | 'layout'>, contract: Contract): number {
  const { batch, maxLength } = contract
  const state = contract.checkpointEvery > 0 ? stateExpectation(layout) : []
  const bodies = [activationExpectation(contract, { rows: batch * maxLength, sequences: batch }, model.config.hiddenSize), adapterExpectation(layout), state]
  return PRELUDE_BYTES + Math.max(CONTROL_BYTES, ...bodies.map(bodyBytesMax))
}

function refusePlace({ host, port }: Pick<Settings, 'host' | 'port'>, error: unknown): never {
  const { code = String(error) } = error as { code?: string }
  if (code.startsWith('ERR_OSSL') || code.startsWith('ERR_TLS')) refuse('serve-tls', '--tls-cert', 'a certificate and its key', code)
  if (code === 'EADDRINUSE' || code === 'EACCES') refuse('serve-port', '--port', 'a free port', `${port}: ${code}`)
  return refuse('serve-host', '--host', 'an address of this machine', `${host}: ${code}`)
}

const OPEN_WARNING = 'anybody on the way can read and change what devices send: --tls-cert and --tls-key encrypt it'

type Place = Pick<Settings, 'host' | 'port'> & { tls: Tls | undefined }

function listen(
  { network, terminal }: ProgramHost, prepared: Prepared, { invitation, line, begin }: OpenAdmission, { tls, ...place }: Place,
): Connect {
  return async ({ server }, contract, note) => {
    const listener = await network.listen({
      ...place, tls, peers: contract.cuts.length, greetingMs: GREETING_MS, frameBytesMax: frameBytesMax(prepared, contract), tell: note,
      attend: (link) => { void server.attend(link) },
    }).catch((error: unknown) => refusePlace(place, error))
    await begin()
    const invite = (url: string): string => writeAddress({ url, invitation: invitation ?? undefined })
    const { address, elsewhere } = listener
    const others = elsewhere.length > 0 ? `; from other machines ${elsewhere.map(invite).join(' or ')}` : ''
    if (!tls && !isLoopback(place.host)) note(OPEN_WARNING)
    terminal.screen.write(
      `listening on ${address} for ${contract.cuts.length} devices: kerf join ${invite(address)} --data FILE${others}\n${line}\n`)
    return { failed: listener.failed, close: () => listener.close() }
  }
}

export const serveCommand = defineCommand({
  summary: 'hold the server of a run; devices join it over WebSocket',
  names: ['scheme', 'host', 'port', ...TLS_SETTINGS, 'keys', 'invite', 'joinSeconds', ...RUN_SETTINGS],
  async run(settings, context) {
    const { scheme: asked, clients, interval, out, joinSeconds } = settings
    const [scheme] = asked === 'all' || asked.length > 1 ? refuse('flag-choice', '--scheme', `${SCHEME_NAMES.join(', ')}, one alone`, String(asked)) : asked
    const tls = await readTls(context.host.files, settings)
    if (tls && tls.cert === undefined) refuse('tls-pair', '--tls-cert', 'the certificate of a server that asks for others', 'none')
    const devices = schemeOf({ scheme }).pooled ? 1 : clients
    const admission = await openAdmission(context.host, settings, devices)
    const prepared = await prepareRun(context.host, settings, { texts: 'devices' })
    try {
      // A run of one client has no aggregation to start again from, so its states travel at each interval.
      const alone = devices === 1
      const contract = makeContract(prepared, scheme, settings.checkpointEvery ?? (alone ? interval : 0))
      const claim = await claimOut(context.host, settings, [out])
      const connect = listen(context.host, prepared, admission, { host: settings.host, port: settings.port, tls })
      const report = await conduct(context.host, prepared, { contract, out, claim, joinSeconds, admission, connect })
      await writeReport(context, prepared, [report])
    } finally {
      await prepared.close()
    }
  },
})
