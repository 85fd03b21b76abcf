/**
 * Runs one bundle of the conformance suite in every host that is there, and compares their bits.
 *
 *   npm run conform [-- --install | --install-only] [--host TEXT]… [--build NAME]… [--out FOLDER]
 *
 * Prints a matrix and writes conformance.json and conformance.html to --out (out/). --install first fetches what is missing:
 * npm packages into node_modules/.hosts, and, as root, Debian's; --install-only does no more. A host that is not there is named
 * with what installs it; it is a failure where CI=true. Exit code 1 where a bit differs, a host fails or one is missing then.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Host } from './host.ts'
import { BUILDS } from './host.ts'
import { describeParts, formatMatrix, formatPage } from './matrix.ts'
import type { Left, Missing, Row } from './matrix.ts'
import { folderOf } from './place.ts'
import { EXPECTED_PARTS, listHosts, openSuite, runRow } from './row.ts'

process.chdir(fileURLToPath(new URL('../..', import.meta.url)))

/** Each is a process of its own. */
const HOSTS_AT_ONCE = Math.min(2, availableParallelism())

const { values: flags } = parseArgs({
  options: {
    install: { type: 'boolean', default: false }, 'install-only': { type: 'boolean', default: false }, host: { type: 'string', multiple: true, default: [] },
    build: { type: 'string', multiple: true, default: [] }, out: { type: 'string', default: 'out' },
  },
})

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

const texts = flags.host.map((text) => text.toLowerCase())
const hosts = (await listHosts()).filter(({ name }) => texts.length === 0 || texts.some((text) => name.toLowerCase().includes(text)))
if (flags.install || flags['install-only']) installMissing(hosts)
if (flags['install-only']) process.exit()
const start = performance.now()
const suite = await openSuite()
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
    const row = await runRow(host, found, build, suite)
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
const run = { date: new Date().toISOString().slice(0, 10), parts: EXPECTED_PARTS, rows, left, missing, seconds }
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
