/**
 * The page's head and summary: the settings, the table of schemes (tiles for a single one), and what the first scheme
 * saves or costs against each other.
 */
import { colourOf } from './page.style.ts'
import { html, type Markup } from './markup.ts'
import { formatBytes, formatCount, formatHundredths, formatItems, formatNumber, formatPercent, formatSeconds } from '../text/quantity.ts'
import { nameSchemes, totalScheme, type Report, type SchemeReport, type Totals } from './report.ts'

type Column = { group: string; name: string; value: (scheme: SchemeReport, totals: Totals) => number; format: (value: number) => string }

const COLUMNS: readonly Column[] = [
  { group: 'Time', name: 'wall', value: (scheme) => scheme.wallMs, format: formatSeconds },
  { group: 'Memory', name: 'largest device', value: (_, totals) => totals.deviceMemoryBytesMax || NaN, format: formatBytes },
  { group: 'Memory', name: 'server', value: (scheme) => scheme.server.memoryBytes, format: formatBytes },
  { group: 'Traffic', name: 'up', value: (_, totals) => totals.upBytes, format: formatBytes },
  { group: 'Traffic', name: 'down', value: (_, totals) => totals.downBytes, format: formatBytes },
  { group: 'All devices', name: 'compute', value: (_, totals) => totals.deviceComputeMs, format: formatSeconds },
  { group: 'All devices', name: 'wait', value: (_, totals) => totals.deviceWaitMs, format: formatSeconds },
  { group: 'Server', name: 'compute', value: (scheme) => scheme.server.computeMs, format: formatSeconds },
  { group: 'Server', name: 'wait', value: (scheme) => scheme.server.waitMs, format: formatSeconds },
]
const GROUPS = [...new Set(COLUMNS.map((column) => column.group))]

/** Title, one sentence, the settings and the command. */
export function renderHeader(report: Report): Markup {
  const { model, adapter } = report
  const blocks = `${model.layers} blocks of width ${model.hiddenSize}, ${model.heads} heads, feed-forward ${model.intermediateSize}`
  const facts: [string, string][] = [
    ['Model', `${model.name}: ${formatCount(model.parameters)} parameters, ${blocks}, ${formatCount(model.vocabSize)} tokens`],
    ['Adapters', `LoRA rank ${adapter.rank}, alpha ${adapter.alpha}, on ${adapter.targets.join(', ') || 'no layer'}`],
    [
      'Training',
      `batch ${report.batch}, learning rate ${report.learningRate}, averaging every ${report.interval} rounds, seed ${report.seed}`,
    ],
    ['Labels', report.labels.join(', ') || 'none'],
    ['Host', report.host],
    ['Kerf', report.kerf],
  ]
  return html`<header>
<h1>Kerf report</h1>
<p class="lead">${describeRun(report)}</p>
<dl class="facts">${facts.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
<pre><code>${report.command}</code></pre>
</header>`
}

/** Summary table, tiles for a single scheme, or a sentence when nothing ran. */
export function renderSummary(report: Report): Markup {
  const { schemes } = report
  if (schemes.length === 0) return html`<section><h2>Summary</h2><p class="quiet">No scheme was run.</p></section>`
  return html`<section>
<h2>Summary</h2>
${schemes.length === 1 ? renderTiles(schemes[0]) : html`${renderMajority(schemes[0])}${renderTable(schemes)}${renderComparison(schemes)}`}
</section>`
}

function describeRun({ schemes, model, labels }: Report): string {
  const devices = schemes.reduce((most, scheme) => Math.max(most, scheme.devices.length), 0)
  const names = nameSchemes(schemes).join(', ') || 'Nothing'
  return `${names} trained on ${model.name}, ${labels.length} labels, ${formatItems(devices, 'device')}`
}

function renderMajority({ majorityAccuracy }: SchemeReport): Markup {
  if (!Number.isFinite(majorityAccuracy)) return html``
  return html`<p class="quiet">Always answering the commonest label would score ${formatPercent(majorityAccuracy)}.</p>`
}

