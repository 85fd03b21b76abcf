/**
 * One run on the server's side, whatever the transport: opens the server's blocks as
 * the scheme wants them, trains, evaluates, and accounts for memory, bytes and time.
 */
import type { Kernel } from '../kernel/load.ts'
import { profileOf } from '../kernel/load.ts'
import { measureStage } from '../model/budget.ts'
import type { ModelConfig } from '../model/config.ts'
import { layoutOf } from '../model/layout.ts'
import type { StageOptions, StageSpec } from '../model/plan.ts'
import type { Contract } from '../split/contract.ts'
import type { Half } from '../split/half.ts'
import type { Clock } from '../host/clock.ts'
import type { ServingLoop } from '../split/server/interval.ts'
import type { Member } from '../split/server/member.ts'
import type { Admission } from '../split/server/admission.ts'
import { Server } from '../split/server/server.ts'
import type { Place } from '../split/server/states.ts'
import type { SchedulerName } from '../split/schedule.ts'
import { chooseScheduler } from '../split/schedule.ts'
import { schemeOf } from '../split/scheme.ts'
import { broughtOf } from '../split/share.ts'
import type { BatchSize } from '../split/spec.ts'
import { deviceSpec } from '../split/spec.ts'
import type { Span } from '../split/stats.ts'
import type { Crc32c } from '../wire/frame.ts'
import type { DeviceReport, ServerReport } from './account.ts'
import { soundMemory, soundStats } from './claims.ts'
import type { AggregateName } from './aggregate.ts'
import { openAggregate } from './aggregate.ts'
import type { Checkpoint } from './checkpoint.ts'
import { decodeCheckpoint, encodeCheckpoint, stepsDone } from './checkpoint.ts'
import { createMerge } from './merge.ts'
import { train } from './training.ts'

export type RunOptions = {
  contract: Contract
  config: ModelConfig
  kernel: Kernel
  crc32c: Crc32c
  clock: Clock
  run: number
  scheduler: SchedulerName
  deadlineMs: number
  joinDeadlineMs: number
  patience: number
  /** How contributions become one set, and the factor over the median norm from which an update is clipped; 0: never. */
  average: AggregateName
  clip: number
  /** What devices say and send is measured against these where they are given; see merge.ts and intake.ts. */
  samplesMax?: number
  activationMax?: readonly number[]
  trial?(vector: Float32Array): Promise<number>
  stage?: StageOptions
  /** Who may join; without it every link is the run's own. */
  admission?: Admission
  /** Opens the server's half of a model, in this thread or another. */
  openHalf(spec: StageSpec): Promise<Half>
  /** The full set to begin with. */
  initial: Float32Array
  /** All that decides the run's bits but what devices bring; a checkpoint that was kept with anything else is refused by name. The contract, unless given. */
  kept?: Readonly<Record<string, unknown>>
  /** A checkpoint's bytes to go on from, and its file's name for errors. */
  resume?: { bytes: Uint8Array; field: string }
  /** Keeps a checkpoint's bytes, whole or not at all. */
  save(bytes: Uint8Array, step: number): Promise<void>
  on: {
    ready(): void
    step(client: number, step: number, loss: number): void
    member(client: number, what: string): void
    /** Why somebody was refused who is no member. */
    stranger?(why: string): void
    interval(step: number, vector: Float32Array): Promise<void>
  }
}

export type RunResult = { vector: Float32Array; devices: readonly DeviceReport[]; server: ServerReport; timeline: readonly Span[]; wallMs: number }

/** `server.attend` takes connections; `done` gives the steps of a client before this start; `result` settles when the run has ended. */
export type Run = { server: Server; firstStep: number; done(client: number): number; result: Promise<RunResult> }

export function startRun(options: RunOptions): Run {
  const { contract, config, clock, crc32c, run, deadlineMs, patience, activationMax, admission, on } = options
  const layout = layoutOf(config, contract.adapter, contract.labels.length, 0, config.layers)
  const kept = JSON.stringify(options.kept ?? contract)
  const resumed = options.resume && decodeCheckpoint(options.resume.bytes, layout, { kept, contract }, options.resume.field, crc32c)
  const start: Checkpoint = resumed ?? { step: 0, turn: 0, base: options.initial, states: new Map(), shared: null }
  const scheduler = chooseScheduler(options.scheduler)
  const server = new Server({
    contract, config, profile: profileOf(options.kernel.build), run, clock, crc32c, deadlineMs, patience, scheduler, activationMax, admission, on,
    brought: resumed?.brought,
  })

  const conduct = async (): Promise<RunResult> => {
    const openedMs = clock.now()
    await server.door.gather(options.joinDeadlineMs)
    const shares = server.members.map(({ seat }) => seat.share!)
    const brought = shares.map(broughtOf)
    const { places, halves } = await openPlaces(options, shares)
    const { states, loop } = server.open(places)
    const { clip, samplesMax = Infinity, trial = async () => 0 } = options
    const average = await openAggregate(options.average, options.kernel, layout.count)
    const merge = createMerge({ average, clip, samplesMax, trial, tell: on.member })
    on.ready()
    const beginMs = clock.now()
    const vector = await train({
      contract, members: server.members, states, loop, merge, start, onInterval: on.interval,
      save: (checkpoint) => options.save(encodeCheckpoint(checkpoint, { kept, brought }, crc32c), checkpoint.step),
    })
    const wallMs = clock.now() - beginMs
    await server.door.finish(deadlineMs)
    return { vector, wallMs, ...(await account(server, loop, options, { halves, beginMs: openedMs, samplesMax })) }
  }
  const result = conduct().catch((error: unknown) => {
    server.stop(error)
    throw error
  })
  return { server, firstStep: start.step, done: (client) => stepsDone(start, contract, client), result }
}

