/**
 * The control of a training run: how much of its accuracy the pretrained base brings.
 *
 *   npm run build && node --import tsx scripts/control.ts [--central] [flags of kerf train]
 *
 * Runs `kerf train` twice with the same flags: on a base of the bundled configuration and vocabulary whose weights are
 * those that pretraining starts from (scripts/base/pretrain.ts with seed 1, before its first step), then on the bundled base.
 * Prints accuracy before and after training, and the majority class. `--central` adds the scheme `central` to both.
 * The same flags give the same figures.
 */
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { formatColumns } from '../runtime/text/columns.ts'
import { formatPercent } from '../runtime/text/quantity.ts'
import type { Report, SchemeReport } from '../runtime/report/report.ts'
import { parseConfig } from '../runtime/model/config.ts'
import type { ModelConfig } from '../runtime/model/config.ts'
import { countOf } from '../runtime/model/layout.ts'
import { poolerTensors } from '../runtime/model/names.ts'
import { Stage } from '../runtime/model/stage.ts'
import type { TensorInput } from '../runtime/wire/safetensors.ts'
import { encodeSafetensors } from '../runtime/wire/safetensors.ts'
import { loadKernel } from '../runtime/kernel/load.ts'
import { findAsset } from '../targets/node/host.ts'
import { initialWeights } from './base/pretrain.schedule.ts'

const PRETRAINING_SEED = 1
const BUNDLED = 'runtime/bundled/base'
/** What this script decides itself. */
const OWN = ['--model', '--scheme', '--out', '--resume', '--json']

process.chdir(fileURLToPath(new URL('..', import.meta.url)))

function toTensor(name: string, shape: readonly number[], values: Float32Array): TensorInput {
  return { name, dtype: 'F32', shape, data: new Uint8Array(values.slice().buffer) }
}

/** As in pretraining: half the identity, no bias. */
function drawPooler(config: ModelConfig): TensorInput[] {
  const C = config.hiddenSize
  return poolerTensors(config).map(({ name, shape }) => {
    const values = new Float32Array(countOf(shape))
    if (shape.length === 2) for (let i = 0; i < C; i++) values[i * C + i] = 0.5
    return toTensor(name, shape, values)
  })
}

/** A model directory like the bundled one, with the weights before the first step. */
async function writeUntrained(directory: string): Promise<void> {
  const config = parseConfig(readFileSync(join(BUNDLED, 'config.json'), 'utf8'))
  const kernel = await loadKernel(readFileSync(findAsset('kerf.simd.wasm')), 'simd')
  const stage = await Stage.blank(kernel, {
    config, from: 0, to: config.layers, labels: 1, adapter: null, training: 'none', setsFrom: [],
    rows: 1, sequences: 1, longest: 1, head: false,
  })
  initialWeights(stage, PRETRAINING_SEED, kernel)
  const encoder = stage.plan.weights.tensors.map(({ name, shape }) => toTensor(name, shape, stage.weight(name)))
  mkdirSync(directory)
  for (const file of ['config.json', 'vocab.txt']) copyFileSync(join(BUNDLED, file), join(directory, file))
  writeFileSync(join(directory, 'model.safetensors'), encodeSafetensors([...encoder, ...drawPooler(config)], { format: 'pt' }))
}

function train(model: readonly string[], schemes: string, out: string, args: readonly string[]): readonly SchemeReport[] {
  const call = ['dist/kerf.js', 'train', '--scheme', schemes, ...model, '--out', out, ...args]
  const { status } = spawnSync(process.execPath, call, { stdio: ['ignore', 'ignore', 'inherit'] })
  if (status !== 0) throw new Error(`${call.join(' ')}: expected exit 0, got ${status}`)
  return (JSON.parse(readFileSync(join(out, 'report.json'), 'utf8')) as Report).schemes
}

function formatRuns(runs: Readonly<Record<string, readonly SchemeReport[]>>): string {
  const rows = Object.entries(runs).flatMap(([base, schemes]) => schemes.map(({ scheme, accuracyBefore, accuracyAfter, macroF1After }) =>
    [base, scheme, formatPercent(accuracyBefore), formatPercent(accuracyAfter), formatPercent(macroF1After)]))
  const [{ majorityAccuracy }] = Object.values(runs)[0]
  const table = formatColumns([['base', 'scheme', 'before', 'after', 'macro-F1'], ...rows], 2).join('\n')
  return `${table}\nmajority class: ${formatPercent(majorityAccuracy)}\n`
}

async function compareBases(args: readonly string[]): Promise<void> {
  const own = args.find((arg) => OWN.includes(arg.split('=')[0]))
  if (own !== undefined) throw new Error(`${own}: expected other flags of kerf train, for the control sets this one`)
  const schemes = args.includes('--central') ? 'kerf,central' : 'kerf'
  const passed = args.filter((arg) => arg !== '--central')
  const directory = mkdtempSync(join(tmpdir(), 'kerf-control-'))
  const untrained = join(directory, 'base')
  try {
    await writeUntrained(untrained)
    process.stderr.write('untrained base\n')
    const control = train(['--model', untrained], schemes, join(directory, 'untrained'), passed)
    process.stderr.write('bundled base\n')
    const bundled = train([], schemes, join(directory, 'bundled'), passed)
    process.stdout.write(formatRuns({ untrained: control, bundled }))
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

await compareBases(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
})
