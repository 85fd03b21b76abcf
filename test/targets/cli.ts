/** `kerf` as a process that a test watches, signals and kills, and what its runs leave behind. */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { programArgs } from '../../scripts/runtime.ts'
import type { Outcome } from '../command.ts'
import { makeDirectory } from '../command.ts'
import { makeTinyData, makeTinyModel } from '../tiny.ts'

/** Keys of the devices that tests start are none of this user's. */
process.env.XDG_CONFIG_HOME = makeDirectory()

export const PROGRAM = fileURLToPath(new URL('../../dist/kerf.js', import.meta.url))
/** `kerf` as a shell or another program starts it. */
export const CALL: readonly string[] = [process.execPath, ...programArgs(PROGRAM)]
export const SHELL_CALL = CALL.map((word) => `'${word}'`).join(' ')
/** Generous: the machine may be busy. */
const TIMEOUT_MS = 120_000
const POLL_MS = 2

export type Process = {
  child: ChildProcess
  stdout(): string
  stderr(): string
  /** Ends with the process; `exitCode` is null after a signal. */
  ended: Promise<Outcome>
  /** Waits until stderr matches; throws when the process ends before. */
  until(pattern: RegExp): Promise<RegExpMatchArray>
  /** Waits until `condition` holds or the process has ended; whether it holds. */
  when(condition: () => boolean): Promise<boolean>
  kill(signal?: NodeJS.Signals): void
}

const children = new Set<ChildProcess>()
process.on('exit', killAll)

/** Ends what a test that failed has left running. */
export function killAll(): void {
  for (const child of children) child.kill('SIGKILL')
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => { setTimeout(resolve, ms) })
}

/** Starts `command …args`; it is killed when this process ends or after the time limit. */
export function startProcess(command: string, args: readonly string[], cwd?: string): Process {
  const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] })
  children.add(child)
  let stdout = '', stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => { stdout += text })
  child.stderr.setEncoding('utf8').on('data', (text: string) => { stderr += text })
  const timer = setTimeout(() => child.kill('SIGKILL'), TIMEOUT_MS)
  let over = false
  const ended = new Promise<Outcome>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (exitCode) => {
      clearTimeout(timer)
      children.delete(child)
      over = true
      resolve({ exitCode, stdout, stderr })
    })
  })
  const when = async (condition: () => boolean): Promise<boolean> => {
    while (!condition()) {
      if (over) return condition()
      await pause(POLL_MS)
    }
    return true
  }
  return {
    child, ended, when, stdout: () => stdout, stderr: () => stderr,
    async until(pattern) {
      if (!(await when(() => pattern.test(stderr)))) throw new Error(`stderr: expected ${pattern}, got\n${stderr}`)
      return stderr.match(pattern)!
    },
    // Deno calls a child that it has sent a signal to ended by it, whatever its exit code.
    kill(signal = 'SIGKILL') {
      if (!over) process.kill(child.pid!, signal)
    },
  }
}

export function startKerf(args: readonly string[], cwd?: string): Process {
  return startProcess(process.execPath, [PROGRAM, ...args], cwd)
}

/** A run of `kerf` that must end with `exitCode`. */
export async function callKerf(args: readonly string[], exitCode = 0): Promise<Outcome> {
  const outcome = await startKerf(args).ended
  if (outcome.exitCode === exitCode) return outcome
  throw new Error(`kerf ${args.join(' ')}: expected exit ${exitCode}, got ${outcome.exitCode}\n${outcome.stderr}`)
}

export type MetricsLine = {
  event: 'step' | 'eval'
  round: number
  client: number
  step: number
  loss: number
  accuracy: number
  macroF1: number
}

export const adapterFile = (out: string) => join(out, 'adapter_model.safetensors')
export const metricsFile = (out: string) => join(out, 'metrics.jsonl')
export const checkpointFile = (out: string) => join(out, 'checkpoint', 'round.safetensors')

export function readMetrics(out: string): MetricsLine[] {
  const text = readFileSync(metricsFile(out), 'utf8')
  if (!text.endsWith('\n')) throw new Error(`${metricsFile(out)}: expected a line end at the end`)
  return text.trimEnd().split('\n').map((line) => JSON.parse(line) as MetricsLine)
}

/** The bytes that two equal runs share: the adapter and its metrics. */
export function readResult(out: string): { adapter: string; metrics: string } {
  return { adapter: readFileSync(adapterFile(out)).toString('base64'), metrics: readFileSync(metricsFile(out), 'utf8') }
}

const OUTPUTS = [
  'adapter_config.json', 'adapter_model.safetensors', 'labels.json', 'metrics.jsonl', 'report.json', 'report.html',
  'checkpoint/round.safetensors',
]

/** All files of a run that must survive a call that fails, by name. */
export function readFiles(out: string): Record<string, string> {
  const present = OUTPUTS.filter((name) => existsSync(join(out, name)))
  return Object.fromEntries(present.map((name) => [name, readFileSync(join(out, name)).toString('base64')]))
}

export const LABELS = ['anger', 'fear', 'joy']

/** A directory with a tiny model, 48 rows to train and 20 to measure on. */
export function makeRoom(): { at: string; model: string; data: string; val: string } {
  const at = makeDirectory()
  const room = { at, model: join(at, 'model'), data: join(at, 'train.txt'), val: join(at, 'val.txt') }
  makeTinyModel(room.model)
  makeTinyData(room.data, 48, LABELS)
  makeTinyData(room.val, 20, LABELS, 5)
  return room
}

export function flagsOf(values: Readonly<Record<string, string | number | boolean>>): string[] {
  return Object.entries(values).flatMap(([name, value]) => (
    value === false ? [] : value === true ? [`--${name}`] : [`--${name}`, String(value)]))
}
