/**
 * The device profile of `kerf bench` on every host that is here: runtimes, browsers, shells, and engines without WebAssembly, which
 * run the scalar kernel as JavaScript.
 *
 *   npm run bench:hosts [-- --host TEXT]… [--out FOLDER]        after npm run build; hosts as `npm run conform -- --install` brings them
 *
 * Writes a profile for each host and size to --out (out/hosts/), as `kerf bench --json` does and `kerf plan --device` reads, and
 * prints a table in Markdown: GFLOP/s of the widest product, x [20, C] by w [F, C], and tokens a second of a training step of a device
 * that holds the first block. One host after another, on one thread; a host that is not here, or that can't be measured, is named.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { build } from 'esbuild'
import type { DeviceProfile, HostInfo } from '../runtime/model/profile.ts'
import { formatProfile, parseProfile } from '../runtime/model/profile.ts'
import { bundleSuite } from './conform/bundle.ts'
import type { Host, Suite } from './conform/host.ts'
import type { Size } from './conform/measure.ts'
import { SIZES, readProfiles } from './conform/measure.ts'
import { readMessages } from './conform/protocol.ts'
import { listHosts } from './conform/row.ts'
import { bundleScript } from './embedded.bundle.ts'
import type { ScriptHost } from './engines/script.ts'
import { openHost } from './engines/script.ts'
import { SCRIPT_HOSTS } from './engines/scripts.ts'

process.chdir(fileURLToPath(new URL('..', import.meta.url)))

const BINARIES = 'dist'
const FOLDER = 'dist/measure/'
const BUILDS = ['scalar', 'simd', 'relaxed'] as const
const MACHINE = `${cpus()[0]?.model ?? 'unknown'}, ${cpus().length} cores, ${process.platform}`

const { values: flags } = parseArgs({
  options: { host: { type: 'string', multiple: true, default: [] }, out: { type: 'string', default: 'out/hosts' } },
})
const texts = flags.host.map((text) => text.toLowerCase())
const isChosen = ({ name }: { name: string }) => texts.length === 0 || texts.some((text) => name.toLowerCase().includes(text))

/** What a host of the matrix and an engine of scripts have in common here. */
type Measured = { name: string; version: string; build: string; profiles: DeviceProfile[] }

const bytesOf = (name: string) => statSync(`${BINARIES}/kerf.${name}.wasm`).size

/** The suite's drivers, with the measurement in the suite's place. */
async function openSuite(): Promise<Suite> {
  await bundleSuite(FOLDER)
  const sizes = Object.fromEntries(BUILDS.map((name) => [`kerf.${name}.wasm`, bytesOf(name)]))
  await build({
    entryPoints: ['scripts/conform/measure.suite.ts'], outfile: `${FOLDER}suite.js`, allowOverwrite: true, bundle: true, format: 'iife',
    target: 'es2020', platform: 'neutral', define: { BYTES: JSON.stringify(sizes) }, logLevel: 'silent',
  })
  const at = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url))
  return { folder: at(FOLDER), binaries: at(BINARIES), scratch: mkdtempSync(join(tmpdir(), 'kerf-measure-')) }
}

async function measureHost(host: Host, suite: Suite): Promise<Measured | string> {
  const found = host.find()
  if (!found) return `not here; needs ${host.install}`
  const name = host.builds.includes('simd') ? 'simd' : host.builds[0]
  const lines = await host.run(suite, name)
  const crash = readMessages(lines).find((message) => message.kind === 'crash')
  if (crash) return crash.error.split('\n')[0]
  return { name: host.name, version: `${found.version}, ${found.engine}`, build: name, profiles: readProfiles(lines) }
}

async function measureScript(host: ScriptHost, script: string): Promise<Measured | string> {
  const found = await openHost(host)
  if (!found) return `not here; needs ${host.installedBy}`
  const { lines } = await found.run(`${script}\nkerf.measure(${bytesOf('scalar')}, print)`)
  const failed = lines.find((line) => line.startsWith('failed '))
  if (failed !== undefined) return failed
  return { name: host.name, version: found.version, build: 'wasm2js', profiles: readProfiles(lines) }
}

/** Writes what was measured, as it is read again. */
function keep({ name, version, build: by, profiles }: Measured): Measured {
  const kept = profiles.map((profile) => {
    const host: HostInfo = { ...profile.host, name, version, machine: MACHINE }
    const text = formatProfile({ ...profile, host, kernel: { ...profile.kernel, build: by } })
    const file = join(flags.out, `${name.toLowerCase().replaceAll(' ', '-')}.${profile.step.model.toLowerCase()}.json`)
    writeFileSync(file, text)
    return parseProfile(readFileSync(file, 'utf8'), file)
  })
  return { name, version, build: by, profiles: kept }
}

const digits = (value: number) => (value >= 1000 ? Math.round(value).toLocaleString('en') : value.toPrecision(3))

function cellsOf({ profiles }: Measured, size: Size): string[] {
  const profile = profiles.find(({ step }) => step.model === `BERT-${size}`)
  if (!profile) return ['–', '–']
  const product = profile.operations.find(({ operation }) => operation === 'matmul')!
  const { rows, forwardMs, backwardMs } = profile.steps[profile.steps.length - 1]
  return [digits(product.gflops), digits((1000 * rows) / (forwardMs + backwardMs))]
}

const measured: Measured[] = [], unmeasured: [name: string, why: string][] = []

async function take(host: { name: string }, run: () => Promise<Measured | string>): Promise<void> {
  const outcome = await run().catch((error: unknown) => (error instanceof Error ? error.message : String(error)))
  const why = typeof outcome === 'string' ? outcome : outcome.profiles.length === 0 ? 'it printed no profile' : null
  if (typeof outcome === 'string' || why !== null) unmeasured.push([host.name, why!])
  else measured.push(keep(outcome))
  console.error(`${host.name}: ${why ?? 'measured'}`)
}

mkdirSync(flags.out, { recursive: true })
const suite = await openSuite()
const runsScripts = new Set(SCRIPT_HOSTS.map(({ name }) => name))
try {
  // Where there is no JavaScript there is no clock, and an emulator's speed is nobody's.
  const hosts = (await listHosts()).filter((host) => isChosen(host) && !runsScripts.has(host.name) && !host.tape && host.cpu === undefined)
  for (const host of hosts) await take(host, () => measureHost(host, suite))
  const scripts = SCRIPT_HOSTS.filter(isChosen)
  const script = scripts.length === 0 ? '' : await bundleScript({ entry: 'scripts/conform/measure.script.ts', name: 'kerf' })
  for (const host of scripts) await take(host, () => measureScript(host, script))
} finally {
  rmSync(suite.scratch, { recursive: true, force: true })
}
const { tiny, base } = SIZES
const head = [
  'host', 'kernel', '20 × 128 → 512, GFLOP/s', `BERT-tiny, ${tiny.batch} text of ${tiny.length}, tokens/s`, '20 × 768 → 3072, GFLOP/s',
  `BERT-base, ${base.batch} texts of ${base.length}, tokens/s`,
]
console.log(`| ${head.join(' | ')} |\n|${'---|'.repeat(head.length)}`)
for (const one of measured) {
  console.log(`| ${one.name} ${one.version.split(',')[0]} | ${one.build} | ${[...cellsOf(one, 'tiny'), ...cellsOf(one, 'base')].join(' | ')} |`)
}
for (const [name, why] of unmeasured) console.log(`${name}: ${why}`)
process.exitCode = measured.length === 0 ? 1 : 0
