/**
 * What the coordinator and a participant say to each other, a JSON object a line, and the participant's side of it.
 * A participant prepares one piece of work and then repeats it when asked; between requests it waits for input.
 */
import { createInterface } from 'node:readline'
import type { Checks } from './numbers.ts'
import type { Work } from './work.ts'

/** How a participant is to do the work: a kernel's build, a number of threads. */
export type Setting = Readonly<Record<string, string | number>>

export type Request = { ask: 'prepare'; work: Work; setting: Setting } | { ask: 'time'; atLeastMs: number }

/** `note` says which of several ways a participant found fastest; `version` what it runs on. */
export type Prepared = { checks: Checks; note: string; version: string; flops?: number }
/** Mean milliseconds of one step. */
export type Timed = { ms: number; runs: number }
export type Reply = Prepared | Timed | { error: string }

/** A piece of work made ready. `steps`, 1 unless given, is how many steps one run takes. */
export type Task = {
  run(): void | Promise<void>
  check(): Checks | Promise<Checks>
  steps?: number
  note?: string
  /** Floating-point operations of one step, where the work itself decides them. */
  flops?: number
}

export type Program = { version: string; prepare(work: Work, setting: Setting): Promise<Task> }

async function timeTask(task: Task, atLeastMs: number): Promise<Timed> {
  const begin = performance.now()
  for (let runs = 1; ; runs++) {
    await task.run()
    const tookMs = performance.now() - begin
    if (tookMs >= atLeastMs) return { ms: tookMs / runs / (task.steps ?? 1), runs }
  }
}

async function answer(program: Program, request: Request, current: Task | undefined): Promise<{ task: Task; reply: Reply }> {
  if (request.ask === 'prepare') {
    const task = await program.prepare(request.work, request.setting)
    await task.run()
    return { task, reply: { checks: await task.check(), note: task.note ?? '', version: program.version, flops: task.flops } }
  }
  if (!current) throw new Error('time: expected a prepared task, got none')
  return { task: current, reply: await timeTask(current, request.atLeastMs) }
}

/** Answers requests until the input ends. */
export async function serve(open: () => Promise<Program>): Promise<void> {
  // Standard output is the protocol's.
  console.log = console.info = console.error
  let program: Program | undefined
  let task: Task | undefined
  for await (const line of createInterface({ input: process.stdin })) {
    let reply: Reply
    try {
      program ??= await open()
      ;({ task, reply } = await answer(program, JSON.parse(line) as Request, task))
    } catch (error) {
      reply = { error: error instanceof Error ? error.message : String(error) }
    }
    process.stdout.write(`${JSON.stringify(reply)}\n`)
  }
  process.exit(0)
}

export type Way = { name: string; run: Task['run'] }

/** Runs of each way after the first; one where a run takes long. */
const TRIES = 4
const LONG_MS = 500

/** The fastest of several ways to do the same, each by the best of a few runs after its first. */
export async function pickFastest<T extends Way>(ways: readonly T[]): Promise<T> {
  let best: { way: T; ms: number } | undefined
  for (const way of ways) {
    await way.run()
    for (let index = 0, ms = 0; index < TRIES && ms < LONG_MS; index++) {
      const begin = performance.now()
      await way.run()
      ms = performance.now() - begin
      if (!best || ms < best.ms) best = { way, ms }
    }
  }
  return best!.way
}
