/** `kerf join`: one device of a run, over the network; comes back by itself when the connection breaks. */
import type { TokenizedDataset } from '../../data/dataset.ts'
import { parsePartition, partition, selectSamples } from '../../data/partition.ts'
import { KerfError } from '../../error.ts'
import type { Entropy } from '../../host/entropy.ts'
import type { Files } from '../../host/files.ts'
import type { Link } from '../../host/network.ts'
import { createChecksum } from '../../kernel/checksum.ts'
import type { Kernel } from '../../kernel/load.ts'
import type { Tokenizer } from '../../data/tokens.ts'
import type { Contract } from '../../split/contract.ts'
import { expectSameBase } from '../../split/contract.ts'
import { runDevice } from '../../split/device.ts'
import { defineCommand } from '../command.ts'
import { KERNEL_SETTINGS, STAGE_SETTINGS, openProgramKernel } from '../kernel.ts'
import { bundledData, checksumTokenizer, modelDirectory, openTokenizer, readTokens, withModel } from '../model.ts'
import { createProgress } from '../progress.ts'
import { keepConnected } from '../reconnect.ts'
import type { Settings } from '../settings.ts'

const FRAME_BYTES_MAX = 1 << 30
const HANDSHAKE_MS = 10_000
/** Refusals that pass: the server still holds the broken connection, or has left a silent device out until the next interval. */
const PASSING = ['client-taken', 'deadline']

/** This device's data: the whole file, or what the run's partition gives to `client`. */
async function readShare(
  files: Files, { data: file, share }: Pick<Settings, 'data' | 'share'>, kernel: Kernel, tokenizer: Tokenizer, contract: Contract,
  client: number,
): Promise<TokenizedDataset> {
  const data = await readTokens(files, file ?? bundledData(files).train, tokenizer, contract.labels, contract)
  if (!share) return data
  const shares = partition(data.labels, contract.labels.length, contract.cuts.length, parsePartition(contract.partition), contract.seed, kernel.exports)
  return selectSamples(data, shares[client])
}

const NAME_BYTES = 6

/** A name that no other device of a run is likely to bear, wherever it runs. */
function drawName(entropy: Entropy): string {
  const bytes = new Uint8Array(NAME_BYTES)
  entropy.fill(bytes)
  return `device ${Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')}`
}

export const joinCommand = defineCommand({
  summary: 'be one device of a run that `kerf serve` holds',
  word: 'address',
  names: [
    'address', 'model', ...KERNEL_SETTINGS, ...STAGE_SETTINGS, 'recompute', 'memory', 'data', 'share', 'client', 'name', 'retrySeconds',
  ],
  async run(settings, { host }) {
    const { clock, files, entropy, network, terminal, interrupts } = host
    const { client, address: url = '' } = settings
    const { kernel, stage, lines } = await openProgramKernel(host, settings)
    const crc32c = createChecksum(kernel)
    const name = settings.name ?? (client === null ? drawName(entropy) : `client ${client}`)
    const progress = createProgress(terminal.screen, clock.now)
    interrupts.describe(() => {
      progress.end()
      return 'interrupted: the same command comes back to the run while it lasts'
    })
    let welcomes = 0
    await withModel(files, modelDirectory(files, settings.model), crc32c, async (model) => {
      const tokenizer = await openTokenizer(files, model)
      const attend = async (link: Link) => {
        const before = welcomes
        const ended = await runDevice({
          name, client, link, clock, kernel, crc32c, stage, memoryBytes: settings.memory,
          async provide(contract, number) {
            const { config, weights, fingerprint } = model
            const own = { fingerprint, tokenizer: checksumTokenizer(tokenizer, crc32c) }
            // Before its texts become other tokens than the server's.
            expectSameBase(contract, own)
            const data = await readShare(files, settings, kernel, tokenizer, contract, number)
            if (welcomes++ === 0) [...lines, ...model.notes].forEach(progress.note)
            return { config, weights, data, ...own }
          },
          progress: (step, contract) => progress.update(step, contract.steps, `${name}: ${contract.scheme}`),
        }).catch((error: unknown) => {
          if (welcomes === 0 || !(error instanceof KerfError) || !PASSING.includes(error.code)) throw error
          progress.note(error.message)
          return false
        })
        return { ended, welcomed: welcomes > before }
      }
      await keepConnected({
        clock, entropy, attend, url, retryMs: 1000 * settings.retrySeconds, lost: () => progress.note('connection lost'),
        dial: () => network.dial(url, { frameBytesMax: FRAME_BYTES_MAX, timeoutMs: HANDSHAKE_MS }),
      })
    })
    progress.end()
  },
})
