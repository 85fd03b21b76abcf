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
import { optimizerOf } from '../../runtime/split/contract.ts'
import { runDevice } from '../../runtime/split/device.ts'
import type { FinishInput, ForwardInput, Half } from '../../runtime/split/half.ts'
import { openStageHalf } from '../../runtime/split/half.stage.ts'
import { fitDevice } from '../../runtime/split/spec.ts'
import { clock, linkPort } from './host.ts'
import type { KernelPack } from './kernel.ts'
import { openPack } from './kernel.ts'
import { openModel } from './model.ts'

export type KernelJob = { kernel: KernelPack; modelDirectory: string }
export type DeviceJob = KernelJob & { stage: StageOptions; memoryBytes: number | undefined; name: string; client: number; data: TokenizedDataset }
export type HalfJob = KernelJob & { spec: StageSpec; optimizer: Optimizer }

let half: Half | undefined

/** What a half returns is a view of its memory: a copy of it may leave the thread. */
function buffersOf(copy: Float32Array | null): ArrayBuffer[] {
  return copy ? [copy.buffer as ArrayBuffer] : []
}

const control = {
  /** Runs a device over `port` to the end of its connection. Without a word where the server has ended it: it has said why itself. */
  async device(job: DeviceJob, port: MessagePort): Promise<boolean> {
    const kernel = await openPack(job.kernel)
    const crc32c = createChecksum(kernel)
    return runDevice({
      name: job.name, client: job.client, link: linkPort(port), clock, crc32c,
      async provide(contract) {
        const model = await openModel(job.modelDirectory, crc32c)
        return {
          config: model.config, fingerprint: model.fingerprint, data: job.data,
          openHalf: (spec) => openStageHalf(kernel, fitDevice(spec, job, kernel.exports), model.weights, optimizerOf(contract), clock.now),
        }
      },
    }).catch((error: unknown) => {
      if (error instanceof KerfError && ['deadline', 'run-stopped'].includes(error.code)) return false
      throw error
    })
  },

  async openHalf(job: HalfJob): Promise<void> {
    const kernel = await openPack(job.kernel)
    const { weights } = await openModel(job.modelDirectory, createChecksum(kernel))
    half = await openStageHalf(kernel, job.spec, weights, job.optimizer, clock.now)
  },

  async forward(input: ForwardInput) {
    const { activation, ...output } = await half!.forward(input)
    const copy = activation?.slice() ?? null
    return Comlink.transfer({ ...output, activation: copy }, buffersOf(copy))
  },

  async finish(input: FinishInput) {
    const { gradient, ...output } = await half!.finish(input)
    const copy = gradient?.slice() ?? null
    return Comlink.transfer({ ...output, gradient: copy }, buffersOf(copy))
  },

  read: (set: number) => half!.read(set),
  write: (set: number, state: SetState) => half!.write(set, state),
  memory: () => half!.memory(),
}

export type WorkerControl = typeof control

Comlink.expose(control, nodeEndpoint(parentPort!))
