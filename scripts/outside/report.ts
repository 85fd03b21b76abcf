/** The outcome of ONNX's cases as a table for the terminal and as the page scripts/outside/README.md. */
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { NO_GAP, TOLERANCE, worseOf } from './compare.ts'
import type { Gap } from './compare.ts'
import type { Survey, Verdict, WayVerdict } from './suite.ts'

const PAGE = new URL('README.md', import.meta.url)

type Row = readonly string[]
const HEAD: Row = ['operator', 'cases', 'passed', 'failed', 'not run', 'equal', 'largest error', 'rtol reached', 'in fast']

const show = (value: number) => (value === 0 ? '0' : value === Infinity ? '∞' : value.toExponential(1))

function waysOf(verdicts: readonly Verdict[]): WayVerdict[] {
  return verdicts.flatMap((verdict) => (verdict.kind === 'not run' ? [] : verdict.ways))
}

function worst(ways: readonly WayVerdict[]): { strict: Gap; relaxed: Gap | undefined } {
  const fast = ways.flatMap(({ relaxed }) => (relaxed === undefined ? [] : [relaxed]))
  const strict = ways.map((way) => way.strict).reduce(worseOf, NO_GAP)
  return { strict, relaxed: fast.length > 0 ? fast.reduce(worseOf, NO_GAP) : undefined }
}

function toRow(name: string, verdicts: readonly Verdict[]): Row {
  const count = (kind: Verdict['kind']) => String(verdicts.filter((verdict) => verdict.kind === kind).length)
  const ways = waysOf(verdicts), { strict, relaxed } = worst(ways)
  const isEqual = (verdict: Verdict) => verdict.kind === 'passed' && verdict.ways.every((way) => way.strict.equal)
  const equal = verdicts.filter(isEqual).length
  const gaps = ways.length === 0 ? ['', '', ''] : [show(strict.errorMax), show(strict.rtol), relaxed ? show(relaxed.rtol) : '']
  const counts = [String(verdicts.length), count('passed'), count('failed'), count('not run'), ways.length === 0 ? '' : String(equal)]
  return [name, ...counts, ...gaps]
}

function operatorsOf({ verdicts }: Survey): string[] {
  return [...new Set(verdicts.map(({ operator }) => operator))].sort()
}

function rowsOf(survey: Survey): Row[] {
  const rows = operatorsOf(survey).map((name) => toRow(name, survey.verdicts.filter(({ operator }) => operator === name)))
  return [...rows, toRow('all', survey.verdicts)]
}

/** Columns for the terminal, and the totals in words. */
export function tabulate(survey: Survey): string {
  const rows = [HEAD, ...rowsOf(survey)]
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column].length)))
  const pad = (cell: string, column: number) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column]))
  const lines = rows.map((row) => row.map(pad).join('  '))
  const failures = survey.verdicts.filter(({ kind }) => kind === 'failed')
  return [...lines, ...failures.map((verdict) => `FAILED ${verdict.name}: ${describe(verdict)}`)].join('\n')
}

function describe(verdict: Verdict): string {
  if (verdict.kind === 'not run') return verdict.reason
  const ways = verdict.ways.map(({ by, strict, relaxed, sameBits }) => {
    const gaps = [show(strict.errorMax), show(strict.rtol), ...(relaxed ? [show(relaxed.rtol)] : [])].join(' / ')
    return `${by} ${gaps}${sameBits ? '' : ', other bits in SIMD'}`
  })
  return [...(verdict.reason === undefined ? [] : [verdict.reason]), ...ways].join('; ')
}

export function listCases({ verdicts }: Survey): string {
  return verdicts.map((verdict) => `${verdict.kind.padEnd(7)} ${verdict.operator} ${verdict.name}: ${describe(verdict)}`).join('\n')
}

function git(...args: readonly string[]): string {
  return spawnSync('git', args, { encoding: 'utf8' }).stdout.trim()
}

const line = (cells: Row) => `| ${cells.join(' | ')} |`
const toTable = (head: Row, rows: readonly Row[]) => [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')

/** Cases not run, by operator and reason. */
function listReasons({ verdicts }: Survey): string {
  const names = new Map<string, string[]>()
  for (const verdict of verdicts) {
    if (verdict.kind !== 'not run') continue
    const key = `${verdict.operator}: ${verdict.reason}`
    names.set(key, [...(names.get(key) ?? []), verdict.name.replace(/^node\/test_/, '')])
  }
  return [...names].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, list]) => `- ${key} (${list.length}): ${list.join(', ')}`).join('\n')
}

