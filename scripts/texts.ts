/**
 * What activations tell about texts: how many tokens and whole texts a curious server names, cut by cut and codec by codec.
 *
 *   node --import tsx scripts/texts.ts [--cut 1,2,3] [--codec f32,f16,int8] [--texts N] [--adapter DIR] [--model DIR] [--data FILE]
 *     [--shown FILE] [--json]
 *
 * Needs `npm run build`. Devices compute activations of `--data`, each through the codec as on the wire; the attack
 * (texts.attack.ts) gets those, where each text begins, the base and the public texts. The devices' adapters are
 *   untrained   as a run begins: they add nothing, and the server's base is what the devices compute
 *   unknown     those of `--adapter`, of which the server makes no use
 *   known       those of `--adapter`, which the server has, as it has every device's at each aggregation
 * so without `--adapter` there are rows for the first alone. Between two aggregations a server stands between the last two.
 * `tokens` leaves out [CLS] and [SEP], which everybody knows. The same flags give the same figures on every machine.
 */
import { pathToFileURL } from 'node:url'
import { KerfError, refuse } from '../runtime/error.ts'
import { formatColumns } from '../runtime/text/columns.ts'
import { formatHundredths } from '../runtime/text/quantity.ts'
import type { Tokenizer } from '../runtime/data/tokens.ts'
import { tokenizeRows } from '../runtime/data/dataset.ts'
import { namesOf } from '../runtime/data/rows.ts'
import { createChecksum } from '../runtime/kernel/checksum.ts'
import type { Kernel } from '../runtime/kernel/load.ts'
import { initialVector } from '../runtime/model/initial.ts'
import { layoutOf } from '../runtime/model/layout.ts'
import { createRandom, permute } from '../runtime/random.ts'
import type { Codec } from '../runtime/wire/codec.ts'
import { CODECS, decodeTensor, encodeTensor, parseCodec } from '../runtime/wire/codec.ts'
import type { FlagTable } from '../runtime/program/flags.ts'
import { formatHelp, parseFlags } from '../runtime/program/flags.ts'
import { KERNEL_SETTINGS, openProgramKernel } from '../runtime/program/kernel.ts'
import type { Model } from '../runtime/program/model.ts'
import { bundledData, limitLength, modelDirectory, openModel, openTokenizer, readRows } from '../runtime/program/model.ts'
import type { ProgramHost } from '../runtime/program/host.ts'
import type { Settings } from '../runtime/program/settings.ts'
import { flagTable, readSettings } from '../runtime/program/settings.ts'
import { LABELS_ASSUMED, chooseLora } from '../runtime/program/shape.ts'
import type { Trained } from '../runtime/program/trained.ts'
import { openTrained } from '../runtime/program/trained.ts'
import { createHost } from '../targets/node/host.ts'
import type { Adapter, Attack, Blocks } from './texts.attack.ts'
import { collectEntries, createAttack, openBlocks } from './texts.attack.ts'

const NAMES = ['model', ...KERNEL_SETTINGS, 'adapter', 'rank', 'alpha', 'targets', 'labels', 'data', 'maxLength', 'seed', 'json'] as const
const TAKES = { names: NAMES }
type OwnSettings = Pick<Settings, (typeof NAMES)[number]>
type Opened = Omit<Trained, 'named'>

/** Those of this script alone. */
const OWN = {
  cut: { value: 'K,K,…', default: '1,2,3', help: 'blocks on the device' },
  codec: { value: 'NAME,…', default: CODECS.join(), help: 'activations on the wire' },
  texts: { value: 'N', default: '50', help: 'texts, drawn from --data by the seed' },
  shown: { value: 'FILE', help: 'texts that the server has, in the form of --data; without it the bundled training sentences' },
  contexts: { value: 'N', default: '4', help: 'of these sentences, how many the server puts each token into' },
} satisfies FlagTable