function renderTiles(scheme: SchemeReport): Markup {
  const totals = totalScheme(scheme)
  const before = `${formatPercent(scheme.accuracyBefore)} before; commonest label ${formatPercent(scheme.majorityAccuracy)}`
  const tiles: [string, string, string][] = [
    ['Accuracy', formatPercent(scheme.accuracyAfter), before],
    ['Macro-F1', formatNumber(scheme.macroF1After), `loss ${formatNumber(scheme.lossAfter)}`],
    ...COLUMNS.map(({ group, name, value, format }): [string, string, string] => [`${group}: ${name}`, format(value(scheme, totals)), '']),
    ['Rounds', formatCount(scheme.rounds), scheme.scheduler],
  ]
  return html`<dl class="tiles">${tiles.map(
    ([name, value, note]) => html`<div><dt>${name}</dt><dd>${value}${note && html`<small>${note}</small>`}</dd></div>`,
  )}</dl>`
}

function renderTable(schemes: readonly SchemeReport[]): Markup {
  const rows = schemes.map((scheme) => ({ scheme, values: COLUMNS.map((column) => column.value(scheme, totalScheme(scheme))) }))
  const largest = COLUMNS.map((_, index) => rows.reduce((most, { values }) => (values[index] > most ? values[index] : most), 0))
  const names = nameSchemes(schemes)
  return html`<div class="scroll"><table class="cards summary">
<thead><tr><th rowspan="2" scope="col">scheme</th><th colspan="3" scope="colgroup" class="group">Quality</th>${GROUPS.map(
    (group) => {
      const columns = COLUMNS.filter((column) => column.group === group).length
      return html`<th colspan="${columns}" scope="colgroup" class="group">${group}</th>`
    },
  )}</tr>
<tr>${
  ['accuracy', 'macro-F1', 'loss', ...COLUMNS.map((column) => column.name)].map((name) => html`<th scope="col">${name}</th>`)
}</tr></thead>
<tbody>${rows.map(
    ({ scheme, values }, row) => html`<tr>
<th scope="row"><span class="key" style="background:${colourOf(row)}"></span>${names[row]}<small>${describeScheduler(scheme)}</small></th>
<td data-name="accuracy"><span class="quiet">${formatHundredths(scheme.accuracyBefore)} →</span>
<strong>${formatPercent(scheme.accuracyAfter)}</strong></td>
<td data-name="macro-F1">${formatNumber(scheme.macroF1After)}</td><td data-name="loss">${formatNumber(scheme.lossAfter)}</td>
${COLUMNS.map((column, index) => (
    renderMeter(`${column.group}: ${column.name}`, column.format(values[index]), values[index] / largest[index])))}</tr>
`,
  )}</tbody></table></div>`
}

function renderMeter(name: string, text: string, share: number): Markup {
  const width = Number.isFinite(share) ? (share * 100).toFixed(1) : '0'
  const meter = html`<span class="meter" aria-hidden="true"><span style="width:${width}%"></span></span>`
  return html`<td data-name="${name}"><span class="number">${text}</span>${meter}</td>`
}

function describeScheduler({ scheduler, rounds }: SchemeReport): string {
  return `${scheduler === '' ? '' : `${scheduler}, `}${formatItems(rounds, 'round')}`
}

/** What the first scheme saves or costs against each other one. */
function renderComparison(schemes: readonly SchemeReport[]): Markup {
  const names = nameSchemes(schemes)
  const [first, ...others] = schemes
  return html`<ul class="compared">${others.map(
    (other, index) => html`<li><strong>${names[0]}</strong> against <strong>${names[index + 1]}</strong>: ${[
      comparePoints(first.accuracyAfter, other.accuracyAfter),
      compare(first.wallMs, other.wallMs, 'time'),
      compare(first.server.memoryBytes, other.server.memoryBytes, 'server memory'),
      compare(totalScheme(first).deviceMemoryBytesMax, totalScheme(other).deviceMemoryBytesMax, 'memory on the largest device'),
    ]
      .filter((text) => text !== '')
      .join(', ')}.</li>`,
  )}</ul>`
}

function comparePoints(own: number, other: number): string {
  const points = (own - other) * 100
  if (!Number.isFinite(points)) return ''
  return Math.abs(points) < 0.05 ? 'the same accuracy' : `${Math.abs(points).toFixed(1)} points ${points < 0 ? 'less' : 'more'} accuracy`
}

function compare(own: number, other: number, what: string): string {
  if (!(own > 0 && other > 0)) return ''
  const hundredths = (own / other - 1) * 100
  if (Math.abs(hundredths) < 0.5) return `the same ${what}`
  if (hundredths >= 100) return `${(own / other).toFixed(own < other * 10 ? 1 : 0)} times the ${what}`
  return `${Math.abs(hundredths).toFixed(0)} % ${hundredths < 0 ? 'less' : 'more'} ${what}`
}
