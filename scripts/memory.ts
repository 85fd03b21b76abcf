/**
 * The server's memory by scheme and number of devices, from the plan and from the process.
 *
 *   node --import tsx scripts/memory.ts [--devices 2,6,24] [--scheme all] [--model DIR] [--lengths TOKENS] [--json]
 *
 * Needs `npm run build`. Every row is a fresh Node process: it opens the server's stages as a run opens them
 * (`serverSpecs`), writes zeros for weights, runs one step of every adapter set, and reads its own memory before and
 * after. A step touches every page, so what the plan promised must be resident. V8 reserves guard regions of gigabytes
 * around a linear memory; they are addresses only and count neither here nor in the resident set.
 * Not in these figures: `sfl` runs each of its models in a worker, whose thread and heap come on top, and the averaging
 * of adapters takes 12 bytes for each parameter of a full set in every scheme.
 */
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { freemem } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { KerfError, refuse } from '../runtime/error.ts'
import { formatColumns } from '../runtime/text/columns.ts'
import { formatCount } from '../runtime/text/quantity.ts'
import { serverSpecs } from '../runtime/federation/run.ts'
import type { Kernel } from '../runtime/kernel/load.ts'
import { PAGE_BYTES } from '../runtime/kernel/load.ts'
import type { ModelConfig } from '../runtime/model/config.ts'
import { parseConfig } from '../runtime/model/config.ts'
import type { StageSpec } from '../runtime/model/plan.ts'
import { planStage } from '../runtime/model/plan.ts'
import { ADAMW } from '../runtime/model/optimizer.ts'
import type { AdapterConfig } from '../runtime/model/peft.ts'
import type { Contract } from '../runtime/split/contract.ts'
import type { SchemeName } from '../runtime/split/scheme.ts'
import type { Half } from '../runtime/split/half.ts'
import { openStageHalf } from '../runtime/split/half.stage.ts'
import { readText } from '../runtime/program/files.ts'
import type { FlagTable } from '../runtime/program/flags.ts'
import { formatHelp, parseFlags } from '../runtime/program/flags.ts'
import { KERNEL_SETTINGS, openProgramKernel } from '../runtime/program/kernel.ts'
import { limitLength, modelDirectory } from '../runtime/program/model.ts'
import type { Settings } from '../runtime/program/settings.ts'
import { flagTable, readSettings } from '../runtime/program/settings.ts'
import { LABELS_ASSUMED, chooseLora, fitCuts, listSchemes } from '../runtime/program/shape.ts'
import { createHost, findAsset } from '../targets/node/host.ts'
import { ZEROS } from './zeros.ts'

/** What one process took: `plan` and `linear` are the stages' linear memories, planned and real; the others are growth. */
export type Row = {
  scheme: SchemeName
  devices: number
  planBytes: number
  linearBytes: number
  residentBytes: number
  arrayBufferBytes: number
  externalBytes: number
}

export type Pair = { scheme: SchemeName; devices: number }

const NAMES = [
  'scheme', 'model', ...KERNEL_SETTINGS, 'cuts', 'batch', 'maxLength', 'rank', 'alpha', 'targets', 'lengths', 'labelsCount', 'json',
] as const
export const TAKES = { names: NAMES, defaults: { scheme: 'all', labelsCount: String(LABELS_ASSUMED) } }

type MemorySettings = Pick<Settings, (typeof NAMES)[number]>

/** Those of this script alone. */
const OWN: FlagTable = {
  devices: { value: 'N,N,…', default: '2,6,24', help: 'numbers of devices' },
  here: { default: false, help: 'measure in this process: one scheme, one number of devices' },
}

const host = createHost()
const DEVICES_MAX = 4096
const SWEEP_MS = 50
const ROUNDS_MAX = 100

function listPairs(settings: MemorySettings, devices: string): Pair[] {
  const counts = devices.split(',')
  const wrong = counts.findIndex((count) => !/^[1-9]\d*$/.test(count.trim()) || Number(count) > DEVICES_MAX)
  if (wrong >= 0) refuse('flag-devices', `--devices[${wrong}]`, `a whole number of 1 … ${DEVICES_MAX}`, counts[wrong])
  return listSchemes(settings).flatMap((scheme) => counts.map((count) => ({ scheme, devices: Number(count) })))
}

/** The server's stages when every device's largest batch has `tokens` rows for each of its texts. */
export function planServer(settings: MemorySettings, config: ModelConfig, adapter: AdapterConfig, { scheme, devices }: Pair): StageSpec[] {
  const { batch, labelsCount = LABELS_ASSUMED } = settings
  const longest = limitLength(settings.maxLength, { config })
  const tokens = Math.min(settings.lengths ?? longest, longest)
  const count = config.labels.length || labelsCount
  const contract: Contract = {
    scheme, batch, maxLength: longest, adapter, cuts: fitCuts(settings, devices, config.layers),
    labels: Array.from({ length: count }, (_, index) => `LABEL_${index}`), learningRate: ADAMW.learningRate, weightDecay: ADAMW.weightDecay,
    codec: 'f32', partition: 'iid', seed: 0, steps: 1, interval: 1, checkpointEvery: 0, truncate: false, shuffle: false, fingerprint: 0,
  }
  const share = { samples: batch, labelCounts: [], rows: batch * tokens, sequences: batch, longest, memoryBytes: 1 }
  return serverSpecs(config, contract, contract.cuts.map(() => share))
}

/** One step of every adapter set over the largest batch. */
async function touchStage(kernel: Kernel, spec: StageSpec): Promise<Half> {
  const { rows, sequences, config } = spec
  const half = await openStageHalf(kernel, spec, ZEROS, ADAMW, host.clock.now)
  const offsets = Int32Array.from({ length: sequences + 1 }, (_, index) => Math.floor((index * rows) / sequences))
  const activation = new Float32Array(rows * config.hiddenSize), labels = new Int32Array(sequences)
  for (const [set, begin] of spec.setsFrom.entries()) {
    await half.forward({ set, begin, offsets, activation })
    await half.finish({ labels })
    globalThis.gc?.()
  }
  return half
}

