/**
 * The page's two line charts: accuracy by round and training loss by round, one curve for each scheme.
 * The numbers are prepared here and drawn in the reader's browser by uPlot; the same numbers stand in a table below,
 * for readers without scripts, without sight, or with a spreadsheet.
 */
import { colourOf } from './page.style.ts'
import { html, trustJson, trustScript, type Markup } from './markup.ts'
import { formatHundredths, formatNumber } from '../text/quantity.ts'
import { nameSchemes, type Report } from './report.ts'

/** More points than pixels tell nothing: longer runs are averaged over equal stretches of rounds. */
const POINTS_MAX = 400
/** The moving mean reaches this fraction of the curve to either side. */
const SMOOTHING = 30

type Value = number | null

/** One chart: `curves[i].values[j]` belongs to round `rounds[j]`; null where the scheme has no number for that round. */
export type Chart = {
  title: string
  caption: string
  unit: string
  rounds: readonly number[]
  curves: readonly { name: string; colour: string; values: readonly Value[] }[]
  baseline: Value
}

/** The section of curves, with its script. Without a single number it says so. */
export function renderCurves(report: Report, chartScript: string): Markup {
  const charts = [chartAccuracy(report), chartLoss(report)].filter((chart) => chart.rounds.length > 0)
  if (charts.length === 0) return html`<section><h2>Curves</h2><p class="quiet">No losses and no evaluations were recorded.</p></section>`
  return html`<section>
<h2>Curves</h2>
<div class="charts">${charts.map(renderChart)}</div>
</section>
<script type="application/json" id="charts">${trustJson(charts)}</script>
<script>${trustScript(chartScript)}</script>
<script>${trustScript(DRAW)}</script>`
}

/** Accuracy in per cent at every evaluation, with the scores before the first round and after the last as end points. */
export function chartAccuracy(report: Report): Chart {
  const series = report.schemes.map((scheme) => {
    const points = new Map<number, number>([[0, scheme.accuracyBefore], [scheme.rounds, scheme.accuracyAfter]])
    for (const { round, accuracy } of scheme.evaluations) points.set(round, accuracy)
    return bucketMeans([...points].map(([round, accuracy]) => ({ round, value: accuracy * 100 })), 1)
  })
  const majority = report.schemes.map((scheme) => scheme.majorityAccuracy).find(Number.isFinite)
  const caption = majority === undefined ? '' : `Thin grey line: always answering the commonest label, ${formatHundredths(majority)} %. `
  const baseline = majority === undefined ? null : majority * 100
  return alignChart(report, series, { title: 'Accuracy by round', unit: '%', caption, baseline })
}

/** Training loss: the mean over all devices in a stretch of rounds, then a centred moving mean that narrows at both ends. */
export function chartLoss(report: Report): Chart {
  const roundMax = report.schemes.reduce((max, scheme) => scheme.losses.reduce((most, { round }) => Math.max(most, round), max), 0)
  const stretch = Math.max(1, Math.ceil(roundMax / POINTS_MAX))
  let reach = 0
  const series = report.schemes.map((scheme) => {
    const means = bucketMeans(scheme.losses.map(({ round, loss }) => ({ round, value: loss })), stretch)
    const half = Math.floor(means.size / SMOOTHING)
    reach = Math.max(reach, half)
    return smoothCurve(means, half)
  })
  const span = (2 * reach + 1) * stretch
  const caption = span === 1 ? 'Mean over all devices. ' : `Mean over all devices, moving mean over ${span} rounds. `
  return alignChart(report, series, { title: 'Training loss by round', unit: '', caption, baseline: null })
}

/** Stretch's middle round → mean of its finite values, in order of rounds. */
function bucketMeans(points: readonly { round: number; value: number }[], stretch: number): Map<number, number> {
  const buckets = new Map<number, { sum: number; count: number }>()
  for (const { round, value } of points) {
    if (!Number.isFinite(value)) continue
    const middle = Math.floor(round / stretch) * stretch + (stretch - 1) / 2
    const bucket = buckets.get(middle) ?? { sum: 0, count: 0 }
    buckets.set(middle, { sum: bucket.sum + value, count: bucket.count + 1 })
  }
  return new Map([...buckets].sort((a, b) => a[0] - b[0]).map(([round, { sum, count }]) => [round, sum / count]))
}

function smoothCurve(curve: ReadonlyMap<number, number>, half: number): Map<number, number> {
  const entries = [...curve]
  return new Map(
    entries.map(([round], index) => {
      const reach = Math.min(half, index, entries.length - 1 - index)
      const nearby = entries.slice(index - reach, index + reach + 1)
      return [round, nearby.reduce((sum, [, value]) => sum + value, 0) / nearby.length]
    }),
  )
}

function alignChart(report: Report, series: readonly ReadonlyMap<number, number>[], about: Omit<Chart, 'rounds' | 'curves'>): Chart {
  const rounds = [...new Set(series.flatMap((points) => [...points.keys()]))].sort((a, b) => a - b)
  const curves = nameSchemes(report.schemes)
    .map((name, index) => ({ name, colour: colourOf(index), values: rounds.map((round) => series[index].get(round) ?? null) }))
    .filter((curve) => curve.values.some((value) => value !== null))
  return { ...about, caption: about.caption + describeTwins(curves), rounds, curves }
}

/** Names curves that hide each other. Schemes that split the same computation differently agree to the last bit. */
function describeTwins(curves: Chart['curves']): string {
  const groups = new Map<string, string[]>()
  for (const { name, values } of curves) {
    const shape = JSON.stringify(values)
    groups.set(shape, [...(groups.get(shape) ?? []), name])
  }
  return [...groups.values()]
    .filter((names) => names.length > 1)
    .map((names) => `${names.slice(0, -1).join(', ')} and ${names[names.length - 1]} coincide exactly. `)
    .join('')
}

