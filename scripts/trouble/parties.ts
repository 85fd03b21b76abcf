/** Servers and devices as processes that are watched, slowed and killed, and what their runs leave behind. */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const PROGRAM = fileURLToPath(new URL('../../dist/kerf.js', import.meta.url))
const PRELOAD = new URL('./preload.mjs', import.meta.url).href
const EMOTIONS = new URL('../../runtime/bundled/emotions/train.txt', import.meta.url)
const POLL_MS = 10

export type Party = { name: string; args: readonly string[]; child: ChildProcess; ended: boolean; code: number | null; said: string }

/** What is loaded before the program; see preload.mjs. */
export type Trouble = { slow?: number; watch?: string }

/** Of a failure, nothing goes on living. */
const living = new Set<ChildProcess>()
process.on('exit', () => { for (const child of living) child.kill('SIGKILL') })

export const pause = (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms) })

/** An empty directory that goes with this process. */
export function makeRoom(): string {
  const at = mkdtempSync(join(tmpdir(), 'kerf-trouble-'))
  process.on('exit', () => rmSync(at, { recursive: true, force: true }))
  return at
}

/** Starts `kerf …args`; the keys of its devices lie under `at`. */
export function start(name: string, args: readonly string[], at: string, { slow, watch }: Trouble = {}): Party {
  const troubled = slow !== undefined || watch !== undefined
  const env = {
    ...process.env, XDG_CONFIG_HOME: join(at, 'config'), ...(slow === undefined ? {} : { KERF_SLOW: String(slow) }),
    ...(watch === undefined ? {} : { KERF_WATCH: watch }),
  }
  const child = spawn(process.execPath, [...(troubled ? ['--import', PRELOAD] : []), PROGRAM, ...args], { stdio: ['ignore', 'ignore', 'pipe'], env })
  const party: Party = { name, args, child, ended: false, code: null, said: '' }
  child.stderr.setEncoding('utf8').on('data', (text: string) => { party.said += text })
  living.add(child)
  child.on('close', (code) => {
    living.delete(child)
    Object.assign(party, { ended: true, code })
  })
  return party
}

export async function until(condition: () => boolean, what: string, parties: readonly Party[], mayEnd = false): Promise<void> {
  while (!condition()) {
    const failed = parties.find(({ ended, code }) => ended && !(mayEnd && code === 0))
    if (failed) throw new Error(`${what}: ${failed.name} ended with ${failed.code}: ${failed.said.slice(-800)}`)
    await pause(POLL_MS)
  }
}

/** Starts a server; its address once it listens. */
export async function serve(args: readonly string[], at: string, trouble?: Trouble): Promise<{ server: Party; url: string; port: number }> {
  const server = start('server', ['serve', ...args], at, trouble)
  await until(() => /listening on \S+/.test(server.said), 'to listen', [server])
  const [, url, port] = /listening on (ws:\/\/[^ :]+:(\d+))/.exec(server.said)!
  return { server, url, port: Number(port) }
}

/** How many devices' keys a server has written down. */
export function enrolled(out: string): number {
  const path = join(out, 'checkpoint', 'devices.json')
  return existsSync(path) ? Object.keys((JSON.parse(readFileSync(path, 'utf8')) as { devices: object }).devices).length : 0
}

/** Starts devices one after another, so that numbers are the same in every run. */
export async function joinAll(
  url: string, out: string, parties: readonly Party[], joins: readonly (readonly string[])[], at: string, troubles: readonly Trouble[] = [],
): Promise<Party[]> {
  const devices: Party[] = []
  for (const [index, more] of joins.entries()) {
    devices.push(start(`device ${index}`, ['join', url, ...more], at, troubles[index]))
    await until(() => enrolled(out) > index, `device ${index} to join`, [...parties, ...devices])
  }
  return devices
}

export const allEnded = (parties: readonly Party[]): Promise<void> => until(() => parties.every((party) => party.ended), 'to end', parties, true)

export const hashOf = (out: string): string => createHash('sha256').update(readFileSync(join(out, 'adapter_model.safetensors'))).digest('hex')

/** The flags of `count` devices, each with its part of the bundled sentences. */
export function writeShares(at: string, count: number): readonly (readonly string[])[] {
  const lines = readFileSync(fileURLToPath(EMOTIONS), 'utf8').trim().split('\n')
  return Array.from({ length: count }, (_, device) => {
    const file = join(at, `mine.${device}.txt`)
    writeFileSync(file, `${lines.filter((_line, index) => index % count === device).join('\n')}\n`)
    return ['--data', file]
  })
}
