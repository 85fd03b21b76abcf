/** The whole suite on one build, as one host runs it: kernel cases, models, averages, the wire. */
import { TEAM } from '../kernel/abi.ts'
import { createChecksum } from '../kernel/checksum.ts'
import type { Kernel } from '../kernel/load.ts'
import { PAGE_BYTES, TILES, createMemory, instantiate, instantiateTeam } from '../kernel/load.ts'
import type { Arena } from '../cases/arena.ts'
import { bytesOfCase } from '../cases/arena.ts'
import { runAverageCases } from './averages.ts'
import { CASES } from '../cases/table.ts'
import { FAST_TOLERANCE, FAST_TOLERANCE_MODEL, checkFast, isFusing } from './fast.ts'
import type { FrameVectors } from './frames.ts'
import { runFrameCases } from './frames.ts'
import { runKernelCase, runKernelCases } from '../cases/run.ts'
import { STAGE_CASES, runStageCase } from './stages.ts'
import type { StageCase } from './stages.ts'
import { createTally } from '../cases/tally.ts'
import type { ExpectedDigests, Failure, Finding, Score, Tally } from '../cases/tally.ts'

export type SuiteOptions = {
  /** With a team where `threads` is more than 1. */
  kernel: Kernel
  threads: number
  expected: ExpectedDigests
  vectors: FrameVectors
  /** false leaves the cases of a BERT's size out. */
  large: boolean
  /** The models that are trained, where not all of them that `large` allows. */
  models?: readonly StageCase[]
  /** Whether every inner tile of the product is run, and not the first alone. */
  tiles?: boolean
  /** Hears of every case that fails, in the order of the suite. */
  fail(failure: Failure): void
  /** Hears of every case's digests. */
  published?(name: string, digests: Record<string, string>): void
}

/** `fused` and `gap` of the fast profile alone. */
export type SuiteScore = Score & { fused?: boolean; gap?: number; modelGap?: number }

const SCRATCH_BYTES = 1 << 20

function chooseCases(large: boolean) {
  return CASES.filter((it) => large || !it.large)
}

function chooseModels({ large, models = STAGE_CASES.filter((it) => large || !it.large) }: SuiteOptions) {
  return models
}

/** An instance for the kernel cases, with room for the largest, for a team, and for the probe; `close` ends the team. */
async function openArena(kernel: Kernel, threads: number, large: boolean): Promise<Arena & { close(): void }> {
  const largest = chooseCases(large).reduce((bytes, it) => Math.max(bytes, bytesOfCase(kernel.exports, it)), SCRATCH_BYTES)
  // A team's scratch is larger, and its record lies behind all.
  const team = Math.ceil((largest * 2) / PAGE_BYTES) * PAGE_BYTES
  const memory = createMemory(team / PAGE_BYTES + 1, threads > 1)
  const { buffer } = memory
  if (threads === 1) return { kernel: await instantiate(kernel.module, memory, kernel.tile), buffer, close: () => undefined }
  const exports = await instantiateTeam(kernel, memory, team, threads)
  const blockScratchBytes = (N: number, C: number, H: number, F: number, R: number, T: number, ffnRows: number) =>
    exports.blockScratchBytes(N, C, H, F, R, T, ffnRows, threads)
  return {
    kernel: { ...exports, blockScratchBytes }, buffer,
    close() {
      const jobs = new Int32Array(buffer)[(team + TEAM.fields.job.offset) >> 2]
      exports.dismissTeam()
      // A block that is too small is no job; a suite without any would show nothing of threads.
      if (large && jobs === 0) throw new Error('threaded: expected blocks that the team shares, got none')
    },
  }
}

async function runAll(options: SuiteOptions, take: (finding: Finding) => void): Promise<void> {
  const { kernel, threads, vectors, large } = options
  const arena = await openArena(kernel, threads, large)
  runKernelCases(arena, chooseCases(large), take)
  arena.close()
  for (const it of chooseModels(options)) take(await runStageCase(kernel, it, threads))
  await runAverageCases(kernel, take)
  runFrameCases(vectors, createChecksum(kernel), take)
}

/** What multiplies matrices, and so runs the inner tile. */
const MULTIPLIES = /^(matmul|linear|attention|block)/

/** The other tiles must give the same bits: they count as cases, and add nothing to the digest. */
async function runTiles({ kernel, large }: SuiteOptions, tally: Tally): Promise<void> {
  for (const tile of TILES.slice(1, kernel.exports.tileCount())) {
    const arena = await openArena({ ...kernel, tile }, 1, large)
    const multiplying = chooseCases(large).filter(({ operation }) => MULTIPLIES.test(operation))
    runKernelCases(arena, multiplying, (finding) => tally.repeat(finding, `tile ${tile}`))
  }
}

/** A strict build: every digest is the published one. */
export async function runStrict(options: SuiteOptions): Promise<SuiteScore> {
  const tally = createTally(options.expected, options.fail, options.published)
  await runAll(options, tally.take)
  if (options.tiles) await runTiles(options, tally)
  return tally.finish()
}

/** The fast build beside a strict one of the same host, whose digests have been compared before. */
export async function runFast(options: SuiteOptions, strict: Kernel): Promise<SuiteScore> {
  const { kernel, threads, large, fail } = options
  const tally = createTally({}, () => undefined)
  let passed = 0, gap = 0, modelGap = 0
  const judge = (fast: Finding, reference: Finding, tolerance: number) => {
    tally.take(fast)
    const checked = checkFast(fast, reference, tolerance)
    if (tolerance === FAST_TOLERANCE) gap = Math.max(gap, checked.gap)
    else modelGap = Math.max(modelGap, checked.gap)
    if (checked.failure === null) passed += 1
    else fail(checked.failure)
  }
  const arena = await openArena(kernel, threads, large), reference = await openArena(strict, 1, large)
  const fused = isFusing(arena.kernel, arena.buffer)
  for (const it of chooseCases(large)) judge(runKernelCase(arena, it), runKernelCase(reference, it), FAST_TOLERANCE)
  arena.close()
  for (const it of chooseModels(options)) judge(await runStageCase(kernel, it, threads), await runStageCase(strict, it), FAST_TOLERANCE_MODEL)
  const { cases, digest } = tally.finish()
  return { cases, passed, digest, fused, gap, modelGap }
}
