/** The kernel as this host runs it best: build, inner tile, threads; and how its stages hold a model. */
import { expectSameBits, testKernel } from '../cases/selftest.ts'
import { refuse } from '../error.ts'
import type { Engine } from '../host/engine.ts'
import type { Files } from '../host/files.ts'
import { calibrate } from '../kernel/calibrate.ts'
import type { Kernel, KernelBuild, Tile } from '../kernel/load.ts'
import { TILES, loadKernel, openPack, packKernel } from '../kernel/load.ts'
import { compileModule, isValidModule } from '../kernel/wasm.ts'
import type { StageOptions } from '../model/plan.ts'
import { readBytes, saveFile } from './files.ts'
import type { ProgramHost } from './host.ts'
import { joinPath } from './path.ts'
import type { Settings } from './settings.ts'

/** Settings that choose what computes, and how stages are held. */
export const KERNEL_SETTINGS = ['profile', 'build', 'tile'] as const
export const STAGE_SETTINGS = ['threads', 'dtype'] as const

type KernelSettings = Pick<Settings, (typeof KERNEL_SETTINGS)[number]> & Partial<Pick<Settings, 'threads' | 'dtype' | 'recompute'>>

function compileShared(files: Files, build: KernelBuild): Promise<WebAssembly.Module> {
  return readBytes(files, files.asset(`kerf.${build}.shared.wasm`)).then(compileModule)
}

type TileCache = Readonly<Record<string, unknown>>

async function readCache(files: Files, file: string | undefined): Promise<TileCache> {
  if (file === undefined) return {}
  try {
    const cache: unknown = JSON.parse(new TextDecoder().decode(await files.read(file)))
    return typeof cache === 'object' && cache !== null ? cache as TileCache : {}
  } catch {
    return {}
  }
}

/** Where nothing may be written, the next call measures again. */
async function writeCache(files: Files, file: string | undefined, cache: TileCache): Promise<void> {
  if (file !== undefined) await saveFile(files, file, JSON.stringify(cache), { access: 'habit' }).catch(() => {})
}

function cacheKey({ processor, platform, name, version }: Engine, build: KernelBuild, wasmBytes: number): string {
  return [processor, platform.split(' ').at(-1), name, version, build, wasmBytes].join(' ')
}

/** The tile chosen for this processor, engine and binary, from the cache or, where `measure` allows, by measuring. */
async function chooseTile({ files, engine, clock }: ProgramHost, kernel: Kernel, wasmBytes: number, measure: boolean): Promise<Tile> {
  if (kernel.exports.tileCount() === 1) return TILES[0]
  const file = files.cache === undefined ? undefined : joinPath(files.cache, 'tiles.json')
  const key = cacheKey(engine, kernel.build, wasmBytes)
  const cache = await readCache(files, file)
  const kept = TILES.find((tile) => tile === cache[key])
  if (kept || !measure) return kept ?? TILES[0]
  const [{ tile }] = await calibrate(kernel.module, kernel.exports, kernel.build !== 'relaxed', clock.now)
  await writeCache(files, file, { ...await readCache(files, file), [key]: tile })
  return tile
}

async function chooseBuild({ files, engine }: ProgramHost, { build, profile }: KernelSettings, notes: string[]): Promise<KernelBuild> {
  if (profile === 'strict') return build === 'auto' ? 'simd' : build
  if (build !== 'auto') refuse('flag-build', '--build', 'auto with --profile fast', build)
  if (isValidModule(await readBytes(files, files.asset('kerf.relaxed.wasm')))) return 'relaxed'
  notes.push(`--profile fast: this host has no relaxed SIMD (${engine.name} ${engine.version}); strict instead`)
  return 'simd'
}

function chooseStage({ workers }: ProgramHost, { threads: asked, dtype, recompute }: KernelSettings, build: KernelBuild, notes: string[]): StageOptions {
  if (asked === undefined) return {}
  // Threads that meet at barriers wait for the slowest: more than there are processors only slow one another down.
  const most = build === 'scalar' ? 1 : workers.available
  const threads = Math.min(asked, most)
  const why = build === 'scalar' ? 'the scalar build has no shared memory' : `this host has ${most} processors`
  if (threads < asked) notes.push(`--threads ${asked}: ${why}; ${threads} thread${threads === 1 ? '' : 's'} instead`)
  return { threads, format: dtype ?? 'f32', recompute: recompute ?? false }
}

/** `stage` says how this process's own models are held and computed; `notes` what the host could not give, `lines` that and what was chosen. */
export type OpenedKernel = { kernel: Kernel; stage: StageOptions; notes: readonly string[]; lines: readonly string[] }

/** `measure` false: short work, for which no tile is worth measuring. `anyBits`: whoever else decides what is done about other bits. */
type Opening = { measure?: boolean; anyBits?: boolean }

/** Opens the kernel that was asked for, and tests it. Refuses `kernel-bits` where a strict one computes other bits than it should. */
export async function openProgramKernel(
  host: ProgramHost, settings: KernelSettings, { measure = true, anyBits = false }: Opening = {},
): Promise<OpenedKernel> {
  const { files } = host
  const notes: string[] = []
  const build = await chooseBuild(host, settings, notes)
  const bytes = await readBytes(files, files.asset(`kerf.${build}.wasm`))
  const plain = await loadKernel(bytes, build)
  const tile = settings.tile === 'auto' ? await chooseTile(host, plain, bytes.length, measure) : settings.tile
  const stage = chooseStage(host, settings, build, notes)
  const threads = stage.threads ?? 1
  const shared = threads > 1 ? await compileShared(files, build) : undefined
  const kernel = await testKernel(await openPack({ ...packKernel(plain), tile, shared }, host.workers.startThread))
  if (!anyBits) expectSameBits(kernel)
  return { kernel, stage, notes, lines: [`kernel ${build}, tile ${tile}, ${threads} thread${threads === 1 ? '' : 's'}`, ...notes] }
}