export type Adapters = 'untrained' | 'unknown' | 'known'
type Right = { tokens: number; texts: number }
/** Of `tokens` without [CLS] and [SEP] and of `texts`, those named right by the look-up alone and after the refinement. */
export type Row = { cut: number; adapters: Adapters; codec: Codec; texts: number; tokens: number; lookUp: Right; refined: Right }

export type Measurement = {
  kernel: Kernel
  model: Model
  ids: Tokenizer['ids']
  cuts: readonly number[]
  codecs: readonly Codec[]
  /** Token ids; those of the devices, and those that the server has. */
  secret: readonly Int32Array[]
  shown: readonly Int32Array[]
  contexts: number
  seed: number
  untrained: Adapter
  trained?: Adapter
  progress?(row: Row): void
}

function countRight(named: readonly Int32Array[], texts: readonly Int32Array[]): Right {
  const right = texts.map((text, index) => text.subarray(1, -1).filter((token, row) => token === named[index][row + 1]).length)
  const whole = right.filter((count, index) => count === texts[index].length - 2)
  return { tokens: right.reduce((sum, count) => sum + count, 0), texts: whole.length }
}

/** What a server has of each text once its frame is decoded. */
function sendTexts(device: Blocks, texts: readonly Int32Array[], codec: Codec): Float32Array[] {
  const sent: Float32Array[] = []
  device.run(texts, (text, rows) => {
    const N = texts[text].length, C = device.width
    const tensors = encodeTensor(codec, 'activation', N, C, rows.slice())
    sent.push(decodeTensor(codec, 'activation', new Map(tensors.map((tensor) => [tensor.name, tensor])), N, C))
  })
  return sent
}

function attackTexts(attack: Attack, device: Blocks, texts: readonly Int32Array[], codec: Codec): Pick<Row, 'lookUp' | 'refined'> {
  const sent = sendTexts(device, texts, codec)
  const named = sent.map((activation) => attack.lookUp(activation))
  const refined = sent.map((activation, index) => attack.refine(activation, named[index]))
  return { lookUp: countRight(named, texts), refined: countRight(refined, texts) }
}

export async function measureTexts(measurement: Measurement): Promise<Row[]> {
  const { kernel, model, ids, cuts, codecs, secret, shown, contexts, seed, untrained, trained, progress } = measurement
  const tokens = secret.reduce((sum, { length }) => sum + length - 2, 0)
  const attackWith = (blocks: Blocks) => createAttack(blocks, collectEntries(blocks, shown, contexts, seed), ids)
  const rows: Row[] = []
  for (const cut of cuts) {
    const measure = (adapters: Adapters, attack: Attack, device: Blocks) => {
      for (const codec of codecs) {
        const row = { cut, adapters, codec, texts: secret.length, tokens, ...attackTexts(attack, device, secret, codec) }
        rows.push(row)
        progress?.(row)
      }
    }
    const base = attackWith(await openBlocks(kernel, model, cut))
    measure('untrained', base, await openBlocks(kernel, model, cut, untrained))
    if (!trained) continue
    const device = await openBlocks(kernel, model, cut, trained)
    measure('unknown', base, device)
    measure('known', attackWith(device), device)
  }
  return rows
}

export function formatRows(rows: readonly Row[]): string {
  const lines = rows.map(({ cut, adapters, codec, texts, tokens, lookUp, refined }) => {
    const shares = [
      lookUp.tokens / tokens, lookUp.texts / texts,
      refined.tokens / tokens, (refined.tokens + 2 * texts) / (tokens + 2 * texts), refined.texts / texts,
    ]
    return [String(cut), adapters, codec, ...shares.map(formatHundredths)]
  })
  const heads = ['cut', 'adapters', 'codec', 'look-up: tokens', 'texts', 'refined: tokens', 'with ends', 'texts']
  const [{ texts, tokens }] = rows
  const table = formatColumns([heads, ...lines], 3).join('\n')
  return `${table}\nper cent of ${tokens} tokens, ${tokens + 2 * texts} with ends, and of ${texts} texts\n`
}

