/** The kernel as this host runs it best: build, inner tile, threads; and how its stages hold a model. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, homedir } from 'node:os'
import { dirname, isAbsolute, join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { Worker } from 'node:worker_threads'
import { refuse } from '../../runtime/error.ts'
import { calibrate } from '../../runtime/kernel/calibrate.ts'
import { WEIGHT_FORMATS } from '../../runtime/kernel/format.ts'
import type { Kernel, KernelBuild, StartThread, Tile } from '../../runtime/kernel/load.ts'
import { TILES, loadKernel, openKernel } from '../../runtime/kernel/load.ts'
import type { StageOptions } from '../../runtime/model/plan.ts'
import { THREADS_MAX } from '../../runtime/model/plan.ts'
import type { FlagTable, Flags } from './flags.ts'
import { ENGINE, findAsset, clock, readBytes } from './host.ts'

const PROFILES = ['strict', 'fast'] as const
const BUILDS = ['auto', 'simd', 'scalar'] as const
const TILE_CHOICES = ['auto', ...TILES] as const

export const KERNEL_FLAGS: FlagTable = {
  profile: { type: 'string', value: 'NAME', default: 'strict', help: 'strict: the same bits everywhere; fast: fused multiply and add where the host has it' },
  build: { type: 'string', value: 'NAME', default: 'auto', help: 'kernel build of the strict profile: simd or scalar (the same bits)' },
  tile: { type: 'string', value: 'NAME', default: 'auto', help: `inner tile of the product: ${TILES.join(', ')} (the same bits)` },
}

export const STAGE_FLAGS: FlagTable = {
  threads: { type: 'string', value: 'N', default: '1', help: "threads of the server's and the whole model's work (the same bits)" },
  dtype: { type: 'string', value: 'NAME', default: 'f32', help: `how frozen weights are held: ${WEIGHT_FORMATS.join(', ')}` },
}

export const RECOMPUTE_FLAG: FlagTable = {
  recompute: { type: 'boolean', default: false, help: 'compute blocks again for their backward pass: less memory, the same bits' },
}

export const MEMORY_FLAG: FlagTable = {
  memory: { type: 'string', value: 'SIZE', help: "a device's linear memory at most, such as 64MB (10^6 bytes) or 64MiB; chooses --recompute and --dtype" },
}

const UNITS: Readonly<Record<string, number>> = { '': 1, B: 1, KB: 1e3, MB: 1e6, GB: 1e9, KIB: 2 ** 10, MIB: 2 ** 20, GIB: 2 ** 30 }

/** `--memory` in bytes, where it is given. */
export function readMemory(flags: Flags): number | undefined {
  if (!flags.has('memory')) return undefined
  const [, value, unit] = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(flags.text('memory')) ?? []
  const bytes = Math.floor(Number(value) * (UNITS[(unit ?? '').toUpperCase()] ?? NaN))
  return bytes > 0 ? bytes : refuse('flag-memory', '--memory', 'a size such as 64MB', flags.text('memory'))
}

/** V8 from this version on pairs 128-bit operations into 256-bit ones when it is told to. */
const REVECTORIZING_V8 = 14

/** Process-wide; must come before the kernel is compiled. */
function revectorize(): void {
  if (Number.parseInt(process.versions.v8, 10) >= REVECTORIZING_V8) setFlagsFromString('--experimental-wasm-revectorize')
}

/** A worker thread that a running team does not keep the process alive for. */
const startThread: StartThread = (job) => new Promise((resolve, reject) => {
  const worker = new Worker(findAsset('thread.js'), { workerData: job })
  worker.once('message', () => {
    worker.unref()
    resolve()
  })
  worker.once('error', reject)
})

function compileShared(build: KernelBuild): WebAssembly.Module {
  return new WebAssembly.Module(readBytes(findAsset(`kerf.${build}.shared.wasm`)))
}

/** What a worker needs to open the same kernel; a module is handed over without being compiled again. */
export type KernelPack = Pick<Kernel, 'module' | 'build' | 'tile'> & { shared?: WebAssembly.Module }

export function packKernel({ module, build, tile, team }: Kernel): KernelPack {
  return { module, build, tile, shared: team?.module }
}

export function openPack({ module, build, tile, shared }: KernelPack): Promise<Kernel> {
  return openKernel(module, build, { tile, team: shared && { module: shared, start: startThread } })
}

