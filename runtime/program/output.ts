/** What a run leaves for people: report.json, report.html and the end table. */
import { TOLD_BY_DEVICES } from '../federation/account.ts'
import { countOf } from '../model/layout.ts'
import { blockTensors, embeddingTensors, poolerTensors } from '../model/names.ts'
import { renderPage } from '../report/page.ts'
import type { Report, SchemeReport } from '../report/report.ts'
import { formatTable } from '../report/table.ts'
import type { Context } from './command.ts'
import { readText, saveTogether } from './files.ts'
import { VERSION } from './host.ts'
import { joinPath } from './path.ts'
import type { Prepared } from './run.ts'

function describe({ settings, model, labels, adapter }: Prepared, { host: { engine }, line }: Context, schemes: readonly SchemeReport[]): Report {
  const { config } = model
  const blocks = Array.from({ length: config.layers }, (_, block) => blockTensors(config, block))
  const tensors = [...embeddingTensors(config), ...poolerTensors(config), ...blocks.flat()]
  return {
    kerf: VERSION, command: line, seed: settings.seed,
    model: {
      name: model.name, layers: config.layers, hiddenSize: config.hiddenSize, heads: config.heads, intermediateSize: config.intermediateSize,
      vocabSize: config.vocabSize, parameters: tensors.reduce((sum, { shape }) => sum + countOf(shape), 0),
    },
    labels, adapter, batch: settings.batch, learningRate: settings.lr, interval: settings.interval,
    host: `${engine.name} ${engine.version}, ${engine.platform}, kernel ${settings.build}`, toldByDevices: TOLD_BY_DEVICES, schemes,
  }
}

/** Writes the report's files and prints the table, or the report itself with --json. */
export async function writeReport(context: Context, prepared: Prepared, schemes: readonly SchemeReport[]): Promise<void> {
  const { files, terminal } = context.host
  const { out, json } = prepared.settings
  const report = describe(prepared, context, schemes)
  const text = `${JSON.stringify(report, null, 1)}\n`
  const asset = (name: string) => readText(files, files.asset(`assets/${name}`))
  const assets = { chartScript: await asset('uPlot.iife.min.js'), chartStyle: await asset('uPlot.min.css') }
  const page = joinPath(out, 'report.html')
  await saveTogether(files, { [joinPath(out, 'report.json')]: text, [page]: renderPage(report, assets) })
  terminal.print(json ? text : `\n${formatTable(report)}\n${page} shows curves, devices and a timeline.\n`)
}
