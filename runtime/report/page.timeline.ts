/**
 * The page's timelines: one round of each scheme as a Gantt chart in SVG, a row for each party, widths in per cent so
 * that text keeps its size on a phone.
 */
import { LANE_HEIGHT, colourOf, inkOf } from './page.style.ts'
import { html, trustScript, type Markup } from './markup.ts'
import { formatNumber, formatPercent } from '../text/quantity.ts'
import type { Span } from '../split/stats.ts'
import { nameSchemes, type Report } from './report.ts'

/** Beyond this many rows a timeline says how many it left out. */
const LANES_MAX = 64
const TICKS_MAX = 8
const AXIS_HEIGHT = 22
/** A span narrower than this fraction of the round never shows its letter; one narrower than the second, not on a small screen. */
const LETTER_SHARE = 0.02
const LETTER_SHARE_SMALL = 0.07

/** Runs in the page: on a phone each timeline gets the full width, for a short round would be a few px wide. */
const FIT_PHONE = `if (innerWidth < 600) document.getElementById('scale').checked = false`

type Kind = Span['kind']
type Lane = { party: string; spans: readonly Span[]; computeShare: number }
type Timeline = { name: string; beginMs: number; lengthMs: number; lanes: readonly Lane[]; lanesLeftOut: number }

/** `weight` is the height of the span as a fraction of the row: computing fills it, moving bytes is a thin bar, waiting a line. */
const KINDS: Readonly<Record<Kind, { letter: string; means: string; fill: string; ink: string; weight: number }>> = {
  forward: { letter: 'F', means: 'forward', fill: colourOf(0), ink: inkOf(0), weight: 0.8 },
  backward: { letter: 'B', means: 'backward', fill: colourOf(3), ink: inkOf(3), weight: 0.8 },
  server: { letter: 'S', means: 'server: forward, loss, backward', fill: colourOf(1), ink: inkOf(1), weight: 0.8 },
  aggregate: { letter: 'A', means: 'aggregate', fill: colourOf(5), ink: inkOf(5), weight: 0.8 },
  upload: { letter: '', means: 'upload', fill: colourOf(2), ink: inkOf(2), weight: 0.4 },
  download: { letter: '', means: 'download', fill: colourOf(6), ink: inkOf(6), weight: 0.4 },
  wait: { letter: '', means: 'wait', fill: 'var(--idle)', ink: '', weight: 0.1 },
}
const COMPUTING: ReadonlySet<Kind> = new Set(['forward', 'backward', 'server', 'aggregate'])

/** The section of timelines; nothing at all when no scheme has one. */
export function renderTimelines(report: Report): Markup {
  const names = nameSchemes(report.schemes)
  const timelines = report.schemes.map((scheme, index) => layTimeline(names[index], scheme.timeline))
    .filter((timeline) => timeline.lengthMs > 0)
  if (timelines.length === 0) return html``
  const longestMs = timelines.reduce((longest, timeline) => Math.max(longest, timeline.lengthMs), 0)
  const used = new Set(timelines.flatMap((timeline) => timeline.lanes.flatMap((lane) => lane.spans.map((span) => span.kind))))
  const scale = html`<input type="checkbox" id="scale" checked> <label for="scale">Same time scale for all schemes</label>
<script>${trustScript(FIT_PHONE)}</script>`
  return html`<section>
<h2>One round: who computes and who waits</h2>
<p class="quiet">Per cent: how much of the round a party computes; a device's row is as the device says.</p>
<ul class="legend">${(Object.keys(KINDS) as Kind[]).filter((kind) => used.has(kind)).map(renderKey)}</ul>
<div class="scale">${timelines.length > 1 ? scale : ''}</div>
${timelines.map((timeline) => renderTimeline(timeline, longestMs))}
</section>`
}

function layTimeline(name: string, spans: readonly Span[]): Timeline {
  const sound = spans.filter((span) => Number.isFinite(span.beginMs) && span.endMs > span.beginMs && span.endMs < Infinity)
  const beginMs = sound.reduce((first, span) => Math.min(first, span.beginMs), Infinity)
  const lengthMs = sound.reduce((last, span) => Math.max(last, span.endMs), -Infinity) - beginMs
  const parties = [...new Set(sound.map((span) => span.party))].sort(compareParties)
  const lanes = parties.slice(0, LANES_MAX).map((party) => {
    const own = sound.filter((span) => span.party === party)
    const computeMs = own.reduce((sum, span) => sum + (COMPUTING.has(span.kind) ? span.endMs - span.beginMs : 0), 0)
    return { party, spans: own, computeShare: Math.min(1, computeMs / lengthMs) }
  })
  return { name, beginMs, lengthMs: sound.length === 0 ? 0 : lengthMs, lanes, lanesLeftOut: parties.length - lanes.length }
}

/** Servers above, devices below, each by number. */
function compareParties(a: string, b: string): number {
  const rank = (party: string) => (party.startsWith('server') ? 0 : 1)
  const number = (party: string) => Number(/\d+$/.exec(party)?.[0] ?? -1)
  return rank(a) - rank(b) || number(a) - number(b) || (a < b ? -1 : 1)
}

