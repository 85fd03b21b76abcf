/** `kerf plan`: what a run takes, before anything runs. Reads config.json alone. */
import { basename, join } from 'node:path'
import type { ForecastInput, SchemeForecast } from '../../../runtime/federation/forecast.ts'
import { forecastRun } from '../../../runtime/federation/forecast.ts'
import { FORECAST_LEGEND, formatForecast } from '../../../runtime/federation/forecast.table.ts'
import { createChecksum } from '../../../runtime/kernel/checksum.ts'
import { LABELS_MAX, parseConfig } from '../../../runtime/model/config.ts'
import type { StageOptions } from '../../../runtime/model/plan.ts'
import { SCHEMES } from '../../../runtime/split/contract.ts'
import { CODECS } from '../../../runtime/wire/codec.ts'
import { RUN_FLAGS, readMaxLength } from '../setting.ts'
import type { Command, FlagTable, Flags } from '../flags.ts'
import { MODEL_FLAGS } from '../flags.ts'
import { readText } from '../host.ts'
import { KERNEL_FLAGS, MEMORY_FLAG, RECOMPUTE_FLAG, STAGE_FLAGS, openNodeKernel, readMemory } from '../kernel.ts'
import { chooseLabels } from '../labels.ts'
import type { Model } from '../model.ts'
import { modelDirectory } from '../model.ts'
import { readCuts, readLora, readSchemes } from '../options.ts'

const LABELS_ASSUMED = 6

/** A model of which nothing but config.json is read. */
type PlannedModel = Pick<Model, 'directory' | 'config'>

/** The flags of a run that decide what it takes. */
function runFlags(): FlagTable {
  const names = ['clients', 'cuts', 'batch', 'max-length', 'rank', 'alpha', 'targets', 'adapter', 'interval', 'codec'] as const
  return Object.fromEntries(names.map((name) => [name, RUN_FLAGS[name]]))
}

function countLabels(flags: Flags, model: PlannedModel): number {
  if (flags.has('labels-count')) return flags.integer('labels-count', 1, LABELS_MAX)
  return chooseLabels(flags, model, flags.optional('adapter'))?.length ?? LABELS_ASSUMED
}

function readInput(flags: Flags, model: PlannedModel, stage: StageOptions): ForecastInput {
  const { config } = model
  const longest = readMaxLength(flags, { config })
  return {
    config, labels: countLabels(flags, model),
    adapter: readLora(flags), cuts: readCuts(flags, flags.integer('clients', 1, 4096), config.layers),
    batch: flags.integer('batch', 1, 4096), tokens: flags.has('lengths') ? flags.integer('lengths', 1, longest) : longest, longest,
    interval: flags.integer('interval', 1), codec: flags.choice('codec', CODECS),
    stage, memoryBytes: readMemory(flags),
  }
}

function formatHead(name: string, { config, labels, adapter, batch, tokens, longest, codec }: ForecastInput): string {
  const { layers, hiddenSize, heads, intermediateSize, vocabSize } = config
  return [
    `${name}: ${layers} blocks, width ${hiddenSize}, ${heads} heads, hidden ${intermediateSize}, vocabulary ${vocabSize}, ${labels} labels`,
    `LoRA rank ${adapter.rank}, alpha ${adapter.alpha} on ${adapter.targets.join(', ')}`,
    `batch ${batch} of ${tokens} tokens, at most ${longest}: ${batch * tokens} rows; codec ${codec}`,
    FORECAST_LEGEND,
  ].join('\n')
}

function formatJson(name: string, input: ForecastInput, schemes: readonly SchemeForecast[]): string {
  return `${JSON.stringify({ model: name, ...input, schemes }, null, 1)}\n`
}

export const planCommand: Command = {
  summary: 'memory, bytes on the link and work of a run, before anything runs',
  flags: {
    ...MODEL_FLAGS,
    ...KERNEL_FLAGS,
    ...STAGE_FLAGS,
    ...RECOMPUTE_FLAG,
    ...MEMORY_FLAG,
    scheme: { type: 'string', value: 'NAME', default: 'kerf', help: `${SCHEMES.join(', ')}, a list of them, or all` },
    ...runFlags(),
    lengths: { type: 'string', value: 'TOKENS', help: 'tokens of each text in a step; --max-length unless given' },
    labels: RUN_FLAGS.labels,
    'labels-count': { type: 'string', value: 'N', help: `number of labels, where none are named (${LABELS_ASSUMED})` },
    json: { type: 'boolean', default: false, help: 'print the plan as JSON' },
  },
  async run(flags) {
    const { kernel, stage } = await openNodeKernel(flags, false)
    const directory = modelDirectory(flags.optional('model'))
    const file = join(directory, 'config.json')
    const input = readInput(flags, { directory, config: parseConfig(readText(file), file) }, stage)
    const crc32c = createChecksum(kernel)
    const forecasts = readSchemes(flags).map((scheme) => forecastRun(input, scheme, kernel, crc32c))
    const name = basename(directory)
    process.stdout.write(flags.on('json') ? formatJson(name, input, forecasts) : [formatHead(name, input), ...forecasts.map(formatForecast)].join('\n'))
  },
}
