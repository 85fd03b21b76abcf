/** In a browser's worker: the suite for one build, or a thread of its team. Lines go to the page. */
import type { StartThread, ThreadJob } from '../../runtime/kernel/load.ts'
import type { ConformGlobal } from './suite.ts'

declare function importScripts(file: string): void
importScripts('/suite.js')
const { run, runThread } = (globalThis as unknown as { kerfConform: ConformGlobal }).kerfConform
const post = (message: unknown) => (globalThis as unknown as { postMessage(message: unknown): void }).postMessage(message)

const startThread: StartThread = (job) => new Promise((resolve, reject) => {
  const worker = new Worker('/drive.worker.js')
  worker.onmessage = () => resolve()
  worker.onerror = (event) => reject(new Error(event.message))
  worker.postMessage({ job })
})

globalThis.onmessage = async ({ data }: MessageEvent<{ build?: string; job?: ThreadJob }>) => {
  if (data.job) return runThread(data.job, () => post('ready'))
  await run({
    build: data.build!, startThread, now: () => performance.now(), print: (line) => post({ line }),
    load: async (file) => WebAssembly.compile(await (await fetch(`/${file}`)).arrayBuffer()),
  })
  return post({ end: true })
}
