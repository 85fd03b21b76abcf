/** Runs a host's command and gives the lines it printed; a host that fails or hangs is named with what it said. */
import { execFileSync, spawn } from 'node:child_process'
import type { SpawnOptions } from 'node:child_process'

const TIMEOUT_MS = 240_000
const SAID_CHARACTERS = 2000

export type Command = { file: string; args: readonly string[]; cwd?: string; env?: Record<string, string>; timeoutMs?: number }

/** Whatever the exit code, when `tolerant`; stdout's lines. */
export function runCommand({ file, args, cwd, env, timeoutMs = TIMEOUT_MS }: Command): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const options: SpawnOptions = { cwd, env: { ...process.env, NO_COLOR: '1', ...env }, stdio: ['ignore', 'pipe', 'pipe'] }
    const child = spawn(file, args, options)
    let out = '', said = ''
    child.stdout!.setEncoding('utf8').on('data', (chunk: string) => { out += chunk })
    child.stderr!.setEncoding('utf8').on('data', (chunk: string) => { said = (said + chunk).slice(-SAID_CHARACTERS) })
    const timer = setTimeout(() => {
      said += `\nexpected an end within ${timeoutMs / 1000} s`
      child.kill('SIGKILL')
    }, timeoutMs)
    child.once('error', reject)
    child.once('close', (code, signal) => {
      clearTimeout(timer)
      if (code === 0) resolve(out.split('\n'))
      else reject(new Error(`${file}: expected exit code 0, got ${code ?? signal}\n${out.slice(-SAID_CHARACTERS)}\n${said}`))
    })
  })
}

/** What a command prints at once, or undefined where there is no such command. */
export function askCommand(file: string, args: readonly string[]): string | undefined {
  try {
    return execFileSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout: 20_000, env: { ...process.env, NO_COLOR: '1' } }).trim()
  } catch {
    return undefined
  }
}

/** The first version number in a text. */
export function versionIn(text: string): string {
  return /\d+(?:\.\d+)+/.exec(text)?.[0] ?? text.slice(0, 40)
}
