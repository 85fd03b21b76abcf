/**
 * The bundle's entry: the same file in every host with WebAssembly. It imports nothing of a host; whoever loads it finds
 * `globalThis.kerfConform` and passes what compiles a binary, prints a line and tells milliseconds.
 */
import './text.ts'
import expected from 'kerf:expected'
import vectors from 'kerf:vectors'
import { runFast, runStrict } from '../../runtime/conformance/suite.ts'
import type { SuiteScore } from '../../runtime/conformance/suite.ts'
import type { Kernel, StartThread, ThreadJob } from '../../runtime/kernel/load.ts'
import { openKernel, runThread } from '../../runtime/kernel/load.ts'
import { formatMessage } from './protocol.ts'
import type { Message } from './protocol.ts'

export type RunOptions = {
  build: string
  /** Compiles a file of dist/. */
  load(file: string): Promise<WebAssembly.Module>
  print(line: string): void
  now(): number
  /** Where the host has threads. */
  startThread?: StartThread
}

const THREADS = 2

async function openBuild({ load, startThread }: RunOptions, name: 'scalar' | 'simd' | 'relaxed', threads: number): Promise<Kernel> {
  const module = await load(`kerf.${name}.wasm`)
  if (threads === 1) return openKernel(module, name)
  if (startThread === undefined) throw new Error('threaded: expected a host that starts threads')
  return openKernel(module, name, { team: { module: await load(`kerf.${name}.shared.wasm`), start: startThread } })
}

async function score(options: RunOptions, fail: (message: Message) => void): Promise<SuiteScore> {
  const { build } = options
  const threads = build === 'threaded' ? THREADS : 1
  const kernel = await openBuild(options, build === 'fast' ? 'relaxed' : build === 'scalar' ? 'scalar' : 'simd', threads)
  const suite = {
    kernel, threads, expected, vectors, large: true, tiles: build === 'simd',
    fail: (failure: Parameters<Parameters<typeof runStrict>[0]['fail']>[0]) => fail({ kind: 'failure', ...failure }),
  }
  return build === 'fast' ? runFast(suite, await openBuild(options, 'scalar', 1)) : runStrict(suite)
}

/** Runs one build and prints what it came to; never throws. */
async function run(options: RunOptions): Promise<void> {
  const print = (message: Message) => options.print(formatMessage(message))
  const start = options.now()
  try {
    const scored = await score(options, print)
    print({ kind: 'score', ms: options.now() - start, ...scored })
  } catch (error) {
    print({ kind: 'crash', error: error instanceof Error ? `${error.message}\n${error.stack ?? ''}` : String(error) })
  }
}

export type ConformGlobal = { run: typeof run; runThread: (job: ThreadJob, ready: () => void) => Promise<void> }
;(globalThis as unknown as { kerfConform: ConformGlobal }).kerfConform = { run, runThread }