function renderChart(chart: Chart): Markup {
  const formatValue = (value: Value) => (value === null ? '' : chart.unit === '%' ? `${value.toFixed(1)} %` : formatNumber(value))
  const summary = chart.curves.map((curve) => {
    const values = curve.values.filter((value) => value !== null)
    return `${curve.name} from ${formatValue(values[0])} to ${formatValue(values[values.length - 1])}`
  })
  return html`<figure>
<h3>${chart.title}</h3>
<figcaption>${chart.caption}</figcaption>
<div class="chart" role="img" aria-label="${chart.title}: ${summary.join('; ')}."></div>
<details><summary>Numbers</summary><div class="scroll"><table class="numbers">
<thead><tr><th scope="col">round</th>${chart.curves.map((curve) => html`<th scope="col">${curve.name}</th>`)}</tr></thead>
<tbody>${chart.rounds.map(
    (round, index) =>
      html`<tr><th scope="row">${round}</th>${chart.curves.map((curve) => html`<td>${formatValue(curve.values[index])}</td>`)}</tr>
`,
  )}</tbody></table></div></details>
</figure>`
}

/**
 * Runs in the page. Colours are read from the style sheet at each drawing, so that a change to dark or to print needs
 * only a redraw. The legend shows the values at the pointer, else the last ones. Later curves are dashed and lie on top
 * of earlier ones: curves that coincide all stay visible.
 */
const DRAW = `
if (typeof uPlot === 'function') {
  const charts = JSON.parse(document.getElementById('charts').textContent)
  const places = [...document.querySelectorAll('.chart')]
  const dashes = [[], [9, 6], [3, 4], [14, 5, 3, 5], [6, 3], [2, 6], [18, 6], [1, 3]]
  const resolve = (colour) => getComputedStyle(document.documentElement).getPropertyValue(colour.slice(4, -1)).trim()
  const show = (chart, value) => value == null ? '' : chart.unit === '%' ? value.toFixed(1) + ' %' : value.toFixed(3)
  const last = (values) => values.filter((value) => value !== null).at(-1)
  const axis = () => ({
    stroke: () => resolve('var(--quiet)'),
    grid: { stroke: () => resolve('var(--line)'), width: 1 },
    ticks: { show: false },
    font: '12px system-ui, sans-serif',
  })
  const chooseRange = ({ unit, baseline }, min, max) => {
    if (min === null) return [0, 1]
    const [low, high] = uPlot.rangeNum(Math.min(min, baseline ?? min), Math.max(max, baseline ?? max), 0.08, true)
    return unit === '%' ? [Math.max(low, 0), Math.min(high, 100)] : [low, high]
  }
  const drawBaseline = (chart) => (plot) => {
    if (chart.baseline === null) return
    const y = plot.valToPos(chart.baseline, 'y', true)
    const { left, top, width, height } = plot.bbox
    if (!(y >= top && y <= top + height)) return
    const context = plot.ctx
    context.save()
    context.strokeStyle = resolve('var(--idle)')
    context.lineWidth = devicePixelRatio
    context.setLineDash([5 * devicePixelRatio, 4 * devicePixelRatio])
    context.beginPath()
    context.moveTo(left, y)
    context.lineTo(left + width, y)
    context.stroke()
    context.restore()
  }
  const plots = charts.map((chart, index) => new uPlot({
    width: places[index].clientWidth,
    height: 300,
    cursor: { sync: { key: 'round' }, y: false, drag: { x: true, y: false } },
    legend: { markers: {
      width: 3, stroke: (plot, i) => i > 0 && chart.curves[i - 1].colour, dash: (plot, i) => i > 1 ? 'dashed' : 'solid',
    } },
    scales: { x: { time: false }, y: { range: (plot, min, max) => chooseRange(chart, min, max) } },
    axes: [
      { ...axis(), size: 34 },
      { ...axis(), size: 50, values: (plot, splits) => splits.map((split) => +split.toFixed(6) + (chart.unit && ' ' + chart.unit)) },
    ],
    series: [
      { label: 'round', value: (plot, value, i, at) => at == null ? last(chart.rounds) : value },
      ...chart.curves.map((curve, i) => ({
        label: curve.name,
        stroke: () => resolve(curve.colour),
        width: i === 0 ? 2.5 : 2,
        dash: dashes[i % dashes.length],
        spanGaps: true,
        points: { show: curve.values.filter((value) => value !== null).length < 3 ? true : undefined },
        value: (plot, value, j, at) => show(chart, at == null ? last(curve.values) : value),
      })),
    ],
    hooks: { drawAxes: [drawBaseline(chart)] },
  }, [chart.rounds, ...chart.curves.map((curve) => curve.values)], places[index]))
  const resize = () => plots.forEach((plot, index) => plot.setSize({ width: places[index].clientWidth, height: 300 }))
  const redraw = () => plots.forEach((plot) => plot.redraw(false, true))
  addEventListener('resize', resize)
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw)
  addEventListener('beforeprint', () => {
    document.documentElement.classList.add('printing')
    document.querySelectorAll('.devices').forEach((details) => { details.open = true })
    plots.forEach((plot) => plot.setSize({ width: 660, height: 240 }))
    redraw()
  })
  addEventListener('afterprint', () => {
    document.documentElement.classList.remove('printing')
    resize()
    redraw()
  })
}
`
