/** A worker thread of a team: waits for work on shared memory until it is dismissed. */
import { parentPort, workerData } from 'node:worker_threads'
import type { ThreadJob } from '../../runtime/kernel/load.ts'
import { runThread } from '../../runtime/kernel/load.ts'

await runThread(workerData as ThreadJob, () => parentPort!.postMessage('ready'))
process.exit()
