/**
 * Kills the server and its devices again and again, at rounds and moments drawn from a seed, starts each again with the command
 * that it was started with, and compares the adapter with that of a run left alone:
 *
 *   npm run build && node --import tsx scripts/trouble/kills.ts [--kills 50] [--seed 1] [--steps 60]
 *
 * Devices join plainly, without a name or a number: each is known by its key, which its own command finds again.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Random } from '../../runtime/random.ts'
import { createRandom } from '../../runtime/random.ts'
import { decodeSafetensors } from '../../runtime/wire/safetensors.ts'
import type { Party } from './parties.ts'
import { allEnded, hashOf, joinAll, makeRoom, pause, serve, start, until, writeShares } from './parties.ts'

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

async function startAll({ at, steps, serve: more, joins }: KillOptions, out: string): Promise<Party[]> {
  const flags = [...more, '--steps', String(steps), '--clients', String(joins.length), '--checkpoint-every', '1', '--out', out, '--resume']
  const { server, url, port } = await serve([...flags, '--port', '0'], at)
  // Started again, it must be found where it was.
  server.args = ['serve', ...flags, '--port', String(port)]
  return [server, ...await joinAll(url, out, [server], joins, at)]
}

export async function killAtRandom(options: KillOptions): Promise<KillReport> {
  const { at, kills, seed, steps, delayMs = DELAY_MS_MAX, log = () => {} } = options
  const alone = await startAll(options, join(at, 'alone'))
  await allEnded(alone)
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
  await allEnded(parties)
  const seconds = Math.round((performance.now() - begin) / 1000)
  return { killed, seconds, expected: hashOf(join(at, 'alone')), got: hashOf(out) }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { kills: { type: 'string' }, seed: { type: 'string' }, steps: { type: 'string' } } })
  const { kills = '50', seed = '1', steps = '60' } = values
  const at = makeRoom()
  console.log(`seed ${seed}, ${kills} kills, ${steps} steps`)
  const { killed, seconds, expected, got } = await killAtRandom({
    at, kills: Number(kills), seed: Number(seed), steps: Number(steps), log: (line) => console.log(line),
    serve: ['--cuts', '1,2,3', '--batch', '8', '--interval', '10', '--lr', '2e-3', '--deadline-seconds', '120'], joins: writeShares(at, 3),
  })
  console.log(`${got}: ${got === expected ? 'the same bytes' : 'OTHER BYTES'} after ${killed.reduce((sum, count) => sum + count, 0)} kills`
    + ` (server ${killed[0]}, devices ${killed.slice(1).join(', ')}) in ${seconds} s, seed ${seed}`)
  process.exitCode = got === expected ? 0 : 1
}
