/**
 * Builds dist/: the kernel's binaries, the command line, its worker, and the files that both read beside them.
 *
 *   npm run build
 *
 * The kernel's targets and options stand in asconfig.json. Prints every file's bytes as they are and gzipped. The files of
 * runtime/kernel/ that follow from the ABI (abi.ts) are written where they are not what the compiler gives; where CI=true
 * nobody would commit them, and the build fails instead.
 */
import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { writeAbi } from './abi.ts'
import type { Abi } from './abi.ts'

const SHEBANG = '#!/usr/bin/env node\n'
/** ws is CommonJS and asks for Node's own modules with require, which a module has not. */
const REQUIRE = `import { createRequire as createBundleRequire } from 'node:module'
const require = createBundleRequire(import.meta.url)`
/** Native speed-ups that ws takes when they are installed. */
const OPTIONAL_NATIVES = ['bufferutil', 'utf-8-validate']
const CHART_ASSETS = ['uPlot.iife.min.js', 'uPlot.min.css']

const PROGRAMS = [
  ['targets/node/main.ts', 'dist/kerf.js', SHEBANG],
  ['targets/node/worker.ts', 'dist/worker.js', ''],
  ['targets/node/thread.ts', 'dist/thread.js', ''],
  ['targets/node/io.ts', 'dist/io.js', ''],
] as const

type Config = { targets: Record<string, { outFile: string }> }

process.chdir(fileURLToPath(new URL('..', import.meta.url)))

/** Prints a row for each target. */
function compileKernel(): void {
  const { targets } = JSON.parse(readFileSync('asconfig.json', 'utf8')) as Config
  const { status, stdout } = spawnSync(process.execPath, ['scripts/compile.mjs'], {
    encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (status !== 0) throw new Error('the kernel did not compile')
  const times = JSON.parse(stdout) as number[]
  Object.values(targets).forEach(({ outFile }, index) => printFile(outFile, times[index]))
}

/** Prints a row for each file that was not what the compiler gives. */
function updateAbi(): void {
  const abi = JSON.parse(readFileSync('dist/abi.json', 'utf8')) as Abi
  for (const [file, text] of writeAbi(abi)) {
    if (existsSync(file) && readFileSync(file, 'utf8') === text) continue
    if (process.env.CI === 'true') throw new Error(`${file}: expected what npm run build makes of the kernel's ABI, got another text`)
    writeFileSync(file, text)
    console.log(`${file.padEnd(30)} written anew, to be committed`)
  }
}

async function bundleProgram(entry: string, outfile: string, firstLine: string): Promise<void> {
  await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    external: OPTIONAL_NATIVES,
    banner: { js: firstLine + REQUIRE },
    logLevel: 'silent',
  })
  if (firstLine === SHEBANG) chmodSync(outfile, 0o755)
}

function copyBundled(): void {
  rmSync('dist/bundled', { recursive: true, force: true })
  cpSync('runtime/bundled', 'dist/bundled', { recursive: true })
}

function printRow(...[file, bytes, gzipped, seconds]: readonly string[]): void {
  console.log(`${file.padEnd(30)} ${bytes.padStart(9)} ${gzipped.padStart(9)} ${seconds.padStart(9)}`)
}

function printFile(file: string, tookMs: number): void {
  const content = readFileSync(file)
  printRow(file, String(content.length), String(gzipSync(content, { level: 9 }).length), (tookMs / 1000).toFixed(2))
}

async function buildAll(): Promise<void> {
  printRow('file', 'bytes', 'gzipped', 'seconds')
  compileKernel()
  updateAbi()
  for (const [entry, outfile, firstLine] of PROGRAMS) {
    const start = performance.now()
    await bundleProgram(entry, outfile, firstLine)
    printFile(outfile, performance.now() - start)
  }
  copyBundled()
  mkdirSync('dist/assets', { recursive: true })
  for (const name of CHART_ASSETS) {
    copyFileSync(`node_modules/uplot/dist/${name}`, `dist/assets/${name}`)
    printFile(`dist/assets/${name}`, 0)
  }
}

try {
  await buildAll()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
