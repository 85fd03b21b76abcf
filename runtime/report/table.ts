/** The table a training run ends with: one line for each scheme, plain ASCII, at most 110 columns. */
import { formatBytes, formatHundredths, formatNumber, formatSeconds } from '../text/quantity.ts'
import { nameSchemes, totalScheme, type Report, type SchemeReport } from './report.ts'

const COLUMNS_MAX = 110
const GAP = '  '
const HEADINGS = [
  ['', 'scheme'],
  ['accuracy %', 'before -> after'],
  ['macro', 'F1'],
  ['device', 'memory'],
  ['server', 'memory'],
  ['', 'up'],
  ['', 'down'],
  ['', 'compute'],
  ['', 'wait'],
  ['', 'wall'],
]

/**
 * The schemes of `report` as lines of text that end in a newline. Device memory is the largest device's, compute and
 * wait are summed over all devices and the server. A scheme name that does not fit is cut with `~`.
 */
export function formatTable(report: Report): string {
  if (report.schemes.length === 0) return 'No scheme was run.\n'
  const names = nameSchemes(report.schemes)
  const rows = report.schemes.map((scheme, index) => [asciiOnly(names[index]), ...formatCells(scheme).map(asciiOnly)])
  const widths = HEADINGS.map((heading, column) => Math.max(...[...heading, ...rows.map((row) => row[column])].map((text) => text.length)))
  const others = widths.slice(1).reduce((sum, width) => sum + GAP.length + width, 0)
  widths[0] = Math.min(widths[0], Math.max(COLUMNS_MAX - others, HEADINGS[0][1].length))
  const line = (cells: readonly string[]) =>
    cells.map((cell, column) => (
      column === 0 ? shorten(cell, widths[0]).padEnd(widths[0]) : cell.padStart(widths[column]))).join(GAP).trimEnd()
  return [
    line(HEADINGS.map((heading) => heading[0])),
    line(HEADINGS.map((heading) => heading[1])),
    line(widths.map((width) => '-'.repeat(width))),
    ...rows.map(line),
    ...footnotes(report),
    '',
  ].join('\n')
}

function formatCells(scheme: SchemeReport): string[] {
  const totals = totalScheme(scheme)
  return [
    `${formatHundredths(scheme.accuracyBefore)} -> ${formatHundredths(scheme.accuracyAfter).padStart(4)}`,
    formatNumber(scheme.macroF1After),
    scheme.devices.length === 0 ? '-' : formatBytes(totals.deviceMemoryBytesMax),
    formatBytes(scheme.server.memoryBytes),
    formatBytes(totals.upBytes),
    formatBytes(totals.downBytes),
    formatSeconds(totals.computeMs),
    formatSeconds(totals.waitMs),
    formatSeconds(scheme.wallMs),
  ]
}

function footnotes(report: Report): string[] {
  const lines = [
    'Device memory: the largest device. Compute and wait: all devices and the server together.',
    'Memory, compute and wait of devices: as the devices say.',
  ]
  const majority = report.schemes[0].majorityAccuracy
  if (Number.isFinite(majority)) lines.push(`Always answering the commonest label scores ${formatHundredths(majority)} %.`)
  return lines
}

function asciiOnly(text: string): string {
  return text.replaceAll('–', '-').replace(/[^\x20-\x7e]/g, '?')
}

function shorten(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, width - 1)}~`
}
