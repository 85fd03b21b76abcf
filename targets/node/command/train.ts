/** `kerf train`: a whole run on one machine, each device in a worker of its own. */
import { join } from 'node:path'
import { MessageChannel } from 'node:worker_threads'
import * as Comlink from 'comlink'
import { parsePartition, partition, selectSamples } from '../../../runtime/federation/partition.ts'
import { SCHEMES } from '../../../runtime/split/contract.ts'
import type { Contract } from '../../../runtime/split/contract.ts'
import type { Connect, Setting } from '../conduct.ts'
import { RUN_FLAGS, conduct, makeContract, openSetting, openWorker } from '../conduct.ts'
import type { Command } from '../flags.ts'
import { linkPort } from '../host.ts'
import { writeReport } from '../output.ts'

/** Starts a worker for each device and joins it to the server by a message port. */
function connectWorkers({ kernel, model, train, labels }: Setting): Connect {
  return async ({ server, result }, contract: Contract) => {
    const how = parsePartition(contract.partition)
    const shares = partition(train.labels, labels.length, contract.cuts.length, how, contract.seed, kernel.exports)
    const workers = shares.map((share, client) => {
      const { control, worker, close } = openWorker()
      const { port1, port2 } = new MessageChannel()
      void server.attend(linkPort(port1))
      const job = { module: kernel.module, build: kernel.build, modelDirectory: model.directory, name: `device ${client}`, client, data: selectSamples(train, share) }
      // A device that fails closes its port, and the server goes on without it.
      void control.device(job, Comlink.transfer(port2, [port2 as unknown as Transferable])).catch((error: Error) => {
        process.stderr.write(`device ${client}: ${error.message}\n`)
        port1.close()
      })
      worker.on('error', () => port1.close())
      return { close }
    })
    void result.catch(() => {})
    return { close: () => { for (const worker of workers) worker.close() } }
  }
}

export const trainCommand: Command = {
  summary: 'fine-tune over simulated devices, each a worker with its own kernel and memory',
  flags: { scheme: { type: 'string', value: 'NAME', default: 'kerf', help: `${SCHEMES.join(', ')}, a list of them, or all` }, ...RUN_FLAGS },
  async run(flags) {
    const names = flags.text('scheme') === 'all' ? [...SCHEMES] : flags.list('scheme')
    const schemes = names.map((name) => SCHEMES.find((scheme) => scheme === name) ?? flags.choice('scheme', [...SCHEMES]))
    const setting = await openSetting(flags)
    const out = flags.text('out')
    const every = flags.has('checkpoint-every') ? flags.integer('checkpoint-every', 0) : 1
    const contracts = schemes.map((scheme) => makeContract(setting, scheme, every))
    const reports = []
    for (const contract of contracts) {
      reports.push(await conduct(setting, contract, schemes.length > 1 ? join(out, contract.scheme) : out, connectWorkers(setting)))
    }
    writeReport(setting, reports, out)
  },
}