function listRun({ verdicts }: Survey): Row[] {
  return verdicts.flatMap((verdict) => {
    if (verdict.kind === 'not run') return []
    const name = verdict.name.replace(/^node\/test_/, '')
    if (verdict.ways.length === 0) return [[name, '', verdict.kind, verdict.reason ?? '', '', '']]
    return verdict.ways.map(({ by, strict, relaxed }) => (
      [name, by, verdict.kind, show(strict.errorMax), show(strict.rtol), relaxed ? show(relaxed.rtol) : '']))
  })
}

/** @param version of the package; missing: why the fast build did not run */
export function writePage(survey: Survey, { version, missing }: { version: string; missing: string | undefined }): void {
  const { verdicts, elsewhere, graphs } = survey
  const count = (kind: Verdict['kind']) => verdicts.filter((verdict) => verdict.kind === kind).length
  const failures = verdicts.filter(({ kind }) => kind === 'failed')
  const changed = git('status', '--porcelain', '--', 'assembly', 'runtime', 'scripts/outside', ':!scripts/outside/*.md') !== ''
  const others = [...elsewhere].sort(([a], [b]) => (a < b ? -1 : 1)).map(([op, cases]) => `${op} ${cases}`)
  const operators = operatorsOf(survey).length, otherCases = [...elsewhere.values()].reduce((sum, cases) => sum + cases, 0)
  const expanded = graphs.filter((name) => name.endsWith('_expanded') || /_expanded_ver\d+$/.test(name))
  const unlike = graphs.filter((name) => !expanded.includes(name))
  const text = `# ONNX's backend tests on Kerf's kernel

Made by \`node --import tsx scripts/outside/onnx.ts --install --write\`; not to be edited.

${version}; Kerf ${git('rev-parse', '--short', 'HEAD')}${changed ? ' with changes' : ''}; Node ${process.versions.node}
(V8 ${process.versions.v8}), ${process.platform} ${process.arch}, ${cpus()[0]?.model ?? 'unknown CPU'}.
Builds: scalar, simd${missing === undefined ? ', relaxed (fast)' : `; relaxed (fast) not run: ${missing}`}.

**${count('passed')} passed, ${count('failed')} failed, ${count('not run')} not run** of ${verdicts.length} cases of ${operators} operators.
A case passes where every output of every way to compute it is within ${TOLERANCE.rtol} of the expected value, plus ${TOLERANCE.atol} (the
tolerance of ONNX's own backend tests), in every build, and scalar and SIMD give the same bits. Tensors are moved by the host
(axes, repetition, indices, rows left out) and computed by the kernel; what the kernel takes as one number, the host computes in
float64: Adam's step and its 1 − β, the sum of a loss's weights, attention's factor where it is not 1/√D. Erf, Exp and Log are
called number by number.

- equal: cases whose outputs are the expected numbers exactly.
- largest error: |result − expected| in the strict builds.
- rtol reached: the relative tolerance that would have been enough, beside ${TOLERANCE.atol}.
- in fast: the same in the relaxed build.

${toTable(HEAD, rowsOf(survey))}

## Failures

${failures.length === 0 ? 'None.' : failures.map((verdict) => `- ${verdict.name}: ${describe(verdict)}`).join('\n')}

## Not run

${listReasons(survey)}

Operators that Kerf has nothing for (${elsewhere.size}, with ${otherCases} cases): ${others.join(', ')}.

Models of several nodes (${graphs.length}): they test a graph's execution, and Kerf's kernel runs no graphs. ${expanded.length} are
functions written out in other operators (\`…_expanded\`), whose plain forms are counted above. The others: ${unlike.join(', ')}.

The folders \`light\` and \`real\` of the data are whole networks for pictures, with convolutions. The data have no backward
cases but \`simple/test_gradient_of_add\` and \`…_add_and_mul\`, which are graphs; Kerf's gradients are held to PyTorch's instead
(\`test/golden\`, made by \`scripts/golden.py\`).

## Every case that was run

${toTable(['case', 'by', 'outcome', 'largest error', 'rtol reached', 'in fast'], listRun(survey))}
`
  writeFileSync(PAGE, text)
}
