/** `kerf plan`: what a run takes, before anything runs. Reads config.json alone. */
import { refuse } from '../../error.ts'
import type { ForecastInput, SchemeForecast } from '../../forecast/forecast.ts'
import { forecastRun } from '../../forecast/forecast.ts'
import type { Device, StepSeconds } from '../../forecast/seconds.ts'
import { doubtSeconds, estimateSteps, formatSteps } from '../../forecast/seconds.ts'
import { FORECAST_LEGEND, formatForecast } from '../../forecast/table.ts'
import type { Files } from '../../host/files.ts'
import { createChecksum } from '../../kernel/checksum.ts'
import { parseConfig } from '../../model/config.ts'
import type { StageOptions } from '../../model/plan.ts'
import { parseProfile } from '../../model/profile.ts'
import { defineCommand } from '../command.ts'
import { readText } from '../files.ts'
import { KERNEL_SETTINGS, STAGE_SETTINGS, openProgramKernel } from '../kernel.ts'
import { chooseLabels } from '../labels.ts'
import type { Model } from '../model.ts'
import { limitLength, modelDirectory } from '../model.ts'
import { joinPath, nameOf } from '../path.ts'
import type { Settings } from '../settings.ts'
import { LABELS_ASSUMED, chooseLora, fitCuts, listSchemes } from '../shape.ts'

const NAMES = [
  'model', ...KERNEL_SETTINGS, ...STAGE_SETTINGS, 'recompute', 'memory', 'scheme', 'clients', 'cuts', 'batch', 'maxLength', 'rank', 'alpha', 'targets',
  'adapter', 'interval', 'codec', 'lengths', 'labels', 'labelsCount', 'device', 'json',
] as const

type PlanSettings = Pick<Settings, (typeof NAMES)[number]>

/** A model of which nothing but config.json is read. */
type PlannedModel = Pick<Model, 'directory' | 'config'>

async function makeInput(files: Files, settings: PlanSettings, model: PlannedModel, stage: StageOptions): Promise<ForecastInput> {
  const { config } = model
  const { batch, interval, codec, clients, lengths, labelsCount, memory: memoryBytes } = settings
  const longest = limitLength(settings.maxLength, model)
  if (lengths !== undefined && lengths > longest) refuse('flag-integer', '--lengths', `a whole number of 1 … ${longest}`, String(lengths))
  const named = (await chooseLabels(files, settings, model))?.length
  if (labelsCount !== undefined && named !== undefined && labelsCount !== named) {
    refuse('labels-count', '--labels-count', `${named}, as many as the model or the adapter names`, labelsCount)
  }
  return {
    config, labels: labelsCount ?? named ?? LABELS_ASSUMED,
    adapter: await chooseLora(files, settings), cuts: fitCuts(settings, clients, config.layers),
    batch, tokens: lengths ?? longest, longest, interval, codec, stage, memoryBytes,
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
async function readDevices(files: Files, { device: paths }: PlanSettings, clients: number): Promise<Device[]> {
  if (paths === undefined) return []
  if (paths.length !== 1 && paths.length !== clients) refuse('flag-device', '--device', `one file, or ${clients}, one for each client`, paths.length)
  return Promise.all(paths.map(async (path) => ({ name: nameOf(path, '.json'), profile: parseProfile(await readText(files, path), path) })))
}

type Plan = SchemeForecast & { seconds?: readonly StepSeconds[] }

function formatJson(name: string, input: ForecastInput, schemes: readonly Plan[]): string {
  return `${JSON.stringify({ model: name, ...input, schemes }, null, 1)}\n`
}

export const planCommand = defineCommand({
  summary: 'memory, bytes on the link and work of a run, before anything runs',
  names: NAMES,
  async run(settings, { host }) {
    const { files, terminal } = host
    const { kernel, stage } = await openProgramKernel(host, settings, { measure: false })
    const directory = modelDirectory(files, settings.model)
    const file = joinPath(directory, 'config.json')
    const input = await makeInput(files, settings, { directory, config: parseConfig(await readText(files, file), file) }, stage)
    const devices = await readDevices(files, settings, input.cuts.length)
    const crc32c = createChecksum(kernel)
    const plans: Plan[] = listSchemes(settings).map((scheme) => {
      const forecast = forecastRun(input, scheme, kernel, crc32c)
      return devices.length > 0 ? { ...forecast, seconds: estimateSteps(forecast, devices, input.batch * input.tokens) } : forecast
    })
    const name = nameOf(directory)
    const describe = (plan: Plan) => formatForecast(plan) + (plan.seconds ? `\n${formatSteps(plan.seconds, doubtSeconds(plan, devices, input.config))}` : '')
    terminal.print(settings.json ? formatJson(name, input, plans) : [formatHead(name, input), ...plans.map(describe)].join('\n'))
  },
})
