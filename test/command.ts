/** The built command line, run as a person runs it. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const PROGRAM = fileURLToPath(new URL('../dist/kerf.js', import.meta.url))
const TIMEOUT_MS = 120_000

export type Outcome = { exitCode: number | null; stdout: string; stderr: string }

/** Runs `kerf …args` in `cwd`; `input` is its stdin. */
export function runKerf(args: readonly string[], { cwd, input = '' }: { cwd?: string; input?: string } = {}): Outcome {
  const { status, stdout, stderr } = spawnSync(process.execPath, [PROGRAM, ...args], { cwd, input, encoding: 'utf8', timeout: TIMEOUT_MS })
  return { exitCode: status, stdout, stderr }
}

/** As runKerf, for a call that must succeed and print JSON. */
export function readKerf<T>(args: readonly string[], options?: { cwd?: string; input?: string }): T {
  const { exitCode, stdout, stderr } = runKerf([...args, '--json'], options)
  if (exitCode !== 0) throw new Error(`kerf ${args.join(' ')}: expected exit 0, got ${exitCode}\n${stderr}`)
  return JSON.parse(stdout) as T
}

/** A directory that goes when the process ends. */
export function makeDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'kerf-'))
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }))
  return directory
}
