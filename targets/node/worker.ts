/** A worker thread: one device, or one of the server's models. Control runs over comlink, frames over a port of their own. */
import type { MessagePort } from 'node:worker_threads'
import { parentPort } from 'node:worker_threads'
import * as Comlink from 'comlink'
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs'
import { KerfError } from '../../runtime/error.ts'
import { createChecksum } from '../../runtime/kernel/checksum.ts'
import type { TokenizedDataset } from '../../runtime/data/dataset.ts'
import type { StageOptions, StageSpec } from '../../runtime/model/plan.ts'
import type { Optimizer, SetState } from '../../runtime/model/optimizer.ts'
import { runDevice } from '../../runtime/split/device.ts'
import type { Executor, StepInput } from '../../runtime/split/executor.ts'
import { openExecutor } from '../../runtime/split/executor.ts'
import { clock, linkPort } from './host.ts'
import type { KernelPack } from './kernel.ts'
import { openPack } from './kernel.ts'
import { openModel } from './model.ts'

export type KernelJob = { kernel: KernelPack; modelDirectory: string }
export type DeviceJob = KernelJob & { stage: StageOptions; memoryBytes: number | undefined; name: string; client: number; data: TokenizedDataset }
export type ExecutorJob = KernelJob & { spec: StageSpec; optimizer: Optimizer }

let executor: Executor | undefined

const control = {
  /** Runs a device over `port` to the end of its connection. Without a word where the server has ended it: it has said why itself. */
  async device(job: DeviceJob, port: MessagePort): Promise<boolean> {
    const kernel = await openPack(job.kernel)
    const crc32c = createChecksum(kernel)
    return runDevice({
      name: job.name, client: job.client, link: linkPort(port), clock, kernel, crc32c, stage: job.stage, memoryBytes: job.memoryBytes,
      async provide() {
        const model = await openModel(job.modelDirectory, crc32c)
        return { config: model.config, weights: model.weights, fingerprint: model.fingerprint, data: job.data }
      },
    }).catch((error: unknown) => {
      if (error instanceof KerfError && ['deadline', 'run-stopped'].includes(error.code)) return false
      throw error
    })
  },

  async openExecutor(job: ExecutorJob): Promise<void> {
    const kernel = await openPack(job.kernel)
    const { weights } = await openModel(job.modelDirectory, createChecksum(kernel))
    executor = await openExecutor(kernel, job.spec, weights, job.optimizer, clock.now)
  },

  async step(input: StepInput) {
    const output = await executor!.step(input)
    return Comlink.transfer(output, [output.gradient.buffer])
  },

  read: (set: number) => executor!.read(set),
  write: (set: number, state: SetState) => executor!.write(set, state),
  memory: () => executor!.memory(),
}

export type WorkerControl = typeof control

Comlink.expose(control, nodeEndpoint(parentPort!))
