/**
 * Kills the server and its devices again and again, at rounds and moments drawn from a seed, starts each again with the command
 * that it was started with, and compares the adapter with that of a run left alone:
 *
 *   npm run build && node --import tsx scripts/kills.ts [--kills 50] [--seed 1] [--steps 60]
 *
 * Devices join plainly, without a name or a number: each is known by its key, which its own command finds again.
 */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Random } from '../runtime/random.ts'
import { createRandom } from '../runtime/random.ts'
import { decodeSafetensors } from '../runtime/wire/safetensors.ts'

const PROGRAM = fileURLToPath(new URL('../dist/kerf.js', import.meta.url))
const POLL_MS = 10
/** From the round that a kill waits for to the kill, unless told otherwise, and from the kill to the new start. */
const DELAY_MS_MAX = 600
const PAUSE_MS_MAX = 400
/** The last kill comes with this share of the run before it: whoever is started after the end finds nobody. */
const SHARE_MAX = 0.9

export type KillOptions = {
  /** An empty directory. */
  at: string
  kills: number
  seed: number
  steps: number
  delayMs?: number
  /** Of `kerf serve`, beside steps and what this needs itself. */
  serve: readonly string[]
  /** Of each device's `kerf join`. */
  joins: readonly (readonly string[])[]
  log?(line: string): void
}

export type KillReport = { killed: number[]; seconds: number; expected: string; got: string }

type Party = { name: string; args: readonly string[]; child: ChildProcess; ended: boolean; code: number | null; said: string }

/** Of a failure, nothing goes on living. */
const living = new Set<ChildProcess>()
process.on('exit', () => { for (const child of living) child.kill('SIGKILL') })

const pause = (ms: number) => new Promise<void>((resolve) => { setTimeout(resolve, ms) })

function start(name: string, args: readonly string[], at: string): Party {
  const env = { ...process.env, XDG_CONFIG_HOME: join(at, 'config') }
  const child = spawn(process.execPath, [PROGRAM, ...args], { stdio: ['ignore', 'ignore', 'pipe'], env })
  const party: Party = { name, args, child, ended: false, code: null, said: '' }
  child.stderr.setEncoding('utf8').on('data', (text: string) => { party.said += text })
  living.add(child)
  child.on('close', (code) => {
    living.delete(child)
    Object.assign(party, { ended: true, code })
  })
  return party
}

async function until(condition: () => boolean, what: string, parties: readonly Party[], mayEnd = false): Promise<void> {
  while (!condition()) {
    const failed = parties.find(({ ended, code }) => ended && !(mayEnd && code === 0))
    if (failed) throw new Error(`${what}: ${failed.name} ended with ${failed.code}: ${failed.said.slice(-800)}`)
    await pause(POLL_MS)
  }
}

/** The round of the last checkpoint. Files are replaced whole; while a newer one takes its place there is only the one before it. */
function roundOf(out: string): number {
  for (const name of ['round', 'round.1']) {
    try {
      return Number(decodeSafetensors(new Uint8Array(readFileSync(join(out, 'checkpoint', `${name}.safetensors`)))).metadata.step)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
  return 0
}

function enrolled(out: string): number {
  const path = join(out, 'checkpoint', 'devices.json')
  return existsSync(path) ? Object.keys((JSON.parse(readFileSync(path, 'utf8')) as { devices: object }).devices).length : 0
}

const hashOf = (out: string) => createHash('sha256').update(readFileSync(join(out, 'adapter_model.safetensors'))).digest('hex')

/** The server, and the devices one after another, so that numbers are the same in every run. */
async function startAll({ at, steps, serve, joins }: KillOptions, out: string): Promise<Party[]> {
  const flags = [...serve, '--steps', String(steps), '--clients', String(joins.length), '--checkpoint-every', '1', '--out', out, '--resume']
  const server = start('server', ['serve', ...flags, '--port', '0'], at)
  await until(() => /listening on \S+/.test(server.said), 'to listen', [server])
  const [, url, port] = /listening on (ws:\/\/[^ :]+:(\d+))/.exec(server.said)!
  // Started again, it must be found where it was.
  server.args = ['serve', ...flags, '--port', port]
  const parties = [server]
  for (const [index, more] of joins.entries()) {
    parties.push(start(`device ${index}`, ['join', url, ...more], at))
    await until(() => enrolled(out) > index, `device ${index} to join`, parties)
  }
  return parties
}

const ended = (parties: readonly Party[]) => until(() => parties.every((party) => party.ended), 'to end', parties, true)

export async function killAtRandom(options: KillOptions): Promise<KillReport> {
  const { at, kills, seed, steps, delayMs = DELAY_MS_MAX, log = () => {} } = options
  const alone = await startAll(options, join(at, 'alone'))
  await ended(alone)
  log(`left alone: ${hashOf(join(at, 'alone'))}`)
  const begin = performance.now()
  const random: Random = createRandom(seed, 'shuffle')
  const rounds = Array.from({ length: kills }, () => random.below(Math.ceil(SHARE_MAX * steps))).sort((a, b) => a - b)
  const out = join(at, 'killed')
  const parties = await startAll(options, out)
  const killed = parties.map(() => 0)
  for (const [index, round] of rounds.entries()) {
    await until(() => roundOf(out) >= round, `kill ${index} at round ${round}`, parties)
    await pause(random.below(delayMs))
    const victim = random.below(parties.length)
    const { name, args, child } = parties[victim]
    if (parties[0].ended) throw new Error(`the run ended before kill ${index}`)
    child.kill('SIGKILL')
    killed[victim]++
    log(`${index + 1}: ${name} at round ${roundOf(out)}`)
    await pause(random.below(PAUSE_MS_MAX))
    parties[victim] = start(name, args, at)
  }
  await ended(parties)
  const seconds = Math.round((performance.now() - begin) / 1000)
  return { killed, seconds, expected: hashOf(join(at, 'alone')), got: hashOf(out) }
}

/** A third of the bundled sentences for each device. */
function writeShares(at: string, count: number): readonly (readonly string[])[] {
  const text = readFileSync(fileURLToPath(new URL('../runtime/bundled/emotions/train.txt', import.meta.url)), 'utf8')
  const lines = text.trim().split('\n')
  return Array.from({ length: count }, (_, device) => {
    const file = join(at, `mine.${device}.txt`)
    writeFileSync(file, `${lines.filter((_line, index) => index % count === device).join('\n')}\n`)
    return ['--data', file]
  })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { kills: { type: 'string' }, seed: { type: 'string' }, steps: { type: 'string' } } })
  const { kills = '50', seed = '1', steps = '60' } = values
  const at = mkdtempSync(join(tmpdir(), 'kerf-kills-'))
  process.on('exit', () => rmSync(at, { recursive: true, force: true }))
  console.log(`seed ${seed}, ${kills} kills, ${steps} steps`)
  const { killed, seconds, expected, got } = await killAtRandom({
    at, kills: Number(kills), seed: Number(seed), steps: Number(steps), log: (line) => console.log(line),
    serve: ['--cuts', '1,2,3', '--batch', '8', '--interval', '10', '--lr', '2e-3', '--deadline-seconds', '120'], joins: writeShares(at, 3),
  })
  console.log(`${got}: ${got === expected ? 'the same bytes' : 'OTHER BYTES'} after ${killed.reduce((sum, count) => sum + count, 0)} kills`
    + ` (server ${killed[0]}, devices ${killed.slice(1).join(', ')}) in ${seconds} s, seed ${seed}`)
  process.exitCode = got === expected ? 0 : 1
}
