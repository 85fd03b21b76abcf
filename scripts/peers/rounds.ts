/**
 * Runs a case: every participant is a process of its own that waits while another one works. All prepare and warm up in
 * turn, those whose outputs differ from the others' are shut out, then turn after turn each is asked once.
 */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Case, Contender, Part } from './cases.ts'
import type { Installed } from './install.ts'
import { chooseReference, findDifference } from './numbers.ts'
import type { Prepared, Reply, Request, Timed } from './protocol.ts'
import type { Measured } from './ratio.ts'

/** A participant that hangs must not hang the comparison. */
const REPLY_TIMEOUT_MS = 10 * 60 * 1000
/** Warm-up requests, beside the runs of preparation: engines compile hot functions once more in the meantime. */
const WARM_UPS = 2
const WARM_UP_MS = 500
/** int8 weights are another computation, and are held to f32 only loosely. */
const INT8_TOLERANCE = 0.05

/** The shorter the steps, the more often the participants change in a round: a busy moment then weighs on all alike. */
const TURNS_MAX = 5
const TURN_MS = 2000

/** A step of this length needs no warm-up to speak of, and no second sample. */
const SLOW_MS = 10_000

export type Participant = { ask<T extends Prepared | Timed>(request: Request): Promise<T>; close(): void }

export type CaseResult = { name: string; measured: readonly Measured[]; absent: readonly { id: string; reason: string }[] }

/** Starts a contender's program, or says why it can't be. */
export function openParticipant({ program, host }: Contender, { hosts, programs }: Installed): Participant | { reason: string } {
  const engine = hosts[host], source = programs[program]
  if ('reason' in source) return source
  if ('reason' in engine) return engine
  const [command, ...flags] = engine.command
  const child = spawn(command, [...flags, source.file], { stdio: ['pipe', 'pipe', 'pipe'] })
  let complaint = ''
  child.stderr.on('data', (data: Buffer) => { complaint = `${complaint}${data.toString()}`.slice(-2000) })
  child.stdin.on('error', () => {})
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const ended = () => new Error(complaint.trim().split('\n').findLast((line) => /error/i.test(line)) ?? 'the process ended')
  return {
    async ask<T extends Prepared | Timed>(request: Request): Promise<T> {
      child.stdin.write(`${JSON.stringify(request)}\n`)
      const timer = setTimeout(() => child.kill('SIGKILL'), REPLY_TIMEOUT_MS)
      const { value, done } = await lines.next()
      clearTimeout(timer)
      if (done) throw ended()
      const reply = JSON.parse(value) as Reply
      if ('error' in reply) throw new Error(reply.error)
      return reply as T
    },
    close: () => { child.kill('SIGKILL') },
  }
}

/** `slowMs`: one step takes so long that it is asked but once. */
type Entrant = { contender: Contender & Part; participant: Participant; prepared: Prepared; stepMs: number; slowMs: number | undefined }

type Absent = { id: string; reason: string }

/** In words that may be published: without this machine's path. */
function reasonOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replaceAll(process.cwd(), '.')
}

async function admit(one: Case, installed: Installed, absent: Absent[]): Promise<Entrant[]> {
  const entrants: Entrant[] = []
  for (const contender of one.entries) {
    const participant = openParticipant(contender, installed)
    if ('reason' in participant) {
      absent.push({ id: contender.id, reason: participant.reason })
      continue
    }
    try {
      const prepared = await participant.ask<Prepared>({ ask: 'prepare', work: contender.work, setting: contender.setting })
      let first: Timed | undefined
      for (let count = 0; count < WARM_UPS && (first?.ms ?? 0) < SLOW_MS; count++) {
        first = await participant.ask<Timed>({ ask: 'time', atLeastMs: WARM_UP_MS })
      }
      const stepMs = first?.ms ?? 0
      entrants.push({ contender, participant, prepared, stepMs, slowMs: stepMs >= SLOW_MS ? stepMs : undefined })
    } catch (error) {
      absent.push({ id: contender.id, reason: reasonOf(error) })
      participant.close()
    }
  }
  return entrants
}

/** Those whose outputs agree with the others' on the same part; the rest are closed and reported. */
function expelWrong(entrants: readonly Entrant[], absent: Absent[]): Entrant[] {
  return entrants.filter(({ contender, participant, prepared }) => {
    const others = entrants.filter((other) => other.contender.label === contender.label)
    const reference = chooseReference(others.map((other) => other.prepared.checks))
    const tolerance = contender.setting.weights === 'int8' ? INT8_TOLERANCE : undefined
    const difference = findDifference(prepared.checks, reference, tolerance)
    if (difference === undefined) return true
    absent.push({ id: contender.id, reason: `computed something else: ${difference}` })
    participant.close()
    return false
  })
}

export async function runCase(one: Case, installed: Installed, rounds: number, atLeastMs: number): Promise<CaseResult> {
  const absent: Absent[] = []
  const admitted = await admit(one, installed, absent)
  try {
    const entrants = expelWrong(admitted, absent)
    const samples = new Map(entrants.map(({ contender }) => [contender.id, [] as number[]]))
    const longestMs = Math.max(1, ...entrants.map(({ stepMs, slowMs }) => (slowMs === undefined ? stepMs : 0)))
    const turns = Math.max(1, Math.min(TURNS_MAX, Math.floor(TURN_MS / longestMs)))
    for (let round = 0; round < rounds * turns; round++) {
      for (const { contender, participant, slowMs } of entrants) {
        samples.get(contender.id)!.push(slowMs ?? (await participant.ask<Timed>({ ask: 'time', atLeastMs })).ms)
      }
    }
    const measured = entrants.map(({ contender: { id, program, host, setting, label, flops }, prepared }): Measured => (
      { id, program, host, setting, label, ms: samples.get(id)!, note: prepared.note, flops: prepared.flops ?? flops }))
    return { name: one.name, measured, absent }
  } finally {
    for (const { participant } of admitted) participant.close()
  }
}
