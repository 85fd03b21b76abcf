/**
 * A run of `kerf train` or `kerf serve` from what was prepared to its files: what is common to both transports. The
 * transport comes in as `connect`.
 */
import { checksumData } from '../data/dataset.ts'
import { KerfError } from '../error.ts'
import type { Run } from '../federation/run.ts'
import { startRun } from '../federation/run.ts'
import { packKernel } from '../kernel/load.ts'
import { activationMax } from '../model/bound.ts'
import type { StageSpec } from '../model/plan.ts'
import type { SchemeReport } from '../report/report.ts'
import type { Contract } from '../split/contract.ts'
import { optimizerOf } from '../split/contract.ts'
import type { Half } from '../split/half.ts'
import { numericsOf, openStageHalf } from '../split/half.stage.ts'
import { schemeOf } from '../split/scheme.ts'
import type { Admission } from '../split/server/admission.ts'
import { moveRunAside } from './earlier.ts'
import { describeFailure } from './failure.ts'
import { tryWriting } from './files.ts'
import type { ProgramHost } from './host.ts'
import type { Place } from './journal.ts'
import { Journal } from './journal.ts'
import { keepRun } from './kept.ts'
import { writeAdapter } from './model.ts'
import { joinPath } from './path.ts'
import { openRounds } from './rounds.ts'
import type { Prepared } from './run.ts'

/** The server's halves; `failed` rejects with code `executor` when one is lost. */
type Halves = { open(spec: StageSpec): Promise<Half>; failed: Promise<never>; close(): void }

/** One half in this thread or, where each device has a model of its own, each in a worker. */
function createHalves({ workers, clock }: ProgramHost, { kernel, model, base }: Prepared, contract: Contract): Halves {
  const optimizer = optimizerOf(contract)
  const opened: { close(): void }[] = []
  let fail: (error: Error) => void
  const failed = new Promise<never>((_, reject) => { fail = reject })
  const openRemote = async (spec: StageSpec): Promise<Half> => {
    const name = `executor ${opened.length}`
    const nameError = (error: unknown) => new KerfError('executor', name, `${name}: ${describeFailure(error)}`)
    // What a worker refuses comes back without its class.
    const ask = <T>(answer: Promise<T>) => answer.catch((error: unknown): never => { throw nameError(error) })
    const worker = workers.open((error) => fail(nameError(error)))
    opened.push(worker)
    const { service } = worker
    const job = { kernel: packKernel(kernel), modelDirectory: model.directory, checksums: base.weights }
    await ask(service.openHalf({ ...job, spec, optimizer }))
    return {
      numerics: numericsOf(kernel, spec),
      forward({ activation, ...input }) {
        // What crosses must be whole buffers of its own: a view would bring all of the memory that it looks at.
        const own = activation?.slice()
        return ask(service.forward(workers.transfer({ ...input, activation: own }, own ? [own.buffer] : [])))
      },
      finish: (input) => ask(service.finish(input)),
      read: (set) => ask(service.read(set)),
      write: (set, state) => ask(service.write(set, state)),
      memory: () => ask(service.memory()),
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

/** For each client, what its activations can't exceed; nothing where none travel. */
async function limitActivations({ model: { config, weights } }: Prepared, contract: Contract): Promise<readonly number[] | undefined> {
  if (schemeOf(contract).whole) return undefined
  const byCut = new Map<number, number>()
  for (const cut of new Set(contract.cuts)) byCut.set(cut, await activationMax(config, weights, cut))
  return contract.cuts.map((cut) => byCut.get(cut)!)
}

/** How devices reach the server. `failed` rejects when the run can't go on for a reason of the transport's. */
export type Connection = { failed: Promise<never>; close(): void }
export type Connect = (run: Run, contract: Contract, note: (line: string) => void) => Promise<Connection>

const JOIN_SECONDS = 600

export type ConductOptions = {
  contract: Contract
  /** Where adapter, metrics and checkpoint go. */
  out: string
  /** See journal.ts. */
  claim: Place['claim']
  joinSeconds?: number
  /** Who may join; without it every link is the run's own. */
  admission?: Admission
  connect: Connect
}

/** Makes room in `out` once, for a run that does not go on with what its schemes have left in `places`. */
export async function claimOut(
  { files }: ProgramHost, { out, resume }: Prepared['settings'], places: readonly string[],
): Promise<Place['claim']> {
  let claimed = false
  for (const place of places) if (resume && await openRounds(files, joinPath(place, 'checkpoint'), 1).read()) claimed = true
  return async () => {
    if (claimed) return null
    claimed = true
    return moveRunAside(files, out)
  }
}

/** Trains one scheme in `out` and writes its adapter there. */
export async function conduct(
  host: ProgramHost, prepared: Prepared, { contract, out, claim, joinSeconds = JOIN_SECONDS, admission, connect }: ConductOptions,
): Promise<SchemeReport> {
  const { files, clock } = host
  const { settings, kernel, stage, crc32c, model, labels, train, layout, initial, adapter } = prepared
  const { scheduler, average, clip, patience } = settings
  const rounds = openRounds(files, joinPath(out, 'checkpoint'), settings.keepCheckpoints)
  const resume = settings.resume ? await rounds.read() : undefined
  const halves = createHalves(host, prepared, contract)
  const journal = await Journal.open(host, prepared, contract, { path: joinPath(out, 'metrics.jsonl'), claim })
  const kept = keepRun(contract, {
    build: kernel.build, dtype: settings.dtype, memory: settings.memory, average, clip, dataCrc: checksumData(crc32c, train),
    adapterCrc: crc32c(new Uint8Array(initial.buffer, initial.byteOffset, initial.byteLength)) >>> 0,
  })
  const run = await rounds.explain(resume, async () => startRun({
    contract, config: model.config, kernel, crc32c, clock, run: (contract.seed ^ model.fingerprint) >>> 0, scheduler,
    deadlineMs: 1000 * settings.deadlineSeconds, joinDeadlineMs: 1000 * joinSeconds, stage,
    openHalf: halves.open, initial, kept, resume, patience, average, clip, admission,
    samplesMax: Math.max(contract.steps * contract.batch, train.sequences.length), activationMax: await limitActivations(prepared, contract),
    trial: prepared.trial,
    save: (bytes, step) => rounds.save(bytes, async () => {
      // A disk without room for a checkpoint leaves what an earlier run has left in its place.
      await journal.flush(step)
      journal.savedRound = step
    }),
    on: {
      ready: () => journal.ready(),
      step: (client, step, loss) => journal.step(client, step, loss),
      member: (client, what) => journal.member(client, what),
      stranger: (why) => journal.note(`refused a device: ${why}`),
      interval: (step, vector) => journal.interval(step, vector),
    },
  }))
  // Both are awaited below, once the devices have a way in.
  for (const failing of [run.result, halves.failed]) failing.catch(() => {})
  if (resume) await journal.resume(run)
  else if (settings.resume) journal.note(`no checkpoint in ${rounds.directory}: starting from the beginning`)
  host.interrupts.describe(() => journal.interrupt(rounds.directory))
  const connection = await connect(run, contract, (line) => journal.note(line))
  try {
    // Not before: a call that is refused leaves nothing behind.
    await tryWriting(files, out)
    const { vector, ...measured } = await Promise.race([run.result, connection.failed, halves.failed])
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
    halves.close()
  }
}
