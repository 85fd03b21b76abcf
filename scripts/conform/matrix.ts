/** The matrix of a run, as text, as JSON and as a page. */
import type { Build } from './host.ts'
import type { Part, PartName } from './part.ts'

/** `differs`: the first case that fails, its first element that differs, and both values. */
export type Row = {
  host: string; version: string; engine: string; build: Build
  cases: number; passed: number; digest: string; ms: number
  /** The whole suite, or what a host without JavaScript can play, or what it has the time for. */
  part: PartName
  fused?: boolean; gap?: number; modelGap?: number
  verdict: 'equal' | 'within tolerance' | 'differs' | 'failed'
  differs?: string
}
export type Missing = { host: string; install: string }
/** Builds that a host which ran was not asked for. */
export type Left = { host: string; without: string }
export type Run = {
  date: string; parts: Record<PartName, Part>; rows: readonly Row[]; left: readonly Left[]; missing: readonly Missing[]; seconds: number
}

const HEAD = ['host', 'version', 'engine', 'build', 'cases', 'digest of all bits', 'seconds', 'verdict']

function describe(row: Row): string {
  if (row.verdict === 'failed') return `FAILED: ${row.differs}`
  const fused = row.fused === undefined ? '' : row.fused ? ', fuses' : ', does not fuse'
  const gap = row.gap === undefined ? '' : ` (${row.gap.toExponential(1)}, models ${row.modelGap!.toExponential(1)})`
  return `${row.verdict}${gap}${fused}${row.part === 'all' ? '' : ` (${row.part})`}${row.differs ? `: ${row.differs}` : ''}`
}

function cells(row: Row): string[] {
  return [
    row.host, row.version, row.engine, row.build, `${row.passed}/${row.cases}`, row.digest, (row.ms / 1000).toFixed(1), describe(row),
  ]
}

export function formatMatrix(rows: readonly Row[]): string {
  const lines = [HEAD, ...rows.map(cells)]
  const widths = HEAD.map((_, column) => Math.max(...lines.map((line) => [...line[column]].length)))
  return lines.map((line) => line.map((cell, column) => (column === HEAD.length - 1 ? cell : cell.padEnd(widths[column]))).join('  ')).join('\n')
}

const escape = (text: string) => text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`)

/** What the parts are that some rows ran in the place of all cases; those left out in a list, or by their names. */
export function describeParts({ parts, rows }: Pick<Run, 'parts' | 'rows'>): { text: string; without: readonly string[] }[] {
  const all = parts.all.cases
  return Object.entries(parts).filter(([name]) => name !== 'all' && rows.some(({ part }) => part === name)).map(([name, { cases, digest, without }]) => (
    { text: `${name}: ${cases} of ${all} cases, strict digest ${digest}`, without }))
}

export function formatPage({ date, parts, rows, left, missing, seconds }: Run): string {
  const body = rows.map((row) => {
    const good = row.verdict === 'equal' || row.verdict === 'within tolerance'
    return `<tr class="${good ? 'good' : 'bad'}">${cells(row).map((cell) => `<td>${escape(cell)}</td>`).join('')}</tr>`
  })
  const absent = missing.map(({ host, install }) => `<tr class="bad"><td>${escape(host)}</td><td colspan="7">missing: ${escape(install)}</td></tr>`)
  const played = describeParts({ parts, rows }).map(({ text, without }) => (
    `<details><summary>${escape(text)}</summary>Not among them: ${escape(without.join('; '))}.</details>`))
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Kerf: the same bits on every host</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem; color: #222 }
table { border-collapse: collapse }
th, td { text-align: left; padding: .25rem .75rem; border-bottom: 1px solid #ddd; font-variant-numeric: tabular-nums }
td:nth-child(6) { font-family: ui-monospace, monospace }
.bad { background: #fde8e8 } .good td:last-child { color: #1a7f37 }
</style>
<h1>The same bits on every host</h1>
<p>${escape(date)}; ${seconds.toFixed(0)} s. All ${parts.all.cases} cases have the strict digest <code>${parts.all.digest}</code>.</p>
${played.join('\n')}
<table><thead><tr>${HEAD.map((cell) => `<th>${cell}</th>`).join('')}</tr></thead>
<tbody>${[...body, ...absent].join('\n')}</tbody></table>
<ul>${left.map(({ host, without }) => `<li>${escape(`${host}, not run: ${without}`)}</li>`).join('')}</ul>
</html>
`
}
