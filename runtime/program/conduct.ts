/**
 * A run of `kerf train` or `kerf serve` from what was prepared to its files: what is common to both transports. The
 * transport comes in as `connect`.
 */
import type { TokenizedDataset } from '../data/dataset.ts'
import { KerfError } from '../error.ts'
import type { Run } from '../federation/run.ts'
import { startRun } from '../federation/run.ts'
import { packKernel } from '../kernel/load.ts'
import type { StageSpec } from '../model/plan.ts'
import { ADAMW } from '../model/stage.ts'
import type { SchemeReport } from '../report/report.ts'
import type { Contract } from '../split/contract.ts'
import type { Executor } from '../split/executor.ts'
import { openExecutor } from '../split/executor.ts'
import { schemeOf } from '../split/scheme.ts'
import type { Crc32c } from '../wire/frame.ts'
import { isFile, readBytes, saveFile } from './files.ts'
import type { ProgramHost } from './host.ts'
import { Journal } from './journal.ts'
import { keepRun } from './kept.ts'
import { writeAdapter } from './model.ts'
import { joinPath, parentOf } from './path.ts'
import type { Prepared } from './run.ts'

/** The server's stages; `failed` rejects with code `executor` when one is lost. */
type Executors = { open(spec: StageSpec): Promise<Executor>; failed: Promise<never>; close(): void }

/** One stage in this thread or, for a model for each device, each in a worker. */
function createExecutors({ workers, clock }: ProgramHost, prepared: Prepared, contract: Contract): Executors {
  const { kernel, model } = prepared
  const optimizer = { ...ADAMW, learningRate: contract.learningRate, weightDecay: contract.weightDecay }
  const opened: { close(): void }[] = []
  let fail: (error: Error) => void
  const failed = new Promise<never>((_, reject) => { fail = reject })
  const openRemote = async (spec: StageSpec): Promise<Executor> => {
    const name = `executor ${opened.length}`
    const worker = workers.open(({ message }) => fail(new KerfError('executor', name, `${name}: ${message}`)))
    opened.push(worker)
    const { service } = worker
    const job = { kernel: packKernel(kernel), modelDirectory: model.directory, checksums: prepared.base.weights }
    await service.openExecutor({ ...job, spec, optimizer })
    return {
      step: (input) => service.step(workers.transfer(input, [input.activation.buffer])),
      read: (set) => service.read(set),
      write: (set, state) => service.write(set, state),
      memory: () => service.memory(),
      close: () => worker.close(),
    }
  }
  const openLocal = async (spec: StageSpec): Promise<Executor> => {
    const executor = await openExecutor(kernel, spec, model.weights, optimizer, clock.now)
    opened.push(executor)
    return executor
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

const JOIN_SECONDS = 600

export type ConductOptions = {
  contract: Contract
  /** Where adapter, metrics and checkpoint go. */
  out: string
  joinSeconds?: number
  connect: Connect
}

/** Trains one scheme in `out` and writes its adapter there. */
export async function conduct(host: ProgramHost, prepared: Prepared, { contract, out, joinSeconds = JOIN_SECONDS, connect }: ConductOptions): Promise<SchemeReport> {
  const { files, clock } = host
  const { settings, kernel, stage, crc32c, model, labels, train, layout, initial, adapter } = prepared
  const { scheduler } = settings
  const field = joinPath(out, 'checkpoint', 'round.safetensors')
  const resumed = settings.resume && await isFile(files, field)
  const executors = createExecutors(host, prepared, contract)
  const journal = await Journal.open(host, prepared, contract, joinPath(out, 'metrics.jsonl'))
  const kept = keepRun(contract, {
    build: kernel.build, dtype: settings.dtype, memory: settings.memory, dataCrc: checksumData(crc32c, train),
    adapterCrc: crc32c(new Uint8Array(initial.buffer, initial.byteOffset, initial.byteLength)) >>> 0,
  })
  const run = startRun({
    contract, config: model.config, kernel, crc32c, clock, run: (contract.seed ^ model.fingerprint) >>> 0, scheduler,
    deadlineMs: 1000 * settings.deadlineSeconds, joinDeadlineMs: 1000 * joinSeconds, stage,
    openExecutor: executors.open, initial, kept,
    resume: resumed ? { bytes: await readBytes(files, field), field } : undefined,
    async save(bytes, step) {
      await journal.flush(step)
      await saveFile(files, field, bytes, () => { journal.savedRound = step })
    },
    on: {
      ready: () => journal.ready(),
      step: (client, step, loss) => journal.step(client, step, loss),
      member: (client, what) => journal.member(client, what),
      interval: (step, vector) => journal.interval(step, vector),
    },
  })
  // Both are awaited below, once the devices have a way in.
  for (const failing of [run.result, executors.failed]) failing.catch(() => {})
  if (resumed) await journal.resume(run)
  else if (settings.resume) journal.note(`no checkpoint in ${parentOf(field)}: starting from the beginning`)
  host.interrupts.describe(() => journal.interrupt(parentOf(field)))
  const connection = await connect(run, contract)
  try {
    const { vector, ...measured } = await Promise.race([run.result, connection.failed, executors.failed])
    await journal.flush(contract.steps)
    await writeAdapter(files, out, vector, layout, model, adapter, labels, prepared.base)
    const order = schemeOf(contract).models === 'none' ? 'none' : scheduler
    return { scheme: contract.scheme, scheduler: order, ...measured, ...journal.summary() }
  } catch (error) {
    // Where it wasn't the run itself that failed, devices have not been told.
    run.server.stop(error)
    throw error
  } finally {
    journal.end()
    connection.close()
    executors.close()
  }
}
