/** The SIMD kernel with a team, whose threads a test can watch. */
import { readFileSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import type { Kernel, StartThread } from '../runtime/kernel/load.ts'
import { TILES, loadKernel } from '../runtime/kernel/load.ts'

const asset = (name: string) => new URL(`../dist/${name}`, import.meta.url)

/** For every thread that was started, its end. */
export const ends: Promise<unknown>[] = []

const start: StartThread = (job) => new Promise((resolve, reject) => {
  // Without the loader that this process reads TypeScript with: it takes longer than the thread's work.
  const worker = new Worker(asset('thread.js'), { workerData: job, execArgv: [] })
  ends.push(new Promise((ended) => { worker.once('exit', ended) }))
  worker.once('message', () => resolve())
  worker.once('error', reject)
})

export async function openThreaded(): Promise<Kernel> {
  const shared = new WebAssembly.Module(readFileSync(asset('kerf.simd.shared.wasm')))
  return loadKernel(readFileSync(asset('kerf.simd.wasm')), 'simd', { tile: TILES[1], team: { module: shared, start } })
}
