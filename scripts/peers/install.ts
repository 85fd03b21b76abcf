/**
 * Puts each peer into a folder of its own under build/peers/, in an exact version, without running its install scripts,
 * and bundles the participants beside them. Nothing here touches the project's own dependencies.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'
import { scriptArgs } from '../runtime.ts'
import { openTorch } from './torch.ts'

export const FOLDER = 'build/peers'

export const PEERS = ['tfjs', 'ort-web', 'jax', 'ort-native', 'torch'] as const
export type Peer = (typeof PEERS)[number]
export type Program = 'kerf' | Peer
export type Host = 'node' | 'node26' | 'node26-revec' | 'deno' | 'bun' | 'python'

type Package = readonly [name: string, version: string]

const NODE26 = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`
const DENO = `${process.platform}-${process.arch}${process.platform === 'linux' ? '-glibc' : ''}`
const BUN = `bun-${process.platform}-${process.arch === 'arm64' ? 'aarch64' : process.arch}`

/** Packages by folder: programs, and engines to run them on. */
const PACKAGES: Readonly<Record<string, readonly Package[]>> = {
  tfjs: ['tfjs-core', 'tfjs-layers', 'tfjs-backend-wasm', 'tfjs-backend-cpu'].map((name) => [`@tensorflow/${name}`, '4.22.0']),
  'ort-web': [['onnxruntime-web', '1.30.0']],
  'ort-native': [['onnxruntime-node', '1.30.0']],
  jax: [['@jax-js/jax', '0.1.25']],
  node26: [[NODE26, '26.10.0']],
  deno: [[`@deno/${DENO}`, '2.9.6']],
  bun: [[`@oven/${BUN}`, '1.4.5']],
}

/** Flags of an engine that its default leaves off: relaxed SIMD came with Node 21, revectorization is experimental. */
const RELAXED = Number(process.versions.node.split('.')[0]) < 21 ? ['--experimental-wasm-relaxed-simd'] : []
const REVECTORIZE = ['--experimental-wasm-revectorize']

export type Installed = {
  /** What each host's programs are started with, or why it is not there. */
  hosts: Readonly<Record<Host, { command: readonly string[]; title: string } | { reason: string }>>
  programs: Readonly<Record<Program, { file: string; title: string } | { reason: string }>>
}

function versionIn(folder: string, name: string): string | undefined {
  const manifest = join(folder, 'node_modules', name, 'package.json')
  return existsSync(manifest) ? (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version : undefined
}

/** Why the packages of `folder` cannot be had, or undefined where they lie there. */
function installPackages(name: string): string | undefined {
  const folder = join(FOLDER, name)
  const packages = PACKAGES[name]
  if (packages.every(([wanted, version]) => versionIn(folder, wanted) === version)) return undefined
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify({ private: true, dependencies: Object.fromEntries(packages) })}\n`)
  process.stderr.write(`installing ${packages.map((wanted) => wanted.join('@')).join(', ')}\n`)
  const { status, stderr, error } = spawnSync('npm',
    ['install', '--ignore-scripts', '--no-package-lock', '--no-audit', '--no-fund', '--loglevel=error'],
    { cwd: folder, encoding: 'utf8', shell: process.platform === 'win32' })
  if (status === 0) return undefined
  const lines = (error?.message ?? stderr).trim().split('\n')
  return `not installed: ${lines.find((line) => line.includes('ERR') || line.includes('error')) ?? 'npm failed'}`
}

/** The engine in `folder`, as `path --version` answers, or why it does not. */
function openEngine(folder: string, path: string, run: readonly string[], flags: readonly string[], title: (version: string) => string) {
  const reason = installPackages(folder)
  if (reason !== undefined) return { reason }
  const program = join(process.cwd(), FOLDER, folder, 'node_modules', path)
  const { status, stdout, error } = spawnSync(program, ['--version'], { encoding: 'utf8' })
  if (status !== 0) return { reason: `does not run: ${error?.message ?? `exit ${status}`}` }
  const version = /\d+\.\d+\.\d+/.exec(stdout)?.[0] ?? '?'
  return { command: [program, ...run, ...flags], title: [title(version), ...flags].join(' ') }
}

function openHosts(python: string | undefined): Installed['hosts'] {
  const node26 = (flags: readonly string[]) => openEngine('node26', `${NODE26}/bin/node`, [], flags, (version) => `Node ${version}`)
  return {
    node: { command: [process.execPath, ...RELAXED], title: [`Node ${process.versions.node}`, ...RELAXED].join(' ') },
    node26: node26([]),
    'node26-revec': node26(REVECTORIZE),
    deno: openEngine('deno', `@deno/${DENO}/deno`,
      ['run', '--allow-all', '--no-lock', '--node-modules-dir=manual'], [], (version) => `Deno ${version}`),
    bun: openEngine('bun', `@oven/${BUN}/bin/bun`, [], [], (version) => `Bun ${version}`),
    python: python === undefined ? { reason: 'no Python with torch' } : { command: [python], title: 'Python' },
  }
}

async function bundle(program: string, folder: string): Promise<string> {
  const outfile = join(FOLDER, folder, `${program}.mjs`)
  await build({
    entryPoints: [`scripts/peers/${program}.ts`], outfile, bundle: true,
    format: 'esm', platform: 'node', target: 'node20', logLevel: 'error',
  })
  return outfile
}

async function openProgram(program: string, source: string, title: string): Promise<Installed['programs'][Program]> {
  const reason = installPackages(program)
  if (reason !== undefined) return { reason }
  const version = PACKAGES[program][0][1]
  return { file: await bundle(source, program), title: `${title} ${version}` }
}

/** Installs and bundles what `wanted` names; everything else is left out with that reason. */
export async function install(wanted: ReadonlySet<Program>): Promise<Installed> {
  execFileSync(process.execPath, scriptArgs('scripts/build.ts'), { stdio: ['ignore', 'ignore', 'inherit'] })
  const torch = wanted.has('torch') ? openTorch() : { reason: 'not asked for' }
  const open = async (program: Program, make: () => Promise<Installed['programs'][Program]>) => (
    wanted.has(program) ? make() : { reason: 'not asked for' })
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
  return {
    hosts: openHosts('python' in torch ? torch.python : undefined),
    programs: {
      kerf: await open('kerf', async () => ({ file: await bundle('kerf', 'kerf'), title: `Kerf ${version}` })),
      tfjs: await open('tfjs', () => openProgram('tfjs', 'tfjs', 'TensorFlow.js wasm')),
      'ort-web': await open('ort-web', () => openProgram('ort-web', 'ort', 'ONNX Runtime Web')),
      'ort-native': await open('ort-native', () => openProgram('ort-native', 'ort', 'ONNX Runtime native')),
      jax: await open('jax', () => openProgram('jax', 'jax', 'jax-js')),
      torch: 'python' in torch ? { file: 'scripts/peers/pytorch.py', title: torch.title } : torch,
    },
  }
}
