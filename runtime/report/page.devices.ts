/** The page's per-device tables: what each device holds, what data it has, what it moved, and how long it computed and waited. */
import { SERIES_COLOURS, colourOf } from './page.style.ts'
import { html, type Markup } from './markup.ts'
import { formatBytes, formatCount, formatItems, formatPercent, formatSeconds } from '../text/quantity.ts'
import type { DeviceReport } from '../federation/account.ts'
import { nameSchemes, totalScheme, type Report, type SchemeReport } from './report.ts'

/** The section of devices: a table for each scheme, the first one open. */
export function renderDevices(report: Report): Markup {
  const names = nameSchemes(report.schemes)
  return html`<section>
<h2>Devices and server</h2>
<p class="quiet">Cut: the embeddings and this many of ${report.model.layers} blocks are on the device.
Samples, labels, memory, compute and wait of a device are what it says of itself, as far as it can be.</p>
<ul class="legend" aria-label="Labels">${
    report.labels.slice(0, shownLabels(report)).map((label, index) => renderKey(label, colourOf(index)))}${
    report.labels.length > shownLabels(report) ? renderKey(`${report.labels.length - shownLabels(report)} other labels`, 'var(--idle)') : ''
  }</ul>
${report.schemes.map(
  (scheme, index) => html`<details class="devices"${index === 0 ? html` open` : ''}>
<summary><strong>${names[index]}</strong>, ${formatItems(scheme.devices.length, 'device')}</summary>
${renderServer(scheme)}
${scheme.devices.length > 0 ? renderTable(scheme, report)
    : html`<p class="quiet">No devices: all data and the whole model are in one place.</p>`}
</details>`,
)}
</section>`
}

function renderKey(name: string, colour: string): Markup {
  return html`<li><span class="key" style="background:${colour}"></span>${name}</li>`
}

/** How many labels have a colour of their own: all, or one less than the colours where the rest share one. */
function shownLabels(report: Report): number {
  return report.labels.length <= SERIES_COLOURS ? report.labels.length : SERIES_COLOURS - 1
}

function renderServer({ server, devices }: SchemeReport): Markup {
  const restBytes = server.memoryBytes - server.modelBytes - server.setBytes
  const rest = restBytes > 0 ? `, working space ${formatBytes(restBytes)}` : ''
  const exact = (bytes: number) => `${formatBytes(bytes)} (${formatCount(bytes)} bytes)`
  return html`<p class="quiet">Server memory ${exact(server.memoryBytes)}: model ${formatBytes(server.modelBytes)},
adapters, heads and moments of ${formatItems(devices.length, 'device')} ${exact(server.setBytes)}${rest}.
The server computes ${formatSeconds(server.computeMs)} and waits ${formatSeconds(server.waitMs)}.</p>`
}

function renderTable(scheme: SchemeReport, report: Report): Markup {
  const totals = totalScheme(scheme)
  const columns = ['device', 'cut', 'samples', 'labels', 'memory', 'up', 'down', 'compute', 'wait', 'computing', 'steps', 'drops']
  return html`<div class="scroll"><table class="cards">
<thead><tr>${columns.map((name) => html`<th scope="col"${name === 'labels' ? html` class="labelled"` : ''}>${name}</th>`)}</tr></thead>
<tbody>${scheme.devices.map((device) => renderDevice(device, report))}</tbody>
<tfoot><tr><th scope="row">all devices</th><td></td>${cell('samples', formatCount(totals.samples))}<td></td><td></td>
${cell('up', formatBytes(totals.upBytes))}${cell('down', formatBytes(totals.downBytes))}
${cell('compute', formatSeconds(totals.deviceComputeMs))}${cell('wait', formatSeconds(totals.deviceWaitMs))}
${cell('computing', formatPercent(busyShare(totals.deviceComputeMs, totals.deviceWaitMs)))}
${cell('steps', formatCount(totals.steps))}${cell('drops', formatCount(totals.drops))}</tr></tfoot>
</table></div>`
}

function renderDevice(device: DeviceReport, report: Report): Markup {
  const share = busyShare(device.computeMs, device.waitMs)
  const part = (kind: string, grow: number) => html`<span class="${kind}" style="flex-grow:${grow}"></span>`
  const bar = html`<span class="busy" aria-hidden="true">${part('computing', share)}${part('waiting', 1 - share)}</span>`
  return html`<tr><th scope="row">device ${device.client}</th>
${cell('cut', formatCount(device.cut))}${cell('samples', formatCount(device.samples))}${renderLabels(device, report)}
${cell('memory', formatBytes(device.memoryBytes))}${cell('up', formatBytes(device.upBytes))}${cell('down', formatBytes(device.downBytes))}
${cell('compute', formatSeconds(device.computeMs))}${cell('wait', formatSeconds(device.waitMs))}
<td data-name="computing">${formatPercent(share)}${Number.isFinite(share) ? bar : ''}</td>
${cell('steps', formatCount(device.steps))}${cell('drops', formatCount(device.drops))}</tr>
`
}

function cell(name: string, text: string): Markup {
  return html`<td data-name="${name}">${text}</td>`
}

function renderLabels({ labelCounts }: DeviceReport, report: Report): Markup {
  const total = labelCounts.reduce((sum, count) => sum + count, 0)
  if (total === 0) return html`<td class="labelled" data-name="labels">none</td>`
  const shown = shownLabels(report)
  const others = labelCounts.slice(shown).reduce((sum, count) => sum + count, 0)
  const parts = labelCounts.slice(0, shown).map((count, index) => (
    { name: report.labels[index] ?? `label ${index}`, count, colour: colourOf(index) }))
  const segments = [...parts, { name: 'other labels', count: others, colour: 'var(--idle)' }].filter((part) => part.count > 0)
  const describe = (part: { name: string; count: number }) => `${part.name} ${formatPercent(part.count / total)}`
  const top = labelCounts.reduce((best, count, index) => (count > labelCounts[best] ? index : best), 0)
  const described = segments.map(describe).join(', ')
  return html`<td class="labelled" data-name="labels"><span class="labels" role="img" aria-label="${described}">${segments.map(
    (part) => html`<span style="flex:${part.count};background:${part.colour}" title="${describe(part)}"></span>`,
  )}</span><small>most: ${describe({ name: report.labels[top] ?? `label ${top}`, count: labelCounts[top] })}</small></td>`
}

function busyShare(computeMs: number, waitMs: number): number {
  return computeMs / (computeMs + waitMs)
}
