/**
 * Builds, then runs the type check, tidy and every *.test.ts under test/, each in its own process.
 *
 *   npm test [-- TEXT…]     only checks and files whose names contain one of the texts
 *
 * The last line is `N passed, N failed`, with `, N skipped` where tests said that they cannot run here (test/skip.ts);
 * KERF_REQUIRE_ALL=1 makes each of those a failure, but for optional ones. The type check and tidy count as one test each.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { scriptArgs } from './runtime.ts'
import { readCounts } from './test.count.ts'
import type { Counts } from './test.count.ts'

const AT_ONCE = 2
/** A file that hangs must not hang a machine that nobody watches. */
const FILE_TIMEOUT_MS = 20 * 60 * 1000

type Job = { name: string; args: readonly string[]; count: (output: string, exitCode: number | null) => Counts }

process.chdir(fileURLToPath(new URL('..', import.meta.url)))
const requireAll = process.env.KERF_REQUIRE_ALL === '1'
const running = new Set<ChildProcess>()
const total = { passed: 0, failed: 0, skipped: 0 }

function countCheck(_output: string, exitCode: number | null): Counts {
  return { passed: exitCode === 0 ? 1 : 0, failed: exitCode === 0 ? 0 : 1, skipped: 0, notes: [] }
}

function countTests(output: string, exitCode: number | null): Counts {
  return readCounts(output, exitCode, requireAll)
}

const BUILD: Job = { name: 'build', args: scriptArgs('scripts/build.ts'), count: countCheck }
const CHECKS: readonly Job[] = [
  { name: 'types', args: ['node_modules/typescript/bin/tsc', '--noEmit'], count: countCheck },
  { name: 'tidy', args: scriptArgs('scripts/tidy/tidy.ts'), count: countCheck },
]

function findTests(): Job[] {
  const files = readdirSync('test', { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.test.ts'))
  return files.sort().map((file) => ({ name: `test/${file}`, args: scriptArgs(`test/${file}`), count: countTests }))
}

/** Ends a child and all that it started: each child leads a process group. */
function stop(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
  } catch {
    // It ended by itself.
  }
}

function runJob(job: Job): Promise<{ output: string; exitCode: number | null }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, job.args, {
      detached: true, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, NO_COLOR: '1' },
    })
    running.add(child)
    let output = ''
    const collect = (chunk: string) => { output += chunk }
    child.stdout.setEncoding('utf8').on('data', collect)
    child.stderr.setEncoding('utf8').on('data', collect)
    const timer = setTimeout(() => {
      output += `\n${job.name}: expected an end within ${FILE_TIMEOUT_MS / 1000} s, got none\n`
      stop(child)
    }, FILE_TIMEOUT_MS)
    child.on('close', (exitCode) => {
      clearTimeout(timer)
      running.delete(child)
      resolve({ output, exitCode })
    })
  })
}

/** Runs one job, prints its line, and all its output where it failed. */
async function runAndReport(job: Job): Promise<Counts> {
  const start = performance.now()
  const { output, exitCode } = await runJob(job)
  const counts = job.count(output, exitCode)
  const seconds = ((performance.now() - start) / 1000).toFixed(1)
  const ran = counts.passed + counts.failed + counts.skipped
  const verdict = counts.failed > 0 ? 'FAIL' : 'ok  '
  console.log(`${verdict} ${job.name.padEnd(40)} ${`${counts.passed}/${ran}`.padStart(9)} ${seconds.padStart(7)} s`)
  for (const note of counts.notes) console.log(`     ${note}`)
  if (counts.failed > 0) console.log(`${output.trimEnd().replace(/^/gm, '     ')}\n`)
  return counts
}

async function runQueue(queue: Job[]): Promise<void> {
  for (let job = queue.shift(); job !== undefined; job = queue.shift()) {
    const counts = await runAndReport(job)
    total.passed += counts.passed
    total.failed += counts.failed
    total.skipped += counts.skipped
  }
}

async function runAll(texts: readonly string[]): Promise<void> {
  const chosen = [...CHECKS, ...findTests()].filter(({ name }) => texts.length === 0 || texts.some((text) => name.includes(text)))
  const built = await runAndReport(BUILD)
  if (built.failed > 0) total.failed += 1
  else if (chosen.length === 0) {
    console.log(`expected a test whose name contains ${texts.join(' or ')}, got none`)
    total.failed += 1
  } else await Promise.all(Array.from({ length: AT_ONCE }, () => runQueue(chosen)))
  console.log(`${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ''}`)
  process.exitCode = total.failed > 0 ? 1 : 0
}

for (const [signal, exitCode] of [['SIGINT', 130], ['SIGTERM', 143]] as const) {
  process.on(signal, () => {
    running.forEach(stop)
    process.exit(exitCode)
  })
}
await runAll(process.argv.slice(2))
