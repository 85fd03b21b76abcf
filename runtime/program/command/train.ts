/** `kerf train`: a whole run on one machine, each device in a worker of its own. */
import { parsePartition, partition, selectSamples } from '../../data/partition.ts'
import { KerfError } from '../../error.ts'
import { packKernel } from '../../kernel/load.ts'
import type { Contract } from '../../split/contract.ts'
import { batchSize, deviceSpec, fitDevice, shareThreads } from '../../split/spec.ts'
import { defineCommand } from '../command.ts'
import type { Connect } from '../conduct.ts'
import { claimOut, conduct } from '../conduct.ts'
import { describeFailure } from '../failure.ts'
import type { ProgramHost } from '../host.ts'
import { writeReport } from '../output.ts'
import { joinPath } from '../path.ts'
import type { Prepared } from '../run.ts'
import { RUN_SETTINGS, makeContract, prepareRun } from '../run.ts'
import { listSchemes } from '../shape.ts'

/** Each client's samples; refused before any run begins. */
function shareOut({ kernel, train, labels }: Prepared, { partition: how, cuts, seed }: Contract): readonly number[][] {
  return partition(train.labels, labels.length, cuts.length, parsePartition(how), seed, kernel.exports)
}

/** Refuses a budget that a device's stage can't be held in, before any run begins. */
function checkMemory({ kernel, model, train, stage, settings }: Prepared, contract: Contract, shares: readonly number[][]): void {
  const { memory: memoryBytes } = settings
  if (memoryBytes === undefined) return
  shares.forEach((share, client) => {
    const spec = deviceSpec(model.config, contract, contract.cuts[client], batchSize(selectSamples(train, share), contract.batch))
    fitDevice(spec, { stage: shareThreads(stage, contract), memoryBytes }, kernel.exports)
  })
}

/** Starts a worker for each device and joins it to the server by the worker's link. */
function connectWorkers({ workers }: ProgramHost, { kernel, model, train, stage: asked, settings }: Prepared, shares: readonly number[][]): Connect {
  return async ({ server }, contract) => {
    const stage = shareThreads(asked, contract)
    let fail: (error: Error) => void
    const failed = new Promise<never>((_, reject) => { fail = reject })
    const opened = shares.map((share, client) => {
      const name = `device ${client}`
      // A worker that fails does not come back, and a run without its data would not be the one asked for.
      const stop = (error: unknown) => fail(new KerfError('device', name, `${name}: ${describeFailure(error)}`))
      const worker = workers.open(stop)
      void server.attend(worker.link)
      const job = {
        kernel: packKernel(kernel), stage, memoryBytes: settings.memory, modelDirectory: model.directory, name, client,
        data: selectSamples(train, share),
      }
      void worker.service.device(job).catch(stop)
      return worker
    })
    return { failed, close: () => { for (const worker of opened) worker.close() } }
  }
}

export const trainCommand = defineCommand({
  summary: 'fine-tune over simulated devices, each a worker with its own kernel and memory',
  names: ['scheme', ...RUN_SETTINGS, 'memory'],
  // A worker that is silent computes; one that has failed says so.
  defaults: { deadlineSeconds: '3600' },
  async run(settings, context) {
    const { host } = context
    const schemes = listSchemes(settings)
    const prepared = await prepareRun(host, settings)
    try {
      const contracts = schemes.map((scheme) => makeContract(prepared, scheme, settings.checkpointEvery ?? 1))
      const shares = contracts.map((contract) => shareOut(prepared, contract))
      contracts.forEach((contract, index) => checkMemory(prepared, contract, shares[index]))
      const places = schemes.map((scheme) => (schemes.length > 1 ? joinPath(settings.out, scheme) : settings.out))
      const claim = await claimOut(host, settings, places)
      const reports = []
      for (const [index, contract] of contracts.entries()) {
        const connect = connectWorkers(host, prepared, shares[index])
        reports.push(await conduct(host, prepared, { contract, out: places[index], claim, connect }))
      }
      await writeReport(context, prepared, reports)
    } finally {
      await prepared.close()
    }
  },
})
