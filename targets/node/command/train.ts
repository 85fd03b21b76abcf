/** `kerf train`: a whole run on one machine, each device in a worker of its own. */
import { join } from 'node:path'
import { MessageChannel } from 'node:worker_threads'
import * as Comlink from 'comlink'
import { KerfError } from '../../../runtime/error.ts'
import { parsePartition, partition, selectSamples } from '../../../runtime/data/partition.ts'
import { SCHEME_DEFAULT, SCHEME_NAMES } from '../../../runtime/split/scheme.ts'
import type { Contract } from '../../../runtime/split/contract.ts'
import { batchSize, deviceSpec, fitDevice, shareThreads } from '../../../runtime/split/spec.ts'
import type { Connect } from '../conduct.ts'
import { conduct, openWorker } from '../conduct.ts'
import type { Command } from '../flags.ts'
import { linkPort } from '../host.ts'
import { MEMORY_FLAG, packKernel } from '../kernel.ts'
import { readSchemes } from '../options.ts'
import { writeReport } from '../output.ts'
import type { Setting } from '../setting.ts'
import { RUN_FLAGS, makeContract, openSetting } from '../setting.ts'

/** Each client's samples; refused before any run begins. */
function shareOut({ kernel, train, labels }: Setting, { partition: how, cuts, seed }: Contract): readonly number[][] {
  return partition(train.labels, labels.length, cuts.length, parsePartition(how), seed, kernel.exports)
}

/** Refuses a budget that a device's stage can't be held in, before any run begins. */
function checkMemory({ kernel, model, train, stage, memoryBytes }: Setting, contract: Contract, shares: readonly number[][]): void {
  if (memoryBytes === undefined) return
  shares.forEach((share, client) => {
    const spec = deviceSpec(model.config, contract, contract.cuts[client], batchSize(selectSamples(train, share), contract.batch))
    fitDevice(spec, { stage: shareThreads(stage, contract), memoryBytes }, kernel.exports)
  })
}

/** Starts a worker for each device and joins it to the server by a message port. */
function connectWorkers({ kernel, model, train, stage: asked, memoryBytes }: Setting, shares: readonly number[][]): Connect {
  return async ({ server }, contract) => {
    const stage = shareThreads(asked, contract)
    let fail: (error: Error) => void
    const failed = new Promise<never>((_, reject) => { fail = reject })
    const workers = shares.map((share, client) => {
      // A worker that fails does not come back, and a run without its data would not be the one asked for.
      const stop = (error: Error) => fail(new KerfError('device', `device ${client}`, `device ${client}: ${error.message}`))
      const worker = openWorker(stop)
      const { port1, port2 } = new MessageChannel()
      void server.attend(linkPort(port1))
      const data = selectSamples(train, share)
      const job = { kernel: packKernel(kernel), stage, memoryBytes, modelDirectory: model.directory, name: `device ${client}`, client, data }
      void worker.control.device(job, Comlink.transfer(port2, [port2 as unknown as Transferable])).catch(stop)
      return worker
    })
    return { failed, close: () => { for (const worker of workers) worker.close() } }
  }
}

export const trainCommand: Command = {
  summary: 'fine-tune over simulated devices, each a worker with its own kernel and memory',
  flags: {
    scheme: { type: 'string', value: 'NAME', default: SCHEME_DEFAULT, help: `${SCHEME_NAMES.join(', ')}, a list of them, or all` },
    ...RUN_FLAGS,
    ...MEMORY_FLAG,
    // A worker that is silent computes; one that has failed says so.
    'deadline-seconds': { ...RUN_FLAGS['deadline-seconds'], default: '3600' },
  },
  async run(flags) {
    const schemes = readSchemes(flags)
    const setting = await openSetting(flags)
    const out = flags.text('out')
    const every = flags.has('checkpoint-every') ? flags.integer('checkpoint-every', 0) : 1
    const contracts = schemes.map((scheme) => makeContract(setting, scheme, every))
    const shares = contracts.map((contract) => shareOut(setting, contract))
    contracts.forEach((contract, index) => checkMemory(setting, contract, shares[index]))
    const reports = []
    for (const [index, contract] of contracts.entries()) {
      reports.push(await conduct(setting, contract, schemes.length > 1 ? join(out, contract.scheme) : out, connectWorkers(setting, shares[index])))
    }
    writeReport(setting, reports, out)
  },
}
