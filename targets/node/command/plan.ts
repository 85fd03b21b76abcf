/** `kerf plan`: what a run takes, before anything runs. Reads config.json alone. */
import { basename, join } from 'node:path'
import { refuse } from '../../../runtime/error.ts'
import { parseProfile } from '../../../runtime/model/profile.ts'
import type { ForecastInput, SchemeForecast } from '../../../runtime/forecast/forecast.ts'
import { forecastRun } from '../../../runtime/forecast/forecast.ts'
import type { Device, StepSeconds } from '../../../runtime/forecast/seconds.ts'
import { doubtSeconds, estimateSteps, formatSteps } from '../../../runtime/forecast/seconds.ts'
import { FORECAST_LEGEND, formatForecast } from '../../../runtime/forecast/table.ts'
import { createChecksum } from '../../../runtime/kernel/checksum.ts'
import { LABELS_MAX } from '../../../runtime/data/labels.ts'
import { parseConfig } from '../../../runtime/model/config.ts'
import type { StageOptions } from '../../../runtime/model/plan.ts'
import { SCHEME_DEFAULT, SCHEME_NAMES } from '../../../runtime/split/scheme.ts'
import { CODECS } from '../../../runtime/wire/codec.ts'
import { RUN_FLAGS, readMaxLength } from '../setting.ts'
import type { Command, FlagTable, Flags } from '../flags.ts'
import { MODEL_FLAGS } from '../flags.ts'
import { readText } from '../host.ts'
import { KERNEL_FLAGS, MEMORY_FLAG, RECOMPUTE_FLAG, STAGE_FLAGS, openNodeKernel, readMemory } from '../kernel.ts'
import { chooseLabels } from '../labels.ts'
import type { Model } from '../model.ts'
import { modelDirectory } from '../model.ts'
import { LABELS_ASSUMED, readCuts, readLora, readSchemes } from '../options.ts'

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

/** Profiles that `kerf bench --json` has written: none, one for all clients, or one for each. */
function readDevices(flags: Flags, clients: number): Device[] {
  if (!flags.has('device')) return []
  const files = flags.list('device')
  if (files.length !== 1 && files.length !== clients) refuse('flag-device', '--device', `one file, or ${clients}, one for each client`, files.length)
  return files.map((file) => ({ name: basename(file, '.json'), profile: parseProfile(readText(file), file) }))
}

type Plan = SchemeForecast & { seconds?: readonly StepSeconds[] }

function formatJson(name: string, input: ForecastInput, schemes: readonly Plan[]): string {
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
    scheme: { type: 'string', value: 'NAME', default: SCHEME_DEFAULT, help: `${SCHEME_NAMES.join(', ')}, a list of them, or all` },
    ...runFlags(),
    lengths: { type: 'string', value: 'TOKENS', help: 'tokens of each text in a step; --max-length unless given' },
    labels: RUN_FLAGS.labels,
    'labels-count': { type: 'string', value: 'N', help: `number of labels, where none are named (${LABELS_ASSUMED})` },
    device: { type: 'string', value: 'FILE,…', help: 'profiles of kerf bench --json, one for all or one for each client: seconds of a step' },
    json: { type: 'boolean', default: false, help: 'print the plan as JSON' },
  },
  async run(flags) {
    const { kernel, stage } = await openNodeKernel(flags, false)
    const directory = modelDirectory(flags.optional('model'))
    const file = join(directory, 'config.json')
    const input = readInput(flags, { directory, config: parseConfig(readText(file), file) }, stage)
    const devices = readDevices(flags, input.cuts.length)
    const crc32c = createChecksum(kernel)
    const plans: Plan[] = readSchemes(flags).map((scheme) => {
      const forecast = forecastRun(input, scheme, kernel, crc32c)
      return devices.length > 0 ? { ...forecast, seconds: estimateSteps(forecast, devices, input.batch * input.tokens) } : forecast
    })
    const name = basename(directory)
    const describe = (plan: Plan) => formatForecast(plan) + (plan.seconds ? `\n${formatSteps(plan.seconds, doubtSeconds(plan, devices, input.config))}` : '')
    process.stdout.write(flags.on('json') ? formatJson(name, input, plans) : [formatHead(name, input), ...plans.map(describe)].join('\n'))
  },
}
