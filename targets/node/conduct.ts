/**
 * A run of `kerf train` or `kerf serve` from its setting to its files: what is common to
 * both transports. The transport comes in as `connect`.
 */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Worker } from 'node:worker_threads'
import * as Comlink from 'comlink'
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs'
import { KerfError } from '../../runtime/error.ts'
import type { SchemeReport } from '../../runtime/report/report.ts'
import type { Run } from '../../runtime/federation/run.ts'
import { startRun } from '../../runtime/federation/run.ts'
import type { TokenizedDataset } from '../../runtime/data/dataset.ts'
import type { StageSpec } from '../../runtime/model/plan.ts'
import type { Contract } from '../../runtime/split/contract.ts'
import { optimizerOf } from '../../runtime/split/contract.ts'
import { schemeOf } from '../../runtime/split/scheme.ts'
import type { Half } from '../../runtime/split/half.ts'
import { openStageHalf } from '../../runtime/split/half.stage.ts'
import type { Crc32c } from '../../runtime/wire/frame.ts'
import { findAsset, clock, readBytes, saveAtomic } from './host.ts'
import { describeInterrupt } from './interrupt.ts'
import { Journal } from './journal.ts'
import { packKernel } from './kernel.ts'
import { writeAdapter } from './model.ts'
import type { Setting } from './setting.ts'
import type { WorkerControl } from './worker.ts'

/** A worker thread under control. Kept whole as long as the thread is wanted: when `control` is collected, comlink lets the thread end. */
type ControlledWorker = { control: Comlink.Remote<WorkerControl>; close(): void }

/** Opens a worker. `lost` is told when it ends in any other way than by `close`. */
export function openWorker(lost: (error: Error) => void): ControlledWorker {
  const worker = new Worker(findAsset('worker.js'))
  let closed = false
  worker.on('error', lost)
  // A thread may end without an error, and what it was asked is then never answered.
  worker.on('exit', (exitCode) => { if (!closed) lost(new Error(`expected a thread that lasts as long as the run, got exit code ${exitCode}`)) })
  return {
    control: Comlink.wrap<WorkerControl>(nodeEndpoint(worker)),
    close() {
      closed = true
      void worker.terminate()
    },
  }
}

/** The server's halves; `failed` rejects with code `executor` when one is lost. */
type Halves = { open(spec: StageSpec): Promise<Half>; failed: Promise<never>; close(): void }

/** One stage in this thread or, for a model for each device, each in a worker. */
function createHalves({ kernel, model }: Setting, contract: Contract): Halves {
  const optimizer = optimizerOf(contract)
  const opened: { close(): void }[] = []
  let fail: (error: Error) => void
  const failed = new Promise<never>((_, reject) => { fail = reject })
  const openRemote = async (spec: StageSpec): Promise<Half> => {
    const name = `executor ${opened.length}`
    const worker = openWorker(({ message }) => fail(new KerfError('executor', name, `${name}: ${message}`)))
    opened.push(worker)
    const { control } = worker
    await control.openHalf({ kernel: packKernel(kernel), modelDirectory: model.directory, spec, optimizer })
    return {
      forward({ activation, ...input }) {
        // What crosses must be whole buffers of its own: a view would bring all of the memory that it looks at.
        const own = activation?.slice()
        return control.forward(Comlink.transfer({ ...input, activation: own }, own ? [own.buffer] : []))
      },
      finish: (input) => control.finish(input),
      read: (set) => control.read(set),
      write: (set, state) => control.write(set, state),
      memory: () => control.memory(),
      close: () => worker.close(),
    }
  }
  const openLocal = async (spec: StageSpec): Promise<Half> => {
    const half = await openStageHalf(kernel, spec, model.weights, optimizer, clock.now)
    opened.push(half)
    return half
  }
  return {
    open: schemeOf(contract).models === 'each' ? openRemote : openLocal,
    failed,
    close: () => { for (const each of opened) each.close() },
  }
}

/** CRC32C of tokens and labels. */
function checksumData(crc32c: Crc32c, { sequences, labels }: TokenizedDataset): number {
  const parts = [...sequences.flatMap((sequence) => [Int32Array.of(sequence.length), sequence]), labels]
  const words = new Int32Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    words.set(part, at)
    at += part.length
  }
  return crc32c(new Uint8Array(words.buffer)) >>> 0
}

/** How devices reach the server. `failed` rejects when the run can't go on for a reason of the transport's. */
export type Connection = { failed: Promise<never>; close(): void }
export type Connect = (run: Run, contract: Contract) => Promise<Connection>

/** Trains one scheme in `out` and writes its adapter there. */
export async function conduct(setting: Setting, contract: Contract, out: string, connect: Connect): Promise<SchemeReport> {
  const { flags, kernel, stage, crc32c, model, labels, train, layout, initial, adapter, scheduler } = setting
  const field = join(out, 'checkpoint', 'round.safetensors')
  const resumed = flags.on('resume') && existsSync(field)
  const halves = createHalves(setting, contract)
  const deadlineMs = 1000 * flags.number('deadline-seconds', 0)
  const joinDeadlineMs = 1000 * (flags.has('join-seconds') ? flags.number('join-seconds', 0) : 600)
  const journal = await Journal.open(setting, contract, join(out, 'metrics.jsonl'))
  const run = startRun({
    contract, config: model.config, kernel, crc32c, clock, run: (contract.seed ^ model.fingerprint) >>> 0, scheduler, deadlineMs, joinDeadlineMs, stage,
    openHalf: halves.open, initial,
    inputs: { dataCrc: checksumData(crc32c, train), adapterCrc: crc32c(new Uint8Array(initial.buffer, initial.byteOffset, initial.byteLength)) >>> 0 },
    resume: resumed ? { bytes: readBytes(field), field } : undefined,
    async save(bytes, step) {
      journal.flush(step)
      saveAtomic(field, bytes)
      journal.savedRound = step
    },
    on: {
      ready: () => journal.ready(),
      step: (client, step, loss) => journal.step(client, step, loss),
      member: (client, what) => journal.member(client, what),
      interval: (step, vector) => journal.interval(step, vector),
    },
  })
  // Both are awaited below, once the devices have a way in.
  for (const failing of [run.result, halves.failed]) failing.catch(() => {})
  journal.begin(run, resumed)
  if (flags.on('resume') && !resumed) journal.note(`no checkpoint in ${dirname(field)}: starting from the beginning`)
  describeInterrupt(() => journal.interrupt(dirname(field)))
  const connection = await connect(run, contract)
  try {
    const { vector, ...measured } = await Promise.race([run.result, connection.failed, halves.failed])
    journal.flush(contract.steps)
    writeAdapter(out, vector, layout, model, adapter, labels)
    return { scheme: contract.scheme, scheduler: schemeOf(contract).models === 'none' ? 'none' : scheduler, ...measured, ...journal.summary() }
  } catch (error) {
    // Where it wasn't the run itself that failed, devices have not been told.
    run.server.stop(error)
    throw error
  } finally {
    journal.end()
    connection.close()
    halves.close()
  }
}