function wholeNumber(flag: string, written: string, most: number): number {
  const number = /^[1-9]\d{0,8}$/.test(written.trim()) ? Number(written) : 0
  return number >= 1 && number <= most ? number : refuse(`flag-${flag}`, `--${flag}`, `a whole number of 1 … ${most}`, written)
}

/** A server keeps at least one block. */
function listCuts(written: string, layers: number): number[] {
  return written.split(',').map((cut) => wholeNumber('cut', cut, layers - 1))
}

const USAGE = 'node --import tsx scripts/texts.ts [flags]'
const TEXTS_MAX = 100_000
const CONTEXTS_MAX = 1000

type Own = Readonly<Record<keyof typeof OWN, string>>

/** All that a measurement needs but the model, which whoever opened it closes. */
async function prepare(
  { files }: ProgramHost, own: Own, settings: OwnSettings, kernel: Kernel, { model, labels, adapter }: Opened,
): Promise<Measurement> {
  const { cut, codec, texts, shown, contexts } = own, { seed } = settings
  const lora = await chooseLora(files, settings)
  const tokenizer = await openTokenizer(files, model)
  const maxLength = limitLength(settings.maxLength, model)
  const read = async (file: string) => {
    const rows = await readRows(files, file)
    return tokenizeRows(rows, namesOf(rows), tokenizer, { maxLength, truncate: true }).sequences
  }
  const bundled = bundledData(files)
  const all = await read(settings.data ?? bundled.validation)
  const drawn = permute(all.length, createRandom(seed, 'shuffle')).slice(0, wholeNumber('texts', texts, TEXTS_MAX))
  const vector = initialVector(layoutOf(model.config, lora, LABELS_ASSUMED, 0, model.config.layers), seed, kernel.exports)
  return {
    kernel, model, ids: tokenizer.ids, seed, cuts: listCuts(cut, model.config.layers),
    codecs: codec.split(',').map((name) => parseCodec(name, '--codec')),
    secret: Array.from(drawn, (index) => all[index]), shown: await read(shown === '' ? bundled.train : shown),
    contexts: wholeNumber('contexts', contexts, CONTEXTS_MAX),
    untrained: { config: lora, vector, labels: LABELS_ASSUMED }, trained: adapter ? { ...adapter, labels: labels.length } : undefined,
  }
}

async function main(args: readonly string[]): Promise<void> {
  const table = { ...flagTable(TAKES), ...OWN }
  const flags = parseFlags(table, args, 0)
  if (flags.values.help === true) {
    process.stdout.write(formatHelp(USAGE, 'what activations tell about texts, in per cent', table))
    return
  }
  const settings = readSettings(TAKES, flags)
  const host = createHost(), { files } = host
  const { kernel } = await openProgramKernel(host, settings, { measure: false })
  const crc32c = createChecksum(kernel)
  const opened: Opened = settings.adapter === undefined
    ? { model: await openModel(files, modelDirectory(files, settings.model), crc32c), labels: [], adapter: null, notes: [] }
    : await openTrained(files, { model: settings.model, adapter: settings.adapter, labels: undefined }, crc32c)
  try {
    const own = (name: keyof typeof OWN) => String(flags.values[name] ?? '')
    const words = { cut: own('cut'), codec: own('codec'), texts: own('texts'), shown: own('shown'), contexts: own('contexts') }
    const progress = ({ cut, adapters, codec }: Row) => { process.stderr.write(`cut ${cut}, adapters ${adapters}, ${codec}\n`) }
    const rows = await measureTexts({ ...await prepare(host, words, settings, kernel, opened), progress })
    process.stdout.write(settings.json ? `${JSON.stringify(rows, null, 1)}\n` : formatRows(rows))
  } finally {
    await opened.model.close()
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  await main(process.argv.slice(2)).catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = error instanceof KerfError ? 2 : 1
  })
}
