/**
 * Kerf and its peers on the same work, in turn, in one call.
 *
 *   npm run bench:peers [-- --cases block,product --peers tfjs,torch --rounds 7 --lengths FILE --json --write]
 *
 * Builds Kerf, puts the peers under build/peers/ (the first time only, from the npm registry; PyTorch is taken where Python
 * has it), and prints a table. `--write` puts it between the README's markers as well. What can't be installed, run or
 * trusted is listed with its reason. Leave the machine alone meanwhile.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { fileURLToPath } from 'node:url'
import { KerfError, refuse } from '../../runtime/error.ts'
import { createTokenizer } from '../../runtime/data/tokens.ts'
import type { FlagTable } from '../../runtime/program/flags.ts'
import { formatHelp, parseFlags } from '../../runtime/program/flags.ts'
import { integer, names } from '../../runtime/program/kinds.ts'
import { bundledData, modelDirectory, readRows, readTokenizerFiles } from '../../runtime/program/model.ts'
import { createHost } from '../../targets/node/host.ts'
import type { Case } from './cases.ts'
import { listCases } from './cases.ts'
import type { Program } from './install.ts'
import { PEERS, install } from './install.ts'
import type { CaseResult } from './rounds.ts'
import { runCase } from './rounds.ts'
import type { Report } from './table.ts'
import { formatNumber } from '../../runtime/text/quantity.ts'
import { median } from './ratio.ts'
import { formatReport, replaceTable } from './table.ts'

const ROUNDS_MAX = 1000
const AT_LEAST_MS = 100

const FLAGS: FlagTable = {
  cases: { value: 'NAME,…', default: 'all', help: 'cases whose names begin with one of these' },
  peers: { value: 'NAME,…', default: PEERS.join(','), help: 'peers beside Kerf' },
  rounds: { value: 'N', default: '7', help: 'how often each is asked' },
  lengths: { value: 'FILE', help: 'texts for the ragged case; without it the bundled sentences' },
  model: { value: 'DIR', help: 'directory whose tokenizer counts their tokens; without it the bundled base' },
  json: { default: false, help: 'print all samples as JSON' },
  write: { default: false, help: 'write the table into the README' },
}

type Wanted = { cases: readonly string[]; peers: readonly string[]; rounds: number; lengths?: string; model?: string; json: boolean; write: boolean }

function readFlags(args: readonly string[]): Wanted | 'help' {
  const { values } = parseFlags(FLAGS, args, 0)
  const text = (name: string) => (values[name] === undefined ? undefined : String(values[name]))
  const rounds = String(values.rounds)
  return values.help === true ? 'help' : {
    cases: names.parse(String(values.cases)), peers: names.parse(String(values.peers)),
    rounds: integer(1, ROUNDS_MAX).check(Number(rounds), '--rounds', rounds),
    lengths: text('lengths'), model: text('model'), json: values.json === true, write: values.write === true,
  }
}

async function readLengths({ model, lengths }: Wanted): Promise<number[]> {
  const { files } = createHost()
  const { encode } = createTokenizer(await readTokenizerFiles(files, modelDirectory(files, model)))
  return (await readRows(files, lengths ?? bundledData(files).train)).rows.map(({ text }) => encode(text).length)
}

async function chooseCases(flags: Wanted): Promise<Case[]> {
  const cases = listCases(await readLengths(flags))
  const { cases: wanted } = flags
  if (wanted.includes('all')) return cases
  for (const name of wanted) {
    if (!cases.some((one) => one.name.startsWith(name))) refuse('flag-cases', '--cases', cases.map((one) => one.name).join(', '), name)
  }
  return cases.filter((one) => wanted.some((name) => one.name.startsWith(name)))
}

function choosePeers({ peers }: Wanted): Set<Program> {
  return new Set<Program>(['kerf', ...peers.map((name) => (
    PEERS.find((program) => program === name) ?? refuse('flag-peers', '--peers', PEERS.join(', '), name)))])
}

function describeCommit(): string {
  const git = (...args: string[]) => execFileSync('git', args, { encoding: 'utf8' }).trim()
  return git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain') === '' ? '' : ' with changes')
}

/** The medians as they come, for whoever watches. */
function describeResult({ measured }: CaseResult): string {
  return measured.map(({ id, ms, note }) => `  ${id.padEnd(32)} ${formatNumber(median(ms)).padStart(8)} ms  ${note}\n`).join('')
}

async function compare(flags: Wanted): Promise<void> {
  const { rounds } = flags
  const peers = choosePeers(flags)
  const machine = `${cpus()[0].model.trim()}, ${cpus().length} cores, ${process.platform} ${process.arch}`
  const commit = describeCommit()
  const installed = await install(peers)
  const cases = (await chooseCases(flags)).map((one) => ({ ...one, entries: one.entries.filter(({ program }) => peers.has(program)) }))
  const results: CaseResult[] = []
  for (const one of cases) {
    const begin = performance.now()
    const result = await runCase(one, installed, rounds, AT_LEAST_MS)
    process.stderr.write(`${one.name}: ${((performance.now() - begin) / 1000).toFixed(0)} s\n${describeResult(result)}`)
    results.push(result)
  }
  const report: Report = { machine, commit, rounds, installed, cases, results }
  const table = formatReport(report)
  process.stdout.write(flags.json ? `${JSON.stringify({ machine, commit, rounds, installed, results }, null, 1)}\n` : `${table}\n`)
  if (flags.write) writeFileSync('README.md', replaceTable(readFileSync('README.md', 'utf8'), table))
}

process.chdir(fileURLToPath(new URL('../..', import.meta.url)))
try {
  const flags = readFlags(process.argv.slice(2))
  if (flags === 'help') process.stdout.write(formatHelp('npm run bench:peers -- [FLAG…]', 'Kerf and its peers on the same work, in turn.', FLAGS))
  else await compare(flags)
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = error instanceof KerfError && error.code.startsWith('flag-') ? 2 : 1
}