function renderKey(kind: Kind): Markup {
  const { letter, means, fill, ink, weight } = KINDS[kind]
  const height = Math.max(2, weight * 18)
  return html`<li><svg width="22" height="18" aria-hidden="true" style="vertical-align:-4px;margin-right:6px">
<rect y="${(18 - height) / 2}" width="22" height="${height}" rx="2" style="fill:${fill}"/>
${letter && html`<text x="11" y="13" text-anchor="middle" style="font-size:11px;fill:${ink}">${letter}</text>`}
</svg>${means}</li>`
}

function renderTimeline(timeline: Timeline, longestMs: number): Markup {
  const { name, lanes, lengthMs } = timeline
  const height = lanes.length * LANE_HEIGHT
  const left = timeline.lanesLeftOut === 0 ? '' : `; ${timeline.lanesLeftOut} more parties are not drawn`
  const described = lanes.map((lane) => `${lane.party} computes ${formatPercent(lane.computeShare)}`).join(', ')
  return html`<figure class="timeline" style="--share:${percent(lengthMs / longestMs)}">
<h3>${name}</h3>
<figcaption>one round takes ${formatTime(lengthMs, longestMs)}${left}</figcaption>
<div class="lanes">
<ul class="parties">${lanes.map((lane) => html`<li>${lane.party}<span>${(lane.computeShare * 100).toFixed(0)} %</span></li>`)}</ul>
<div class="plot"><div class="track"><svg role="img" aria-label="${name}, one round: ${described}."
 width="100%" height="${height + AXIS_HEIGHT}">
${lanes.map((_, row) => html`<rect class="lane" y="${row * LANE_HEIGHT + 1}" width="100%" height="${LANE_HEIGHT - 2}"/>`)}
${renderTicks(lengthMs, height, longestMs)}
${lanes.map((lane, row) => lane.spans.map((span) => renderSpan(span, row, timeline, longestMs)))}
</svg></div></div>
</div>
</figure>`
}

function renderSpan(span: Span, row: number, { beginMs, lengthMs }: Timeline, longestMs: number): Markup {
  const { letter, means, fill, ink, weight } = KINDS[span.kind]
  const begin = (span.beginMs - beginMs) / lengthMs
  const width = (span.endMs - span.beginMs) / lengthMs
  const height = LANE_HEIGHT * weight
  const middle = (row + 0.5) * LANE_HEIGHT
  const [length, start] = [span.endMs - span.beginMs, span.beginMs - beginMs].map((ms) => formatTime(ms, longestMs))
  const title = `${span.party}: ${means}, ${length}, from ${start}`
  const text = html`
<text class="${width >= LETTER_SHARE_SMALL ? 'letter' : 'letter small'}" x="${percent(begin + width / 2)}" y="${middle + 4}"
 text-anchor="middle" style="fill:${ink}" pointer-events="none">${letter}</text>`
  return html`<rect x="${percent(begin)}" y="${middle - height / 2}" width="${percent(width)}" height="${height}"
 style="fill:${fill};stroke:var(--card);stroke-width:${weight > 0.5 ? 1 : 0}"><title>${title}</title></rect>${
    letter !== '' && width >= LETTER_SHARE ? text : ''
  }
`
}

function renderTicks(lengthMs: number, height: number, longestMs: number): Markup {
  const step = chooseStep(lengthMs)
  const ticks = Array.from({ length: Math.floor(lengthMs / step) + 1 }, (_, index) => index)
  return html`${ticks.map((index) => {
    const x = percent((index * step) / lengthMs)
    const name = index === 0 ? '' : index % 2 === 1 ? 'tickname minor' : 'tickname'
    const anchor = index === 0 ? 'start' : 'middle'
    const time = longestMs < 1000 ? `${trim(index * step)} ms` : `${trim((index * step) / 1000)} s`
    return html`<line class="tick" x1="${x}" x2="${x}" y2="${height + 4}"/>
<text class="${name}" x="${x}" y="${height + 17}" text-anchor="${anchor}">${time}</text>
`
  })}`
}

/** The smallest of 1, 2, 5 times a power of ten, in ms, that gives at most TICKS_MAX ticks. */
function chooseStep(lengthMs: number): number {
  let step = 0.001
  for (let turn = 0; lengthMs / step > TICKS_MAX; turn++) step *= turn % 3 === 1 ? 2.5 : 2
  return step
}

/** Milliseconds or seconds, by the longest round, so that all timelines keep one unit. */
function formatTime(ms: number, longestMs: number): string {
  return longestMs < 1000 ? `${formatNumber(ms)} ms` : `${formatNumber(ms / 1000)} s`
}

/** The shortest writing of a number to six significant digits: ticks are round numbers. */
function trim(value: number): number {
  return +value.toPrecision(6)
}

function percent(fraction: number): string {
  return `${+(fraction * 100).toFixed(3)}%`
}
