/** A worker's side of the program's services. Frames run over the worker's own link. */
import { KerfError, refuse } from '../error.ts'
import type { Link } from '../host/network.ts'
import { createChecksum } from '../kernel/checksum.ts'
import { openPack } from '../kernel/load.ts'
import { findOther } from '../model/fingerprint.ts'
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
      // The texts came here as tokens: whose tokenizer made them is the program's own.
      return runDevice({
        name: job.name, client: job.client, link, clock: host.clock, kernel, crc32c, stage: job.stage, memoryBytes: job.memoryBytes,
        provide: async () => ({ config, weights, fingerprint, data: job.data }),
      }).catch((error: unknown) => {
        if (error instanceof KerfError && ENDED.includes(error.code)) return false
        throw error
      }).finally(() => model.close())
    },
    async openExecutor({ kernel: pack, modelDirectory, checksums, spec, optimizer }) {
      const kernel = await openPack(pack, host.workers.startThread)
      executor = await withModel(host.files, modelDirectory, createChecksum(kernel), async ({ weights }) => {
        const opened = await openExecutor(kernel, spec, weights, optimizer, host.clock.now)
        const other = findOther(weights.checksums(), checksums)
        if (!other) return opened
        opened.close()
        return refuse('device-model', `model.${other.part}`, `${other.given} as when the run began`, other.own)
      })
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
