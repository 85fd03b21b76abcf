/** Asking engines: a JavaScript host as a command, a browser by a page that sends its outcome back, wabt's interpreter. */
import { spawn, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { IncomingMessage, Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { basename } from 'node:path'
import { refuse } from '../../runtime/error.ts'
import type { Outcome, Outcomes } from './simd.runner.ts'

const OUTPUT_BYTES_MAX = 64 * 1024 ** 2
const BROWSER_TIMEOUT_MS = 120_000

/** What an engine answered; `engine` is what it calls itself, where it does. */
export type Answer = Outcomes & { title: string }
type Told = Outcomes & { engine?: string }

const PAGE = `<!doctype html><meta charset="utf-8"><body><script>
var print = function (line) { fetch('/outcome', { method: 'POST', body: line }) }
</script><script src="/suite.js"></script></body>`

export function runProgram(program: string, args: readonly string[], cwd = '.') {
  return spawnSync(program, args, { cwd, encoding: 'utf8', maxBuffer: OUTPUT_BYTES_MAX })
}

function toAnswer(program: string, line: string): Answer {
  const { simd, relaxed, engine } = JSON.parse(line) as Told
  return { title: `${basename(program)}: ${engine ?? 'tells no version'}`, simd, relaxed }
}

/** @param command gets the script's path as its last argument */
export function askHost(command: readonly string[], script: string): Answer {
  const [program, ...args] = command
  const { status, stdout, stderr, error } = runProgram(program, [...args, script])
  const last = stdout?.trim().split('\n').at(-1) ?? ''
  if (status !== 0 || !last.startsWith('{')) {
    refuse('outside.host', command.join(' '), 'an outcome', error?.message ?? (stderr.trim().split('\n').at(-1) || `exit ${status}`))
  }
  return toAnswer(program, last)
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port))
  })
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > OUTPUT_BYTES_MAX) refuse('outside.host', 'outcome', `at most ${OUTPUT_BYTES_MAX} bytes`, bytes)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** @param command gets the page's address on this machine as its last argument, and is ended when it has answered */
export async function askBrowser(command: readonly string[], script: string): Promise<Answer> {
  const [program, ...args] = command
  let answered: (line: string) => void = () => {}, failed: (error: Error) => void = () => {}
  const outcome = new Promise<string>((resolve, reject) => { [answered, failed] = [resolve, reject] })
  const server = createServer((request, response) => {
    if (request.method === 'POST') {
      readBody(request).then((line) => {
        response.end()
        answered(line)
      }, failed)
    } else if (request.url === '/suite.js') response.setHeader('content-type', 'text/javascript').end(readFileSync(script))
    else response.setHeader('content-type', 'text/html').end(PAGE)
  })
  const port = await listen(server)
  const child = spawn(program, [...args, `http://127.0.0.1:${port}/`], { detached: true, stdio: 'ignore' })
  child.once('error', failed)
  const timer = setTimeout(() => failed(new Error(`no outcome within ${BROWSER_TIMEOUT_MS / 1000} s`)), BROWSER_TIMEOUT_MS)
  try {
    return toAnswer(program, await outcome)
  } catch (error) {
    return refuse('outside.host', command.join(' '), 'an outcome', error instanceof Error ? error.message : error)
  } finally {
    clearTimeout(timer)
    server.close()
    server.closeAllConnections()
    // It leads a process group, with all that it started.
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL')
  }
}

/** wabt's spectest-interp on the JSON files, which asks all by itself. */
export function askInterpreter({ simd, relaxed }: { simd: readonly string[]; relaxed: readonly string[] }): Answer {
  const version = runProgram('wast2json', ['--version']).stdout?.trim()
  return { title: `spectest-interp: wabt ${version}`, simd: interpret(simd), relaxed: interpret(relaxed) }
}

function interpret(files: readonly string[]): Outcome {
  const answer: Outcome = { passed: 0, failed: 0, failures: [] }
  for (const file of files) {
    const { stdout } = runProgram('spectest-interp', ['--enable-relaxed-simd', file])
    const counts = /(\d+)\/(\d+) tests passed/.exec(stdout ?? '')
    if (!counts) return refuse('outside.wabt', `spectest-interp ${basename(file)}`, 'N/N tests passed', stdout?.trim().split('\n').at(-1))
    answer.passed += Number(counts[1])
    answer.failed += Number(counts[2]) - Number(counts[1])
    if (counts[1] !== counts[2]) answer.failures.push(`${basename(file)}: ${counts[0]}`)
  }
  return answer
}
