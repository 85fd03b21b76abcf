/** The comparison as Markdown: where it ran, every case, the bars, and what each peer can't do. */
import { formatNumber } from '../../runtime/text/quantity.ts'
import { listBars } from './bars.ts'
import type { Results } from './bars.ts'
import { CANNOT } from './cannot.ts'
import type { Case } from './cases.ts'
import { PEERS } from './install.ts'
import type { Host, Installed } from './install.ts'
import type { Measured } from './ratio.ts'
import { findFastest, gigaflops, median } from './ratio.ts'
import type { CaseResult } from './rounds.ts'

export const BEGIN = '<!-- peers:begin -->'
export const END = '<!-- peers:end -->'

export type Report = {
  machine: string
  commit: string
  rounds: number
  installed: Installed
  cases: readonly Case[]
  results: readonly CaseResult[]
}

const ABSENT = '–'

export function formatTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

function showFigure(one: Measured | undefined): string {
  if (!one) return ABSENT
  return formatNumber(one.flops > 0 ? gigaflops(one) : median(one.ms))
}

type Column = { title: string; choose(measured: readonly Measured[]): Measured | undefined }

/** Kerf by profile and host; of each peer its fastest host. */
function columnsOf(hosts: readonly Host[], profiles: readonly string[]): Column[] {
  const kerf = hosts.flatMap((host) => profiles.map((profile): Column => ({
    title: `Kerf ${profile}, ${host}`,
    choose: (measured) => measured.find((one) => one.program === 'kerf' && one.host === host && one.setting.profile === profile),
  })))
  return [...kerf, ...PEERS.map((program) => ({
    title: program, choose: (measured: readonly Measured[]) => findFastest(measured.filter((one) => one.program === program)),
  }))]
}

/** Cases that peers take part in; the others stand in the bars alone. */
function formatCases({ cases, results }: Report): string {
  const shared = cases.filter(({ entries }) => entries.some(({ program }) => program !== 'kerf'))
  const measured = (name: string) => results.find((result) => result.name === name)?.measured ?? []
  const ours = results.flatMap((result) => result.measured).filter(({ program }) => program === 'kerf')
  const columns = columnsOf([...new Set(ours.map(({ host }) => host))], [...new Set(ours.map(({ setting }) => String(setting.profile)))])
  const rows = shared.filter(({ name }) => measured(name).length > 0).map(({ name, title }) => {
    const all = measured(name)
    const cells = columns.map(({ choose }) => {
      const one = choose(all)
      return one && one.program !== 'kerf' && one.host !== 'python' ? `${showFigure(one)} (${one.host})` : showFigure(one)
    })
    return [`${title}, ${all.some(({ flops }) => flops > 0) ? 'GFLOP/s' : 'ms'}`, ...cells]
  })
  return formatTable(['', ...columns.map(({ title }) => title)], rows)
}

function formatBars({ results }: Report): string {
  const byName: Results = new Map(results.map(({ name, measured }) => [name, measured]))
  const rows = listBars(byName).map(({ title, cells }) => [title, cells.strict ?? ABSENT, cells.fast ?? ABSENT])
  return formatTable(['bar', 'strict', 'fast'], rows)
}

function formatPeers({ installed: { programs } }: Report): string {
  return formatTable(['peer', 'version', 'cannot'], PEERS.map((program) => {
    const opened = programs[program]
    return [program, 'title' in opened ? opened.title : opened.reason, CANNOT[program]]
  }))
}

const CASES_SHOWN = 3

/** Who did not take part, in which cases, and why; each reason once. */
export function formatAbsences(results: readonly CaseResult[]): string {
  const reasons = new Map<string, { who: Set<string>; where: Set<string> }>()
  for (const { name, absent } of results) {
    for (const { id, reason } of absent) {
      const entry = reasons.get(reason) ?? { who: new Set(), where: new Set() }
      reasons.set(reason, entry)
      entry.who.add(id.split(':')[0])
      entry.where.add(name)
    }
  }
  const places = (where: ReadonlySet<string>) => (where.size > CASES_SHOWN ? `${where.size} cases` : [...where].join(', '))
  return [...reasons].map(([reason, { who, where }]) => `- ${[...who].join(', ')} (${places(where)}): ${reason}`).join('\n')
}

export function formatReport(report: Report): string {
  const { machine, commit, rounds, installed: { hosts } } = report
  const engines = Object.entries(hosts).flatMap(([host, opened]) => ('title' in opened ? [`${host} = ${opened.title}`] : []))
  const measured = `medians of ${rounds} rounds, of up to five turns where steps are short, in one call, one thread unless said`
  const head = `${machine}; commit ${commit}; ${measured}. Hosts: ${engines.join(', ')}.`
  const parts = [head, formatCases(report), formatBars(report), formatPeers(report), formatAbsences(report.results)]
  return parts.filter((part) => part !== '').join('\n\n')
}

/** `text` with what stands between the two markers replaced; throws where they are not there, each once. */
export function replaceTable(text: string, table: string): string {
  const [before, rest, ...more] = text.split(BEGIN)
  const [, after, ...others] = rest?.split(END) ?? []
  if (after === undefined || more.length > 0 || others.length > 0) throw new Error(`expected ${BEGIN} and ${END} once each, in this order`)
  return `${before}${BEGIN}\n\n${table}\n\n${END}${after}`
}
