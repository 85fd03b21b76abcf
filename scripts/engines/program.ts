/** A host that is a program: a script in a file goes in, printed lines come out, and the system tells the most memory it held. */
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Ran } from './script.ts'

const TIMEOUT_MS = 300_000
/** A peak is read so often; what is held for less time than this at the end may be missed. */
const LOOK_MS = 5

/** What a program says of itself; null where there is none. */
export function askProgram(program: string, args: readonly string[]): string | null {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8' })
  return error === undefined && status !== null ? stdout + stderr : null
}

/** The most resident bytes so far, where the system has /proc. */
function peakBytes(pid: number): number | null {
  try {
    const kibibytes = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    return kibibytes === undefined ? null : 1024 * Number(kibibytes)
  } catch {
    return null
  }
}

/** Runs `program ...args FILE`. Throws its last words where it fails. */
export async function runProgram(program: string, args: readonly string[], script: string): Promise<Ran> {
  const folder = mkdtempSync(join(tmpdir(), 'kerf-'))
  const file = join(folder, 'script.js')
  writeFileSync(file, script)
  const start = performance.now()
  try {
    const child = spawn(program, [...args, file], { stdio: ['ignore', 'pipe', 'pipe'], timeout: TIMEOUT_MS })
    let output = '', errors = '', heapBytes: number | null = null
    const look = setInterval(() => { heapBytes = peakBytes(child.pid ?? 0) ?? heapBytes }, LOOK_MS)
    child.stdout.setEncoding('utf8').on('data', (text: string) => { output += text })
    child.stderr.setEncoding('utf8').on('data', (text: string) => { errors += text })
    const status = await new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve))
      .finally(() => clearInterval(look))
    const told = (errors.trim() || output.trim().slice(-400)).slice(0, 400)
    if (status !== 0) throw new Error(`${program}: expected exit 0, got ${status}: ${told}`)
    return { lines: output.split('\n').slice(0, -1), seconds: (performance.now() - start) / 1000, heapBytes }
  } finally {
    rmSync(folder, { recursive: true })
  }
}
