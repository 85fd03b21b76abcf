/** `kerf join`: one device of a run, over WebSocket; comes back by itself when the connection breaks. */
import { WebSocket } from 'ws'
import { KerfError, refuse } from '../../../runtime/error.ts'
import { parsePartition, partition, selectSamples } from '../../../runtime/data/partition.ts'
import { createChecksum } from '../../../runtime/kernel/checksum.ts'
import type { Kernel } from '../../../runtime/kernel/load.ts'
import type { TokenizedDataset } from '../../../runtime/data/dataset.ts'
import type { Contract } from '../../../runtime/split/contract.ts'
import { optimizerOf } from '../../../runtime/split/contract.ts'
import { runDevice } from '../../../runtime/split/device.ts'
import { openStageHalf } from '../../../runtime/split/half.stage.ts'
import { fitDevice } from '../../../runtime/split/spec.ts'
import type { Command, Flags } from '../flags.ts'
import { MODEL_FLAGS } from '../flags.ts'
import { clock, linkSocket } from '../host.ts'
import { describeInterrupt } from '../interrupt.ts'
import { KERNEL_FLAGS, MEMORY_FLAG, RECOMPUTE_FLAG, STAGE_FLAGS, openNodeKernel, readMemory } from '../kernel.ts'
import type { Model } from '../model.ts'
import { bundledData, modelDirectory, openModel, openTokenizer, readTokens } from '../model.ts'
import { createProgress } from '../progress.ts'

const FRAME_BYTES_MAX = 1 << 30
const HANDSHAKE_MS = 10_000
const RETRY_MS = 500
/** Refusals that pass: the server still holds the broken connection, or has left a silent device out until the next interval. */
const PASSING = ['client-taken', 'deadline']

/** An open socket, or null when nobody answers. */
function dial(url: string): Promise<WebSocket | null> {
  return new Promise((resolve) => {
    const socket = new WebSocket(url, { perMessageDeflate: false, maxPayload: FRAME_BYTES_MAX, handshakeTimeout: HANDSHAKE_MS })
    socket.once('open', () => resolve(socket))
    socket.once('error', () => resolve(null))
  })
}

function checkAddress(url: string | undefined): string {
  if (url === undefined || !/^wss?:\/\/[^\s#]+$/.test(url) || !URL.canParse(url)) refuse('join-address', 'address', 'ws://HOST:PORT', url ?? 'none')
  return url
}

/** This device's data: the whole file, or what the run's partition gives to `client`. */
function readShare(flags: Flags, kernel: Kernel, model: Model, contract: Contract, client: number): TokenizedDataset {
  const file = flags.optional('data') ?? bundledData().train
  const data = readTokens(file, openTokenizer(model), contract.labels, contract.maxLength, contract.truncate)
  if (!flags.on('share')) return data
  const shares = partition(data.labels, contract.labels.length, contract.cuts.length, parsePartition(contract.partition), contract.seed, kernel.exports)
  return selectSamples(data, shares[client])
}

export const joinCommand: Command = {
  summary: 'be one device of a run that `kerf serve` holds',
  flags: {
    ...MODEL_FLAGS,
    ...KERNEL_FLAGS,
    ...STAGE_FLAGS,
    ...RECOMPUTE_FLAG,
    ...MEMORY_FLAG,
    data: { type: 'string', value: 'FILE', help: "this device's own data; without it the bundled sentences" },
    share: { type: 'boolean', default: false, help: "take only this client's share of the data, by the run's partition" },
    client: { type: 'string', value: 'N', default: 'any', help: 'client number to ask for' },
    name: { type: 'string', value: 'NAME', help: 'name of this device, the same when it comes back (client and number)' },
    'retry-seconds': { type: 'string', value: 'S', default: '60', help: 'how long to try again when the server is out of reach' },
  },
  async run(flags) {
    const url = checkAddress(flags.positionals[0])
    const opened = await openNodeKernel(flags)
    const { kernel, stage } = opened
    const crc32c = createChecksum(kernel)
    const client = flags.text('client') === 'any' ? null : flags.integer('client', 0)
    const name = flags.optional('name') ?? (client === null ? `process ${process.pid}` : `client ${client}`)
    const model = await openModel(modelDirectory(flags.optional('model')), crc32c)
    const retryMs = 1000 * flags.number('retry-seconds', 0, true)
    const fit = { stage, memoryBytes: readMemory(flags) }
    const progress = createProgress(process.stderr, { now: clock.now })
    let welcomes = 0
    const attend = (socket: WebSocket) => runDevice({
      name, client, link: linkSocket(socket), clock, crc32c,
      async provide(contract, number) {
        const data = readShare(flags, kernel, model, contract, number)
        if (welcomes++ === 0) opened.lines.forEach(progress.note)
        return {
          config: model.config, fingerprint: model.fingerprint, data,
          openHalf: (spec) => openStageHalf(kernel, fitDevice(spec, fit, kernel.exports), model.weights, optimizerOf(contract), clock.now),
        }
      },
      progress: (step, contract) => progress.update(step, contract.steps, `${name}: ${contract.scheme}`),
    }).catch((error: unknown) => {
      if (welcomes === 0 || !(error instanceof KerfError) || !PASSING.includes(error.code)) throw error
      progress.note(error.message)
      return false
    })
    describeInterrupt(() => {
      progress.end()
      return 'interrupted: the same command comes back to the run while it lasts'
    })
    let lostMs = clock.now()
    for (;;) {
      const socket = await dial(url)
      if (socket) {
        const before = welcomes
        const ended = await attend(socket)
        socket.close()
        if (ended) break
        if (welcomes > before) {
          progress.note('connection lost')
          lostMs = clock.now()
        }
      }
      if (clock.now() - lostMs >= retryMs) refuse('join-lost', 'address', `a server within ${retryMs / 1000} s`, url)
      await new Promise<void>((resolve) => { clock.after(RETRY_MS, resolve) })
    }
    progress.end()
  },
}
