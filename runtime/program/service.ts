/** What a worker does for a program: one device, or one of the server's models. Frames run over the worker's own link. */
import type { TokenizedDataset } from '../data/dataset.ts'
import { KerfError } from '../error.ts'
import type { Link } from '../host/network.ts'
import { createChecksum } from '../kernel/checksum.ts'
import type { StageOptions, StageSpec } from '../model/plan.ts'
import type { Optimizer, SetState } from '../model/stage.ts'
import { runDevice } from '../split/device.ts'
import type { Executor, ExecutorMemory, StepInput, StepOutput } from '../split/executor.ts'
import { openExecutor } from '../split/executor.ts'
import type { ProgramHost } from './host.ts'
import type { KernelPack } from './kernel.ts'
import { openPack } from './kernel.ts'
import { openModel, withModel } from './model.ts'

export type KernelJob = { kernel: KernelPack; modelDirectory: string }
export type DeviceJob = KernelJob & { stage: StageOptions; memoryBytes: number | undefined; name: string; client: number; data: TokenizedDataset }
export type ExecutorJob = KernelJob & { spec: StageSpec; optimizer: Optimizer }

export type Service = {
  /** Runs a device over the worker's link to the end of its connection. Without a word where the server has ended it: it has said why itself. */
  device(job: DeviceJob): Promise<boolean>
  openExecutor(job: ExecutorJob): Promise<void>
  step(input: StepInput): Promise<StepOutput>
  read(set: number): Promise<SetState>
  write(set: number, state: SetState): Promise<void>
  memory(): Promise<ExecutorMemory>
}

/** Codes with which a server ends a device's connection and says why itself. */
const ENDED = ['deadline', 'run-stopped']

export function createService(host: ProgramHost, link: Link): Service {
  let executor: Executor | undefined
  return {
    async device({ kernel: pack, modelDirectory, ...job }) {
      const kernel = await openPack(host, pack)
      const crc32c = createChecksum(kernel)
      const model = await openModel(host.files, modelDirectory, crc32c)
      const { config, weights, fingerprint } = model
      return runDevice({
        name: job.name, client: job.client, link, clock: host.clock, kernel, crc32c, stage: job.stage, memoryBytes: job.memoryBytes,
        provide: async () => ({ config, weights, fingerprint, data: job.data }),
      }).catch((error: unknown) => {
        if (error instanceof KerfError && ENDED.includes(error.code)) return false
        throw error
      }).finally(() => model.close())
    },
    async openExecutor({ kernel: pack, modelDirectory, spec, optimizer }) {
      const kernel = await openPack(host, pack)
      executor = await withModel(host.files, modelDirectory, createChecksum(kernel), ({ weights }) => (
        openExecutor(kernel, spec, weights, optimizer, host.clock.now)))
    },
    async step(input) {
      const output = await executor!.step(input)
      return host.workers.transfer(output, [output.gradient.buffer])
    },
    read: (set) => executor!.read(set),
    write: (set, state) => executor!.write(set, state),
    memory: () => executor!.memory(),
  }
}
