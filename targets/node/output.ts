/** What a run leaves for people: report.json, report.html and the end table. */
import { join } from 'node:path'
import { renderPage } from '../../runtime/report/page.ts'
import type { Report, SchemeReport } from '../../runtime/report/report.ts'
import { formatTable } from '../../runtime/report/table.ts'
import { countOf } from '../../runtime/model/layout.ts'
import { blockTensors, embeddingTensors, poolerTensors } from '../../runtime/model/names.ts'
import { ENGINE, findAsset, readText, saveTogether } from './host.ts'
import type { Setting } from './setting.ts'

export const VERSION = '0.1.0'

function describe({ flags, model, labels, adapter }: Setting, schemes: readonly SchemeReport[]): Report {
  const { config } = model
  const blocks = Array.from({ length: config.layers }, (_, block) => blockTensors(config, block))
  const tensors = [...embeddingTensors(config), ...poolerTensors(config), ...blocks.flat()]
  return {
    kerf: VERSION, command: `kerf ${process.argv.slice(2).join(' ')}`, seed: flags.integer('seed', 0),
    model: {
      name: model.name, layers: config.layers, hiddenSize: config.hiddenSize, heads: config.heads, intermediateSize: config.intermediateSize,
      vocabSize: config.vocabSize, parameters: tensors.reduce((sum, { shape }) => sum + countOf(shape), 0),
    },
    labels, adapter, batch: flags.integer('batch', 1), learningRate: flags.number('lr', 0), interval: flags.integer('interval', 1),
    host: `${ENGINE.name} ${ENGINE.version}, ${process.platform} ${process.arch}, kernel ${flags.text('build')}`, schemes,
  }
}

/** Writes the report's files and prints the table, or the report itself with --json. */
export function writeReport(setting: Setting, schemes: readonly SchemeReport[], out: string): void {
  const report = describe(setting, schemes)
  const text = `${JSON.stringify(report, null, 1)}\n`
  const assets = { chartScript: readText(findAsset('assets/uPlot.iife.min.js')), chartStyle: readText(findAsset('assets/uPlot.min.css')) }
  saveTogether({ [join(out, 'report.json')]: text, [join(out, 'report.html')]: renderPage(report, assets) })
  process.stdout.write(setting.flags.on('json') ? text : `\n${formatTable(report)}\n${join(out, 'report.html')} shows curves, devices and a timeline.\n`)
}
