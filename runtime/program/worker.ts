/** A worker's side of the program's services. Frames run over the worker's own link. */
import { KerfError } from '../error.ts'
import type { Link } from '../host/network.ts'
import { createChecksum } from '../kernel/checksum.ts'
import { openPack } from '../kernel/load.ts'
import { runDevice } from '../split/device.ts'
import type { Executor } from '../split/executor.ts'
import { openExecutor } from '../split/executor.ts'
import type { ProgramHost } from './host.ts'
import { openModel, withModel } from './model.ts'
import type { Service } from './service.ts'

/** Codes with which a server ends a device's connection and says why itself. */
const ENDED = ['deadline', 'run-stopped']

export function createService(host: ProgramHost, link: Link): Service {
  let executor: Executor | undefined
  return {
    async device({ kernel: pack, modelDirectory, ...job }) {
      const kernel = await openPack(pack, host.workers.startThread)
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
      const kernel = await openPack(pack, host.workers.startThread)
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
