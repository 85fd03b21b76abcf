/**
 * The bench of the day: how large the kernel is, and how soon a text has its label.
 *
 *   npm run build && npm run bench [-- --json]
 *
 * Each sample comes from a fresh process, builds in turn, because V8 keeps what it compiled once. Milliseconds,
 * medians of 7:
 *   compile   WebAssembly.compile of the binary, and an instance on one page
 *   open      instantiation, and the bundled base read from disk, widened to f32 and checked
 *   first     one text of about 20 tokens through all blocks; V8 may still compile functions on their first call
 *   warm      the same text again: the median of 21 runs
 *   process   `kerf infer` on that text, from the start of the runtime to its exit
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { median } from '../runtime/bench/measure.ts'
import { formatColumns } from '../runtime/text/columns.ts'
import { openEvaluator } from '../runtime/model/evaluate.ts'
import { initialVector } from '../runtime/model/initial.ts'
import { formatNumber } from '../runtime/text/quantity.ts'
import { createChecksum } from '../runtime/kernel/checksum.ts'
import type { KernelBuild } from '../runtime/kernel/load.ts'
import { loadKernel } from '../runtime/kernel/load.ts'
import { layoutOf } from '../runtime/model/layout.ts'
import type { AdapterConfig } from '../runtime/model/peft.ts'
import { createHost, findAsset } from '../targets/node/host.ts'
import { RUNTIME_TITLE } from './runtime.ts'
import { modelDirectory, openModel, openTokenizer, writeAdapter } from '../runtime/program/model.ts'

const { files } = createHost()
const BUILDS: readonly KernelBuild[] = ['scalar', 'simd']
const SAMPLES = 7
const WARM_RUNS = 21
const TEXT = 'i feel so happy today because my friends came over and we made dinner together at home again'
const LABELS = ['sadness', 'joy', 'love', 'anger', 'fear', 'surprise']
const ADAPTER: AdapterConfig = { rank: 8, alpha: 16, targets: ['query', 'value'] }
const LENGTH_MAX = 128

const TIMES = ['compile', 'open', 'first', 'warm', 'process'] as const
type Sample = Record<(typeof TIMES)[number], number>

async function timeMs<T>(work: () => T | Promise<T>): Promise<{ result: T; ms: number }> {
  const begin = performance.now()
  const result = await work()
  return { result, ms: performance.now() - begin }
}

/** Kernel, model and an untrained adapter, as `kerf infer` has them, and what two of the steps took. */
async function openAll(build: KernelBuild) {
  const bytes = readFileSync(findAsset(`kerf.${build}.wasm`))
  const compile = await timeMs(() => loadKernel(bytes, build))
  const kernel = compile.result
  const model = await openModel(files, modelDirectory(files, undefined), createChecksum(kernel))
  const layout = layoutOf(model.config, ADAPTER, LABELS.length, 0, model.config.layers)
  const vector = initialVector(layout, 1, kernel.exports)
  const open = await timeMs(() => openEvaluator(kernel, model.config, model.weights, ADAPTER, LABELS.length, LENGTH_MAX))
  return { model, layout, vector, evaluator: open.result, compileMs: compile.ms, openMs: open.ms }
}

/** Everything but `process`, in this process. */
async function sampleHere(build: KernelBuild): Promise<Omit<Sample, 'process'>> {
  const { model, vector, evaluator, compileMs, openMs } = await openAll(build)
  const ids = (await openTokenizer(files, model)).encode(TEXT)
  const run = () => timeMs(() => evaluator.classify(ids, vector))
  const first = await run()
  const warm: number[] = []
  for (let index = 0; index < WARM_RUNS; index++) warm.push((await run()).ms)
  return { compile: compileMs, open: openMs, first: first.ms, warm: median(warm) }
}

async function sampleProcess(build: KernelBuild, adapter: string): Promise<Sample> {
  const own = spawnSync(process.execPath, [...process.execArgv, fileURLToPath(import.meta.url), '--sample', build], { encoding: 'utf8' })
  if (own.status !== 0) throw new Error(own.stderr.trim())
  const infer = ['dist/kerf.js', 'infer', '--build', build, '--adapter', adapter, '--text', TEXT]
  const { ms } = await timeMs(() => execFileSync(process.execPath, infer))
  return { ...(JSON.parse(own.stdout) as Omit<Sample, 'process'>), process: ms }
}

function describeCommit(): string {
  const git = (...args: string[]) => execFileSync('git', args, { encoding: 'utf8' }).trim()
  return git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain') === '' ? '' : ' with changes')
}

async function collectSamples(): Promise<Record<string, Sample[]>> {
  const directory = mkdtempSync(join(tmpdir(), 'kerf-bench-'))
  try {
    const { model, layout, vector } = await openAll('simd')
    await writeAdapter(files, directory, vector, layout, model, ADAPTER, LABELS)
    const samples: Record<string, Sample[]> = Object.fromEntries(BUILDS.map((build) => [build, []]))
    for (let index = 0; index < SAMPLES; index++) for (const build of BUILDS) samples[build].push(await sampleProcess(build, directory))
    return samples
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

async function bench(json: boolean): Promise<void> {
  const machine = `${cpus()[0].model.trim()}, ${cpus().length} cores, ${process.platform} ${process.arch}, ${RUNTIME_TITLE}`
  const commit = describeCommit()
  const sizes = BUILDS.map((build) => {
    const bytes = readFileSync(findAsset(`kerf.${build}.wasm`))
    return { build, bytes: bytes.length, gzipBytes: gzipSync(bytes, { level: 9 }).length }
  })
  const samples = await collectSamples()
  if (json) return void process.stdout.write(`${JSON.stringify({ machine, commit, sizes, samples }, null, 1)}\n`)
  const rows = sizes.map(({ build, bytes, gzipBytes }) =>
    [build, String(bytes), String(gzipBytes), ...TIMES.map((time) => formatNumber(median(samples[build].map((sample) => sample[time]))))])
  const table = formatColumns([['build', 'bytes', 'gzipped', ...TIMES.map((time) => `${time} ms`)], ...rows])
  process.stdout.write(`${machine}, commit ${commit}\n${table.join('\n')}\n`)
}

process.chdir(fileURLToPath(new URL('..', import.meta.url)))
const [flag, wanted] = process.argv.slice(2)
const build = BUILDS.find((name) => flag === '--sample' && name === wanted)
if (build) process.stdout.write(JSON.stringify(await sampleHere(build)))
else await bench(flag === '--json')
