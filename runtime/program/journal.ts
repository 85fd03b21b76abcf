/** What a run tells while it goes: the progress line, metrics.jsonl, and measurements on the validation data when they are due. */
import { countLabels } from '../data/dataset.ts'
import type { Run } from '../federation/run.ts'
import { majorityShare } from '../model/scores.ts'
import type { SchemeReport } from '../report/report.ts'
import type { Contract } from '../split/contract.ts'
import { schemeOf, stepsPerRound } from '../split/scheme.ts'
import type { ProgramHost } from './host.ts'
import { Metrics, readMetrics } from './metrics.ts'
import type { Progress } from './progress.ts'
import { createProgress } from './progress.ts'
import type { Measured, Prepared, RunSettings } from './run.ts'

const UNMEASURED: Measured = { accuracy: NaN, loss: NaN, macroF1: NaN }

/** Rounds from one measurement to the next: an eighth of the run. `central` does all devices' steps in one. */
function measureEvery({ evalEvery, clients }: RunSettings, { scheme, steps }: Contract): number {
  return evalEvery === undefined ? Math.ceil(steps / 8) : evalEvery * stepsPerRound(scheme, clients)
}

/** Where the metrics go. `claim` makes room there before the first file is replaced, and gives the line that says so. */
export type Place = { path: string; claim(): Promise<string | null> }

export class Journal {
  /** Rounds in the last checkpoint; none before the first. */
  savedRound: number | undefined
  private readonly host: ProgramHost
  private readonly prepared: Prepared
  private readonly contract: Contract
  private readonly path: string
  private readonly before: Measured
  private readonly every: number
  private readonly progress: Progress
  private metrics: Metrics
  /** Steps done by each client. */
  private done: number[]

  private constructor(host: ProgramHost, prepared: Prepared, contract: Contract, { path, claim }: Place, before: Measured) {
    this.host = host
    this.prepared = prepared
    this.contract = contract
    this.path = path
    this.every = measureEvery(prepared.settings, contract)
    this.before = before
    this.progress = createProgress(host.terminal.screen, host.clock.now)
    this.done = contract.cuts.map(() => 0)
    this.metrics = new Metrics(host.files, path, schemeOf(contract).turns, [], async () => {
      const line = await claim()
      if (line !== null) this.note(line)
    })
  }

  /** Measures the set that the run begins with. */
  static async open(host: ProgramHost, prepared: Prepared, contract: Contract, place: Place): Promise<Journal> {
    const before = prepared.validation.sequences.length > 0 ? await prepared.evaluateInitial() : UNMEASURED
    return new Journal(host, prepared, contract, place, before)
  }

  /** Takes over what the metrics hold of the rounds before a resumed run. */
  async resume(run: Run): Promise<void> {
    const { files } = this.host
    this.done = this.done.map((_, client) => run.done(client))
    const events = await readMetrics(files, this.path)
    const kept = events.filter((event) => (event.event === 'step' ? event.round < run.done(event.client) : event.round <= run.firstStep))
    this.metrics = new Metrics(files, this.path, schemeOf(this.contract).turns, kept, async () => {})
    this.savedRound = run.firstStep
    this.note(`going on from round ${run.firstStep} of ${this.contract.steps}`)
  }

  private get total(): number {
    return this.contract.steps * this.contract.cuts.length
  }

  private get finished(): number {
    return this.done.reduce((sum, steps) => sum + steps, 0)
  }

  private get last(): Measured & { round: number } {
    return this.metrics.evaluations.at(-1) ?? { ...this.before, round: 0 }
  }

  ready(): void {
    this.prepared.kernelLines.forEach((line) => this.note(line))
    this.progress.update(this.finished, this.total, `${this.contract.scheme}: training`)
  }

  step(client: number, step: number, loss: number): void {
    this.done[client] = step + 1
    this.metrics.addStep(step, client, loss)
    const { accuracy } = this.last
    const measured = Number.isNaN(accuracy) ? '' : `, accuracy ${(100 * accuracy).toFixed(1)} %`
    this.progress.update(this.finished, this.total, `${this.contract.scheme}: loss ${loss.toFixed(3)}${measured}`)
  }

  member(client: number, what: string): void {
    const parts = what === 'left' || what.startsWith('left:')
    if (what !== 'joined' && !(parts && this.finished >= this.total)) this.note(`device ${client} ${what}`)
  }

  /** After an aggregation: measures where it is due and has not been done before a stop. */
  async interval(step: number, vector: Float32Array): Promise<void> {
    const { round } = this.last
    const due = step - round >= this.every || step === this.contract.steps
    if (!due || round === step || Number.isNaN(this.before.accuracy)) return
    const { accuracy, loss, macroF1 } = await this.prepared.evaluate(vector)
    await this.metrics.addEvaluation({ event: 'eval', round: step, accuracy, loss, macroF1 })
  }

  note(line: string): void {
    this.progress.note(line)
  }

  flush(round: number): Promise<void> {
    return this.metrics.flush(round)
  }

  /** The line for a run that is interrupted. */
  interrupt(directory: string): string {
    this.progress.end()
    if (this.savedRound === undefined) return 'interrupted before the first checkpoint: the same command starts again'
    return `interrupted: the same command with --resume goes on from round ${this.savedRound} of ${this.contract.steps} in ${directory}`
  }

  end(): void {
    this.progress.end()
  }

  /** Rounds as all schemes count them: `central` takes a round's samples of all devices in as many steps. */
  private roundOf(step: number): number {
    return step / stepsPerRound(this.contract.scheme, this.prepared.settings.clients)
  }

  /** What the report says beside the run's own account. Numbers that were not measured are NaN, null in JSON. */
  summary(): Pick<SchemeReport, 'rounds' | 'accuracyBefore' | 'accuracyAfter' | 'macroF1After' | 'lossAfter' | 'majorityAccuracy' | 'losses' | 'evaluations'> {
    const { validation, labels } = this.prepared
    return {
      rounds: this.roundOf(this.contract.steps),
      accuracyBefore: this.before.accuracy, accuracyAfter: this.last.accuracy, macroF1After: this.last.macroF1, lossAfter: this.last.loss,
      majorityAccuracy: majorityShare(countLabels(validation.labels, labels.length)),
      losses: this.metrics.losses.map(({ round, client, loss }) => ({ round: this.roundOf(round), client, loss })),
      evaluations: this.metrics.evaluations.map(({ round, accuracy, loss }) => ({ round: this.roundOf(round), accuracy, loss })),
    }
  }
}
