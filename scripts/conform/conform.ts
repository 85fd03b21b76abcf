/**
 * Runs one bundle of the conformance suite in every host that is there, and compares their bits.
 *
 *   npm run conform [-- --install] [--host TEXT]… [--build NAME]… [--out FOLDER]
 *
 * Prints a matrix and writes conformance.json and conformance.html to --out (out/). --install first fetches what is missing:
 * npm packages into node_modules/.hosts, and, as root, Debian's. A host that is not there is named with what installs it; it
 * is a failure where CI=true. Exit code 1 where a bit differs, a host fails or one is missing then.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { FOLDER, bundleSuite } from './bundle.ts'
import { describeFailure } from './difference.ts'
import type { Build, Host, Suite } from './host.ts'
import { BUILDS } from './host.ts'
import { describeParts, formatMatrix, formatPage } from './matrix.ts'
import type { Left, Missing, Row } from './matrix.ts'
import { readParts } from './part.ts'
import { folderOf } from './place.ts'
import { readMessages } from './protocol.ts'

process.chdir(fileURLToPath(new URL('../..', import.meta.url)))

/** Each is a process of its own. */
const HOSTS_AT_ONCE = Math.min(2, availableParallelism())

const { values: flags } = parseArgs({
  options: {
    install: { type: 'boolean', default: false }, host: { type: 'string', multiple: true, default: [] },
    build: { type: 'string', multiple: true, default: [] }, out: { type: 'string', default: 'out' },
  },
})

async function listHosts(): Promise<Host[]> {
  const files = readdirSync(new URL('hosts/', import.meta.url)).filter((file) => file.endsWith('.ts')).sort()
  const modules = await Promise.all(files.map((file) => import(new URL(`hosts/${file}`, import.meta.url).href) as Promise<{ HOSTS: readonly Host[] }>))
  const texts = flags.host.map((text) => text.toLowerCase())
  return modules.flatMap(({ HOSTS }) => HOSTS)
    .filter(({ name }) => texts.length === 0 || texts.some((text) => name.toLowerCase().includes(text)))
}

function installPackages(packages: readonly string[], cpu: string | undefined): void {
  if (packages.length === 0) return
  const folder = folderOf(cpu)
  mkdirSync(folder, { recursive: true })
  if (!existsSync(join(folder, 'package.json'))) writeFileSync(join(folder, 'package.json'), '{ "private": true }\n')
  const other = cpu === undefined ? [] : ['--force', `--cpu=${cpu}`]
  const args = ['install', '--no-audit', '--no-fund', '--loglevel=error', ...other, '--prefix', folder, ...packages]
  execFileSync('npm', args, { stdio: ['ignore', 'ignore', 'inherit'] })
}

function installMissing(hosts: readonly Host[]): void {
  const absent = hosts.filter((host) => host.find() === undefined)
  for (const host of absent) host.fetch?.()
  for (const cpu of new Set(absent.map((host) => host.cpu))) {
    installPackages(absent.filter((host) => host.cpu === cpu).flatMap(({ npm = [] }) => npm), cpu)
  }
  const debian = [...new Set(absent.flatMap((host) => host.debian ?? []))]
  if (debian.length === 0) return
  if (process.getuid?.() !== 0) return console.log(`not root: apt-get install ${debian.join(' ')} is left to you`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  execFileSync('apt-get', ['-qq', 'update'], { stdio: ['ignore', 'ignore', 'inherit'], env })
  execFileSync('apt-get', ['-qq', 'install', '-y', '--no-install-recommends', ...debian], { stdio: ['ignore', 'ignore', 'inherit'], env })
}

const PARTS = readParts()

async function runRow(host: Host, version: string, engine: string, build: Build, suite: Suite): Promise<Row> {
  const start = performance.now()
  const base = { host: host.name, version, engine, build, part: 'all' as const, cases: 0, passed: 0, digest: '', ms: 0 }
  try {
    const messages = readMessages(await host.run(suite, build))
    const crash = messages.find((message) => message.kind === 'crash')
    if (crash) return { ...base, verdict: 'failed', differs: crash.error, ms: performance.now() - start }
    const score = messages.find((message) => message.kind === 'score')
    if (!score) throw new Error('expected a score, got none')
    const { kind: _, part = 'all', ...counted } = score
    const first = messages.find((message) => message.kind === 'failure')
    const right = score.cases > 0 && score.passed === score.cases && (build === 'fast' || score.digest === PARTS[part].digest)
    const differs = first && await describeFailure(first)
    return { ...base, ...counted, part, verdict: right ? (build === 'fast' ? 'within tolerance' : 'equal') : 'differs', ...(differs && { differs }) }
  } catch (error) {
    return { ...base, verdict: 'failed', differs: error instanceof Error ? error.message : String(error), ms: performance.now() - start }
  }
}

if (!existsSync('dist/kerf.scalar.wasm')) throw new Error('dist: expected the kernel, which npm run build makes, got none')
const start = performance.now()
const hosts = await listHosts()
if (flags.install) installMissing(hosts)
await bundleSuite()
const suite: Suite = {
  folder: FOLDER, binaries: fileURLToPath(new URL('../../dist', import.meta.url)), scratch: mkdtempSync(join(tmpdir(), 'kerf-conform-')),
}
const missing: Missing[] = [], left: Left[] = []

/** A host's rows, one build after another. */
async function runHost(host: Host): Promise<Row[]> {
  const found = host.find()
  if (found === undefined) {
    missing.push({ host: host.name, install: host.install })
    return []
  }
  if (host.without !== undefined) left.push({ host: host.name, without: host.without })
  const rows: Row[] = []
  for (const build of BUILDS.filter((name) => host.builds.includes(name) && (flags.build.length === 0 || flags.build.includes(name)))) {
    const row = await runRow(host, found.version, found.engine, build, suite)
    rows.push(row)
    console.error(`${host.name} ${build}: ${row.verdict}`)
  }
  return rows
}

const queue = [...hosts].sort((a, b) => Number(b.slow ?? false) - Number(a.slow ?? false))
const done = new Map<Host, Row[]>()

async function runQueue(): Promise<void> {
  for (let host = queue.shift(); host !== undefined; host = queue.shift()) done.set(host, await runHost(host))
}

try {
  await Promise.all(Array.from({ length: HOSTS_AT_ONCE }, runQueue))
} finally {
  rmSync(suite.scratch, { recursive: true, force: true })
}
const rows = hosts.flatMap((host) => done.get(host) ?? [])
const seconds = (performance.now() - start) / 1000
const run = { date: new Date().toISOString().slice(0, 10), parts: PARTS, rows, left, missing, seconds }
mkdirSync(flags.out, { recursive: true })
writeFileSync(join(flags.out, 'conformance.json'), `${JSON.stringify(run, null, 2)}\n`)
writeFileSync(join(flags.out, 'conformance.html'), formatPage(run))
console.log(formatMatrix(rows))
for (const { text } of describeParts(run)) console.log(text)
for (const { host, without } of left) console.log(`${host}, not run: ${without}`)
for (const { host, install } of missing) console.log(`${host}: not here; needs ${install}`)
const wrong = rows.filter(({ verdict }) => verdict === 'differs' || verdict === 'failed').length
const ran = new Set(rows.map(({ host }) => host)).size
console.log(`${ran} hosts, ${rows.length} rows, ${wrong} wrong, ${missing.length} missing; ${seconds.toFixed(0)} s`)
process.exitCode = wrong > 0 || rows.length === 0 || (process.env.CI === 'true' && missing.length > 0) ? 1 : 0