/** Compiles the kernel's code and the step's before anything is measured. */
async function warmUp(kernel: Kernel, { config, ...spec }: StageSpec): Promise<void> {
  const small = { ...config, hiddenSize: 8, heads: 2, intermediateSize: 16 }
  await touchStage(kernel, { ...spec, config: small, setsFrom: spec.setsFrom.slice(0, 1), rows: 8, sequences: 2, longest: 4 })
}

/** What stays: the collector shrinks its heap, and what it frees is swept in the background, for a while after a step. */
async function readMemory(): Promise<NodeJS.MemoryUsage> {
  let usage = process.memoryUsage()
  for (let still = 0, round = 0; still < 3 && round < ROUNDS_MAX; round++) {
    globalThis.gc?.()
    await new Promise((resolve) => { setTimeout(resolve, SWEEP_MS) })
    const next = process.memoryUsage()
    still = Math.abs(next.rss - usage.rss) < PAGE_BYTES ? still + 1 : 0
    usage = next
  }
  return usage
}

async function measureHere(kernel: Kernel, settings: MemorySettings, pair: Pair): Promise<Row> {
  const { scheme, devices } = pair
  const file = join(modelDirectory(host.files, settings.model), 'config.json')
  const specs = planServer(settings, parseConfig(await readText(host.files, file), file), await chooseLora(host.files, settings), pair)
  const planBytes = specs.reduce((sum, spec) => sum + planStage(spec, kernel.exports).memory.bytes, 0)
  if (planBytes > freemem()) {
    refuse('memory-free', `${scheme} with ${devices} devices`, `at most the ${freemem()} bytes that are free`, planBytes)
  }
  if (specs.length > 0) await warmUp(kernel, specs[0])
  const before = await readMemory()
  const halves: Half[] = []
  for (const spec of specs) halves.push(await touchStage(kernel, spec))
  const after = await readMemory()
  const memories = await Promise.all(halves.map((half) => half.memory()))
  return {
    scheme, devices, planBytes, linearBytes: memories.reduce((sum, { bytes }) => sum + bytes, 0), residentBytes: after.rss - before.rss,
    arrayBufferBytes: after.arrayBuffers - before.arrayBuffers, externalBytes: after.external - before.external,
  }
}

/** Each row from a process of its own; `args` are the flags of the whole table. */
export async function measureRows(args: readonly string[], pairs: readonly Pair[]): Promise<Row[]> {
  // A plain bundle: the loader's thread that TypeScript needs would add megabytes that come and go.
  const program = findAsset(`memory.${process.pid}.js`)
  const { build } = await import('esbuild')
  await build({
    entryPoints: [fileURLToPath(import.meta.url)], outfile: program, bundle: true, format: 'esm', platform: 'node', target: 'node20',
    external: ['esbuild'], logLevel: 'error',
  })
  try {
    return pairs.map(({ scheme, devices }) => {
      const row = ['--scheme', scheme, '--devices', String(devices), '--here', '--json']
      const { status, stdout, stderr } = spawnSync(process.execPath, ['--expose-gc', program, ...args, ...row], { encoding: 'utf8' })
      if (status !== 0) throw new Error(stderr.trim())
      return (JSON.parse(stdout) as Row[])[0]
    })
  } finally {
    rmSync(program)
  }
}

/** `more` is what one more device adds, from the row before of the same scheme to this one. */
export function formatRows(rows: readonly Row[]): string {
  const exact = (count: number) => formatCount(count).replaceAll('\u202f', ' ')
  const lines = rows.map((row, index) => {
    const before = index > 0 && rows[index - 1].scheme === row.scheme ? rows[index - 1] : undefined
    const growth = (name: 'planBytes' | 'residentBytes') => (
      before && Math.round((row[name] - before[name]) / (row.devices - before.devices)))
    const { scheme, devices, planBytes, linearBytes, residentBytes, arrayBufferBytes, externalBytes } = row
    const counts = [planBytes, linearBytes, residentBytes, arrayBufferBytes, externalBytes, growth('planBytes'), growth('residentBytes')]
    return [scheme, String(devices), ...counts.map((count) => (count === undefined ? '' : exact(count)))]
  })
  const heads = ['scheme', 'devices', 'plan', 'linear', 'resident', 'arrayBuffers', 'external', 'more by plan', 'more resident']
  return `${formatColumns([heads, ...lines]).join('\n')}\n`
}

async function main(args: readonly string[]): Promise<void> {
  const table = { ...flagTable(TAKES), ...OWN }
  const flags = parseFlags(table, args, 0)
  if (flags.values.help === true) {
    process.stdout.write(formatHelp('node --import tsx scripts/memory.ts [flags]', "the server's memory by plan and by process, in bytes", table))
    return
  }
  const settings: MemorySettings = readSettings(TAKES, flags)
  const pairs = listPairs(settings, String(flags.values.devices))
  const here = flags.values.here === true
  if (here && pairs.length > 1) refuse('flag-here', '--here', 'one scheme and one number of devices', `${pairs.length} rows`)
  const { kernel } = await openProgramKernel(host, settings, { measure: false })
  const rows = here ? [await measureHere(kernel, settings, pairs[0])] : await measureRows(args, pairs)
  process.stdout.write(settings.json ? `${JSON.stringify(rows, null, 1)}\n` : formatRows(rows))
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  await main(process.argv.slice(2)).catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = error instanceof KerfError ? 2 : 1
  })
}
