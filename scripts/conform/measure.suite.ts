/** The bundle for hosts with WebAssembly: it stands in the suite's place, so that the suite's drivers run it. */
import './text.ts'
import { calibrate } from '../../runtime/kernel/calibrate.ts'
import { openKernel, runThread } from '../../runtime/kernel/load.ts'
import { measureSize } from './measure.ts'
import { formatMessage } from './protocol.ts'
import type { ConformGlobal, RunOptions } from './suite.ts'

/** Bytes of a binary, by its file. Put in by the command. */
declare const BYTES: Readonly<Record<string, number>>

async function measureBuild({ build, load, print, now }: RunOptions): Promise<void> {
  const name = build === 'fast' ? 'relaxed' : build === 'simd' ? 'simd' : 'scalar'
  const file = `kerf.${name}.wasm`
  const module = await load(file)
  const plain = await openKernel(module, name)
  const timer = { now, turn: () => Promise.resolve() }
  const tiles = plain.exports.tileCount() > 1 ? await calibrate(module, plain.exports, name !== 'relaxed', now) : []
  const kernel = await openKernel(module, name, { tile: tiles[0]?.tile })
  for (const size of ['tiny', 'base'] as const) await measureSize({ kernel, kernelBytes: BYTES[file], timer, print }, size)
}

const run = (options: RunOptions) => measureBuild(options).catch((error: unknown) => (
  options.print(formatMessage({ kind: 'crash', error: error instanceof Error ? error.message : String(error) }))))

;(globalThis as unknown as { kerfConform: ConformGlobal }).kerfConform = { run, runThread }
