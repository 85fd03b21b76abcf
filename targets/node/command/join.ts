/** `kerf join`: one device of a run, over WebSocket; comes back by itself when the connection breaks. */
import { WebSocket } from 'ws'
import { refuse } from '../../../runtime/error.ts'
import { parsePartition, partition, selectSamples } from '../../../runtime/federation/partition.ts'
import { createChecksum } from '../../../runtime/kernel/checksum.ts'
import type { TokenizedDataset } from '../../../runtime/model/dataset.ts'
import type { Contract } from '../../../runtime/split/contract.ts'
import { runDevice } from '../../../runtime/split/device.ts'
import type { Command, Flags } from '../flags.ts'
import { BUILDS, MODEL_FLAGS } from '../flags.ts'
import { host, linkSocket, loadNodeKernel } from '../host.ts'
import type { Model } from '../model.ts'
import { bundledData, modelDirectory, openModel, openTokenizer, readTokens } from '../model.ts'
import { createProgress } from '../progress.ts'

const FRAME_BYTES_MAX = 1 << 30

/** An open socket, or null when nobody answers. */
function dial(url: string): Promise<WebSocket | null> {
  return new Promise((resolve) => {
    const socket = new WebSocket(url, { perMessageDeflate: false, maxPayload: FRAME_BYTES_MAX })
    socket.once('open', () => resolve(socket))
    socket.once('error', () => resolve(null))
  })
}

function checkAddress(url: string | undefined): string {
  if (url === undefined || !/^wss?:\/\/\S+$/.test(url)) refuse('join-address', 'address', 'ws://HOST:PORT', url ?? 'none')
  return url
}

export const joinCommand: Command = {
  summary: 'be one device of a run that `kerf serve` holds',
  flags: {
    ...MODEL_FLAGS,
    data: { type: 'string', value: 'FILE', help: "this device's own data; without it the bundled sentences" },
    share: { type: 'boolean', default: false, help: "take only this client's share of the data, by the run's partition" },
    client: { type: 'string', value: 'N', default: 'any', help: 'client number to ask for' },
    name: { type: 'string', value: 'NAME', help: 'name of this device, the same when it comes back (client and number)' },
    'retry-seconds': { type: 'string', value: 'S', default: '60', help: 'how long to try again when the server is out of reach' },
  },
  async run(flags) {
    const url = checkAddress(flags.positionals[0])
    const kernel = await loadNodeKernel(flags.choice('build', BUILDS))
    const crc32c = createChecksum(kernel)
    const client = flags.text('client') === 'any' ? null : flags.integer('client', 0)
    const name = flags.optional('name') ?? (client === null ? `process ${process.pid}` : `client ${client}`)
    const model = await openModel(modelDirectory(flags.optional('model')), crc32c)
    const retryMs = 1000 * flags.number('retry-seconds', 0, true)
    const progress = createProgress(process.stderr, { now: host.clock })
    const provide = async (contract: Contract, number: number) => ({
      config: model.config, weights: model.weights, fingerprint: model.fingerprint, data: readShare(flags, model, contract, number),
    })
    const readShare = (own: Flags, base: Model, contract: Contract, number: number): TokenizedDataset => {
      const file = own.optional('data') ?? bundledData().train
      const data = readTokens(file, openTokenizer(base), contract.labels, contract.maxLength, contract.truncate)
      if (!own.on('share')) return data
      const shares = partition(data.labels, contract.labels.length, contract.cuts.length, parsePartition(contract.partition), contract.seed, kernel.exports)
      return selectSamples(data, shares[number])
    }
    let lostMs = host.clock()
    for (;;) {
      const socket = await dial(url)
      if (socket) {
        const ended = await runDevice({
          name, client, link: linkSocket(socket), host, kernel, crc32c, provide,
          progress: (step, contract) => progress.update(step, contract.steps, `${name}: ${contract.scheme}`),
        })
        socket.close()
        if (ended) break
        progress.note('connection lost')
        lostMs = host.clock()
      }
      if (host.clock() - lostMs >= retryMs) refuse('join-lost', 'address', `a server within ${retryMs / 1000} s`, url)
      await new Promise<void>((resolve) => { host.after(500, resolve) })
    }
    progress.end()
  },
}