/**
 * The specifications of the server's stages: one model for all devices, with a set for
 * each (kerf) or a single one (sl, splitlora); a model for each (sfl); none (fl, central).
 */
export function serverSpecs(config: ModelConfig, contract: Contract, sizes: readonly BatchSize[], options: StageOptions = {}): StageSpec[] {
  const { cuts, labels, adapter } = contract
  const { models, sets } = schemeOf(contract)
  if (models === 'none') return []
  const spec = (from: number, setsFrom: readonly number[], own: readonly BatchSize[]): StageSpec => ({
    ...options, config, from, to: config.layers, labels: labels.length, adapter, training: 'adapters', setsFrom,
    rows: Math.max(...own.map(({ rows }) => rows)), sequences: Math.max(...own.map(({ sequences }) => sequences)),
    longest: Math.max(...own.map(({ longest }) => longest)),
  })
  if (models === 'each') return cuts.map((cut, client) => spec(cut, [cut], [sizes[client]]))
  const first = Math.min(...cuts)
  return [spec(first, sets === 'each' ? cuts : [first], sizes)]
}

async function openPlaces(options: RunOptions, sizes: readonly BatchSize[]): Promise<{ places: (Place | null)[]; halves: Half[] }> {
  const { contract, config } = options
  const { models, sets } = schemeOf(contract)
  const specs = serverSpecs(config, contract, sizes, options.stage)
  const halves: Half[] = []
  for (const spec of specs) halves.push(await options.openHalf(spec))
  const places = contract.cuts.map((cut, client): Place | null => {
    if (specs.length === 0) return null
    if (models === 'each') return { half: halves[client], set: 0, from: cut }
    if (sets === 'each') return { half: halves[0], set: client, from: cut }
    return { half: halves[0], set: 0, from: specs[0].from }
  })
  return { places, halves }
}

type Accounted = { halves: readonly Half[]; beginMs: number; samplesMax: number }

async function account(
  { members }: Server, { spans, computeMs, waitMs }: ServingLoop, { contract, config, kernel, clock }: RunOptions,
  { halves, beginMs, samplesMax }: Accounted,
): Promise<Omit<RunResult, 'vector' | 'wallMs'>> {
  const time = { beginMs, endMs: clock.now() }
  const told = members.map(({ inbox: { stats } }) => (stats ? soundStats(stats, time) : null))
  const planned = ({ cut, seat }: Member) => measureStage(deviceSpec(config, contract, cut, seat.share!), kernel.exports)
  const memories = await Promise.all(halves.map((half) => half.memory()))
  const sum = (name: 'bytes' | 'modelBytes' | 'setBytes') => memories.reduce((total, memory) => total + memory[name], 0)
  const devices = members.map((member): DeviceReport => {
    const { client, cut, seat: { share, upBytes, downBytes, drops }, course } = member
    const { samples, labelCounts, memoryBytes } = share!
    const { computeMs, waitMs } = told[client] ?? { computeMs: 0, waitMs: 0 }
    return {
      client, cut, samples: Math.min(samples, samplesMax), labelCounts, memoryBytes: soundMemory(memoryBytes, planned(member)),
      upBytes, downBytes, computeMs, waitMs, steps: course.step, drops,
    }
  })
  const deviceSpans = told.flatMap((stats, client) => (stats?.spans ?? []).map((span): Span => ({ ...span, party: `device ${client}` })))
  const timeline = [...spans, ...deviceSpans].sort((a, b) => a.beginMs - b.beginMs)
  const origin = timeline[0]?.beginMs ?? 0
  return {
    devices,
    server: {
      memoryBytes: sum('bytes'), modelBytes: sum('modelBytes'), setBytes: sum('setBytes'),
      computeMs, waitMs: schemeOf(contract).models === 'none' ? 0 : waitMs,
    },
    timeline: timeline.map((span) => ({ ...span, beginMs: span.beginMs - origin, endMs: span.endMs - origin })),
  }
}
