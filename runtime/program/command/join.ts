/** `kerf join`: one device of a run, over the network; comes back by itself when the connection breaks. */
import type { TokenizedDataset } from '../../data/dataset.ts'
import { tokenizeRows } from '../../data/dataset.ts'
import { parsePartition, partition, selectSamples } from '../../data/partition.ts'
import type { Rows } from '../../data/rows.ts'
import { KerfError, refuse } from '../../error.ts'
import type { Link } from '../../host/network.ts'
import { createChecksum } from '../../kernel/checksum.ts'
import type { Kernel } from '../../kernel/load.ts'
import type { Tokenizer } from '../../data/tokens.ts'
import type { StageSpec } from '../../model/plan.ts'
import type { Contract } from '../../split/contract.ts'
import { expectSameBase, optimizerOf } from '../../split/contract.ts'
import { runDevice } from '../../split/device.ts'
import { openStageHalf } from '../../split/half.stage.ts'
import { DAMAGES_MAX, passingKind } from '../../split/passing.ts'
import type { DeviceKey } from '../../split/proof.ts'
import type { Brought } from '../../split/share.ts'
import { fitDevice } from '../../split/spec.ts'
import { tellError } from '../../split/told.ts'
import { isLoopback, readAddress } from '../address.ts'
import { defineCommand } from '../command.ts'
import { openIdentity } from '../identity.ts'
import { KERNEL_SETTINGS, STAGE_SETTINGS, openProgramKernel } from '../kernel.ts'
import { bundledData, checksumTokenizer, modelDirectory, openTokenizer, readRows, withModel } from '../model.ts'
import { createProgress } from '../progress.ts'
import { createProvisions } from '../provisions.ts'
import { keepConnected } from '../reconnect.ts'
import type { Settings } from '../settings.ts'
import { TLS_SETTINGS, readTls } from '../tls.ts'
import { GREETING_MS } from './serve.ts'

const FRAME_BYTES_MAX = 1 << 30
const HANDSHAKE_MS = 10_000
/** Of a device that is to try once, or for a moment. */
const HANDSHAKE_MS_MIN = 2000
/** A server that says nothing is tried so often at least before it is given up. */
const ATTEMPTS_MIN = 3
const OPEN_WARNING = 'anybody on the way can read and change what is sent: wss:// encrypts it'

/** This device's data: the whole file, or what the run's partition gives to `client`. */
async function readShare(
  rows: Rows, { share }: Pick<Settings, 'share'>, kernel: Kernel, tokenizer: Tokenizer, contract: Contract, client: number,
): Promise<TokenizedDataset> {
  const data = tokenizeRows(rows, contract.labels, tokenizer, contract)
  if (!share) return data
  const shares = partition(data.labels, contract.labels.length, contract.cuts.length, parsePartition(contract.partition), contract.seed, kernel.exports)
  return selectSamples(data, shares[client])
}

const NAME_DIGITS = 12

/** Whoever keeps a list of keys needs this one. */
function nameKey(error: unknown, { public: known }: DeviceKey): unknown {
  const refused = error instanceof KerfError && error.code === 'client-refused'
  return refused ? new KerfError(error.code, error.field, `${error.message}; this device's key is ${known}`) : error
}

const NAMES = [
  'address', 'model', ...KERNEL_SETTINGS, ...STAGE_SETTINGS, 'recompute', 'memory', 'data', 'share', 'client', 'key', 'name', 'retrySeconds',
  ...TLS_SETTINGS,
] as const

/**
 * The field of what a device brings (split/share.ts) that holds a setting, as it was understood, where it decides bits; null for one
 * that decides none. `model` decides them too, and no run takes another (`expectSameBase`).
 */
export const BROUGHT_BY = {
  address: null, model: null, profile: 'profile', build: null, tile: null, threads: null, dtype: 'dtype', recompute: null, memory: 'dtype',
  data: 'dataCrc', share: 'dataCrc', client: null, key: null, name: null, retrySeconds: null, tlsCert: null, tlsKey: null, tlsCa: null,
} as const satisfies Record<(typeof NAMES)[number], keyof Brought | null>

