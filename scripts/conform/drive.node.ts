/** Runs the suite under Node, Deno and Bun: `drive.node.mjs BUILD BINARIES [one-tile]`. A thread of a team is this same file again. */
import { readFileSync } from 'node:fs'
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads'
import './suite.js'
import type { ThreadJob } from '../../runtime/kernel/load.ts'
import type { ConformGlobal } from './suite.ts'

const { run, runThread } = (globalThis as unknown as { kerfConform: ConformGlobal }).kerfConform

function startThread(job: ThreadJob): Promise<void> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: job })
    worker.once('message', () => {
      worker.unref()
      resolve()
    })
    worker.once('error', reject)
  })
}

if (isMainThread) {
  const [build, binaries, tiles] = process.argv.slice(2)
  await run({
    build, startThread, tiles: tiles !== 'one-tile', now: () => performance.now(), print: (line) => console.log(line),
    load: (file) => WebAssembly.compile(readFileSync(`${binaries}/${file}`)),
  })
} else {
  await runThread(workerData as ThreadJob, () => parentPort!.postMessage('ready'))
}
