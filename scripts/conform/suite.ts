/**
 * The bundle's entry: the same file in every host with WebAssembly. It imports nothing of a host; whoever loads it finds
 * `globalThis.kerfConform` and passes what compiles a binary, prints a line and tells milliseconds.
 */
import './text.ts'
import type { FrameVectors } from '../../runtime/conformance/frames.ts'
import { runFast, runStrict } from '../../runtime/conformance/suite.ts'
import type { SuiteScore } from '../../runtime/conformance/suite.ts'
import type { ExpectedDigests, Failure } from '../../runtime/cases/tally.ts'
import type { Kernel, StartThread, ThreadJob } from '../../runtime/kernel/load.ts'
import { openKernel, runThread } from '../../runtime/kernel/load.ts'
import { formatMessage } from './protocol.ts'
import type { Message } from './protocol.ts'
import type { Published } from './script.ts'

/** Put in by bundle.ts. */
declare const EXPECTED: ExpectedDigests
declare const VECTORS: Published['vectors']

const bytesOf = (hex: string) => Uint8Array.from({ length: hex.length / 2 }, (_, i) => Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16))

export type RunOptions = {
  build: string
  /** Compiles a file of dist/. */
  load(file: string): Promise<WebAssembly.Module>
  print(line: string): void
  now(): number
  /** false runs products in the first inner tile alone, where an emulator would take minutes. */
  tiles?: boolean
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
  const files = VECTORS.files.map(({ hex, ...vector }) => ({ ...vector, bytes: bytesOf(hex) }))
  const vectors: FrameVectors = { expectation: VECTORS.expectation, files }
  const suite = {
    kernel, threads, expected: EXPECTED, vectors, large: true, tiles: build === 'simd' && options.tiles !== false,
    fail: (failure: Failure) => fail({ kind: 'failure', ...failure }),
  }
  return build === 'fast' ? runFast(suite, await openBuild(options, 'scalar', 1)) : runStrict(suite)
}

/** Runs one build and prints what it came to; never throws. */
async function run(options: RunOptions): Promise<void> {
  const print = (message: Message) => options.print(formatMessage(message))
  const start = options.now()
  try {
    const scored = await score(options, print)
    print({ kind: 'score', part: options.build === 'fast' ? 'kernel and models' : 'all', ms: options.now() - start, ...scored })
  } catch (error) {
    print({ kind: 'crash', error: error instanceof Error ? `${error.message}\n${error.stack ?? ''}` : String(error) })
  }
}

export type ConformGlobal = { run: typeof run; runThread: (job: ThreadJob, ready: () => void) => Promise<void> }
;(globalThis as unknown as { kerfConform: ConformGlobal }).kerfConform = { run, runThread }
