/** A worker's side of the program's services. Frames run over the worker's own link. */
import { KerfError, refuse } from '../error.ts'
import type { Link } from '../host/network.ts'
import { createChecksum } from '../kernel/checksum.ts'
import { openPack } from '../kernel/load.ts'
import { findOther } from '../model/fingerprint.ts'
import { optimizerOf } from '../split/contract.ts'
import { runDevice } from '../split/device.ts'
import type { Half } from '../split/half.ts'
import { openStageHalf } from '../split/half.stage.ts'
import { fitDevice } from '../split/spec.ts'
import type { ProgramHost } from './host.ts'
import { openModel, withModel } from './model.ts'
import type { Service } from './service.ts'

/** Codes with which a server ends a device's connection and says why itself. */
const ENDED = ['deadline', 'run-stopped']

/** What a half lends is a view of its memory: a copy of its own may leave the thread. */
function ownCopy(lent: Float32Array | null): { copy: Float32Array | null; buffers: ArrayBufferLike[] } {
  const copy = lent?.slice() ?? null
  return { copy, buffers: copy ? [copy.buffer] : [] }
}

export function createService({ clock, files, workers }: ProgramHost, link: Link): Service {
  let half: Half | undefined
  return {
    async device({ kernel: pack, modelDirectory, name, client, data, ...fit }) {
      const kernel = await openPack(pack, workers.startThread)
      const crc32c = createChecksum(kernel)
      const model = await openModel(files, modelDirectory, crc32c)
      const { config, weights, fingerprint } = model
      // The texts came here as tokens: whose tokenizer made them is the program's own.
      return runDevice({
        name, client, link, clock, crc32c,
        provide: async (contract) => ({
          config, fingerprint, data, checksums: weights.checksums,
          openHalf: (spec) => openStageHalf(kernel, fitDevice(spec, fit, kernel.exports), weights, optimizerOf(contract), clock.now),
        }),
      }).catch((error: unknown) => {
        if (error instanceof KerfError && ENDED.includes(error.code)) return false
        throw error
      }).finally(() => model.close())
    },
    async openHalf({ kernel: pack, modelDirectory, checksums, spec, optimizer }) {
      const kernel = await openPack(pack, workers.startThread)
      half = await withModel(files, modelDirectory, createChecksum(kernel), async ({ weights }) => {
        const opened = await openStageHalf(kernel, spec, weights, optimizer, clock.now)
        const other = findOther(weights.checksums(), checksums)
        if (!other) return opened
        opened.close()
        return refuse('device-model', `model.${other.part}`, `${other.given} as when the run began`, other.own)
      })
    },
    async forward(input) {
      const { activation, ...output } = await half!.forward(input)
      const { copy, buffers } = ownCopy(activation)
      return workers.transfer({ ...output, activation: copy }, buffers)
    },
    async finish(input) {
      const { gradient, ...output } = await half!.finish(input)
      const { copy, buffers } = ownCopy(gradient)
      return workers.transfer({ ...output, gradient: copy }, buffers)
    },
    read: (set) => half!.read(set),
    write: (set, state) => half!.write(set, state),
    memory: () => half!.memory(),
  }
}