type TileCache = Record<string, Tile>

/** A relative path names no cache (XDG Base Directory Specification), and a host without a home has none. */
function findCache(): string | undefined {
  const named = process.env.XDG_CACHE_HOME ?? ''
  try {
    const directory = isAbsolute(named) ? named : join(homedir(), '.cache')
    return isAbsolute(directory) ? join(directory, 'kerf/tiles.json') : undefined
  } catch {
    return undefined
  }
}

function readCache(file: string | undefined): TileCache {
  if (file === undefined) return {}
  try {
    const cache: unknown = JSON.parse(readFileSync(file, 'utf8'))
    return typeof cache === 'object' && cache !== null ? cache as TileCache : {}
  } catch {
    return {}
  }
}

function writeCache(file: string | undefined, cache: TileCache): void {
  if (file === undefined) return
  try {
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, JSON.stringify(cache))
  } catch {
    // Where nothing may be written, the next call measures again.
  }
}

/** The tile chosen for this processor, engine and binary, from the cache or, where `measure` allows, by measuring. */
async function chooseTile(kernel: Kernel, wasmBytes: number, measure: boolean): Promise<Tile> {
  if (kernel.exports.tileCount() === 1) return TILES[0]
  const file = findCache()
  const key = [cpus()[0]?.model.trim(), process.arch, ENGINE.name, ENGINE.version, kernel.build, wasmBytes].join(' ')
  const cache = readCache(file)
  const kept = TILES.find((tile) => tile === cache[key])
  if (kept || !measure) return kept ?? TILES[0]
  const [{ tile }] = await calibrate(kernel.module, kernel.exports, kernel.build !== 'relaxed', clock.now)
  writeCache(file, { ...readCache(file), [key]: tile })
  return tile
}

function chooseBuild(flags: Flags, notes: string[]): KernelBuild {
  const build = flags.choice('build', BUILDS)
  if (flags.choice('profile', PROFILES) === 'strict') return build === 'auto' ? 'simd' : build
  if (build !== 'auto') refuse('flag-build', '--build', 'auto with --profile fast', build)
  if (WebAssembly.validate(readBytes(findAsset('kerf.relaxed.wasm')))) return 'relaxed'
  notes.push(`--profile fast: this host has no relaxed SIMD (${ENGINE.name} ${ENGINE.version}); strict instead`)
  return 'simd'
}

/** `stage` says how this process's own models are held and computed; `notes` what the host could not give, `lines` that and what was chosen. */
export type OpenedKernel = { kernel: Kernel; stage: StageOptions; notes: readonly string[]; lines: readonly string[] }

/** Opens the kernel that the flags ask for. `measure` false: short work, for which no tile is worth measuring. */
export async function openNodeKernel(flags: Flags, measure = true): Promise<OpenedKernel> {
  const notes: string[] = []
  revectorize()
  const build = chooseBuild(flags, notes)
  const choice = flags.choice('tile', TILE_CHOICES)
  const bytes = readBytes(findAsset(`kerf.${build}.wasm`))
  const plain = await loadKernel(bytes, build)
  const tile = choice === 'auto' ? await chooseTile(plain, bytes.length, measure) : choice
  const stage = readStageOptions(flags, build, notes)
  const kernel = await openPack({ ...packKernel(plain), tile, shared: (stage.threads ?? 1) > 1 ? compileShared(build) : undefined })
  const threads = stage.threads ?? 1
  return { kernel, stage, notes, lines: [`kernel ${build}, tile ${tile}, ${threads} thread${threads === 1 ? '' : 's'}`, ...notes] }
}

function readStageOptions(flags: Flags, build: KernelBuild, notes: string[]): StageOptions {
  if (!flags.has('threads')) return {}
  const asked = flags.integer('threads', 1, THREADS_MAX)
  // Threads that meet at barriers wait for the slowest: more than there are processors only slow one another down.
  const most = build === 'scalar' ? 1 : availableParallelism()
  const threads = Math.min(asked, most)
  const why = build === 'scalar' ? 'the scalar build has no shared memory' : `this host has ${most} processors`
  if (threads < asked) notes.push(`--threads ${asked}: ${why}; ${threads} thread${threads === 1 ? '' : 's'} instead`)
  return { threads, format: flags.choice('dtype', WEIGHT_FORMATS), recompute: flags.on('recompute') }
}
