/**
 * metrics.jsonl: one object a line, a step of a device or a measurement. Lines stand in the order of rounds and clients,
 * whatever the order of work, so two runs of one seed give the same file, and so does one that was stopped and resumed.
 */
import type { Files } from '../host/files.ts'
import { appendText, isFile, readText, saveFile } from './files.ts'

export type StepEvent = { event: 'step'; round: number; client: number; step: number; loss: number }
export type EvaluationEvent = { event: 'eval'; round: number; accuracy: number; loss: number; macroF1: number }
export type MetricsEvent = StepEvent | EvaluationEvent

const NUMBERS = { step: ['round', 'client', 'step', 'loss'], eval: ['round', 'accuracy', 'loss', 'macroF1'] } as const

/** The event of one line, or none where the line is damaged, as the last of a killed run may be. */
function parseLine(line: string): MetricsEvent[] {
  try {
    const value = JSON.parse(line) as MetricsEvent
    const fields = value as unknown as Readonly<Record<string, unknown>>
    return NUMBERS[value.event].every((name) => typeof fields[name] === 'number') ? [value] : []
  } catch {
    return []
  }
}

/** What an earlier run has written, without damaged lines. */
export async function readMetrics(files: Files, path: string): Promise<MetricsEvent[]> {
  return (await isFile(files, path)) ? (await readText(files, path)).split('\n').flatMap(parseLine) : []
}

function formatLines(events: readonly MetricsEvent[]): string {
  return events.map((event) => `${JSON.stringify(event)}\n`).join('')
}

export class Metrics {
  readonly losses: StepEvent[] = []
  readonly evaluations: EvaluationEvent[] = []
  private readonly files: Files
  private readonly path: string
  /** Devices take turns: lines stand in the order of work. */
  private readonly inTurns: boolean
  private kept: readonly MetricsEvent[] | null
  private readonly begin: () => Promise<void>
  /** By round and client: a device that comes back does some steps again. */
  private pending = new Map<string, StepEvent>()

  /** Nothing is written before the first flush, which calls `begin` and replaces the file by `kept` and what came since. */
  constructor(files: Files, path: string, inTurns: boolean, kept: readonly MetricsEvent[], begin: () => Promise<void>) {
    this.files = files
    this.path = path
    this.inTurns = inTurns
    this.kept = kept
    this.begin = begin
    kept.forEach((event) => this.remember(event))
  }

  private remember(event: MetricsEvent): void {
    if (event.event === 'step') this.losses.push(event)
    else this.evaluations.push(event)
  }

  addStep(round: number, client: number, loss: number): void {
    this.pending.set(`${round}/${client}`, { event: 'step', round, client, step: round, loss })
  }

  /** A measurement after `round` rounds; the steps before it go first. */
  addEvaluation(event: EvaluationEvent): Promise<void> {
    return this.write([...this.take(event.round), event])
  }

  /** Writes the steps of the rounds before `round`: all that will come of them has come. What is written lasts. */
  flush(round: number): Promise<void> {
    return this.write(this.take(round))
  }

  private take(round: number): StepEvent[] {
    const all = [...this.pending.values()]
    const ready = this.inTurns ? all : all.filter((event) => event.round < round).sort((a, b) => a.round - b.round || a.client - b.client)
    for (const event of ready) this.pending.delete(`${event.round}/${event.client}`)
    return ready
  }

  private async write(events: readonly MetricsEvent[]): Promise<void> {
    events.forEach((event) => this.remember(event))
    const { kept } = this
    this.kept = null
    if (kept) await saveFile(this.files, this.path, formatLines([...kept, ...events]), { whole: this.begin })
    else if (events.length > 0) await appendText(this.files, this.path, formatLines(events))
  }
}