export const joinCommand = defineCommand({
  summary: 'be one device of a run that `kerf serve` holds',
  word: 'address',
  names: NAMES,
  async run(settings, { host }) {
    const { clock, files, entropy, network, terminal, interrupts } = host
    const { client } = settings
    const { url, invitation } = readAddress(settings.address ?? '')
    // The server decides, and says so by name.
    const { kernel, stage, lines } = await openProgramKernel(host, settings, { anyBits: true })
    const crc32c = createChecksum(kernel)
    const progress = createProgress(terminal.screen, clock.now)
    interrupts.describe(() => {
      progress.end()
      return 'interrupted: the same command comes back to the run while it lasts'
    })
    const fit = { stage, memoryBytes: settings.memory }
    // Once, since a pipe can't be read again when the connection is back.
    let rows: Promise<Rows> | undefined
    const tls = await readTls(files, settings)
    const { protocol, hostname } = new URL(url)
    if (tls && protocol !== 'wss:') refuse('join-tls', 'address', 'wss://HOST:PORT, where certificates are named', url)
    if (protocol !== 'wss:' && !isLoopback(hostname)) progress.note(OPEN_WARNING)
    const retryMs = 1000 * settings.retrySeconds
    const timeoutMs = Math.max(HANDSHAKE_MS_MIN, Math.min(HANDSHAKE_MS, retryMs))
    const greetingMs = retryMs > 0 ? Math.min(GREETING_MS, retryMs / ATTEMPTS_MIN) : GREETING_MS
    let welcomes = 0, damages = 0
    await withModel(files, modelDirectory(files, settings.model), crc32c, async (model) => {
      const { key, note } = await openIdentity(host, { ...settings, url }, settings.key)
      const name = settings.name ?? (client === null ? `device ${key.public.slice(0, NAME_DIGITS)}` : `client ${client}`)
      const tokenizer = await openTokenizer(files, model)
      const keep = createProvisions(async (contract, number) => {
        const { config, weights, fingerprint } = model
        const own = { fingerprint, tokenizer: checksumTokenizer(tokenizer, crc32c) }
        // Before its texts become other tokens than the server's.
        expectSameBase(contract, own)
        rows ??= readRows(files, settings.data ?? bundledData(files).train)
        const open = (spec: StageSpec) => openStageHalf(kernel, fitDevice(spec, fit, kernel.exports), weights, optimizerOf(contract), clock.now)
        const data = await readShare(await rows, settings, kernel, tokenizer, contract, number)
        return { config, data, openHalf: open, checksums: weights.checksums, ...own }
      })
      /** What passes is told, what does not goes on. */
      const pass = (error: unknown): false => {
        const kind = error instanceof KerfError ? passingKind(error.code) : 'final'
        const passes = kind === 'damage' ? ++damages <= DAMAGES_MAX : kind === 'soon' || (kind === 'now' && welcomes > 0)
        if (!passes || !(error instanceof KerfError)) throw nameKey(error, key)
        progress.note(error.message)
        return false
      }
      const attend = async (link: Link) => {
        const before = welcomes
        const ended = await runDevice({
          name, client, key, invitation, link, clock, crc32c,
          async provide(contract, number) {
            const provisions = await keep.provide(contract, number)
            if (welcomes++ === 0) [...lines, ...model.notes, ...(note === null ? [] : [note])].forEach(progress.note)
            return provisions
          },
          progress(step, contract) {
            damages = 0
            progress.update(step, contract.steps, `${name}: ${contract.scheme}`)
          },
        }).catch((error: unknown) => {
          // The closing frame reaches the server: no path of this side's stands in it.
          link.close(error instanceof KerfError ? tellError(error).message : undefined)
          return pass(error)
        })
        return { ended, welcomed: welcomes > before }
      }
      await keepConnected({
        clock, entropy, attend, url, retryMs, lost: (why) => progress.note(why === null ? 'connection lost' : `connection lost: ${why}`),
        dial: () => network.dial(url, { frameBytesMax: FRAME_BYTES_MAX, timeoutMs, greetingMs, tls }),
      }).finally(() => keep.close())
    })
    progress.end()
  },
})
