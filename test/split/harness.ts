/**
 * A server and its devices in one thread, joined by link pairs that a test may watch,
 * alter or cut. Time stands still (clock.ts) and a run that hangs is an error.
 */
import { KerfError } from '../../runtime/error.ts'
import type { Run, RunOptions, RunResult } from '../../runtime/federation/run.ts'
import { AGGREGATE_DEFAULT } from '../../runtime/federation/aggregate.ts'
import { CLIP_DEFAULT } from '../../runtime/federation/clip.ts'
import { startRun } from '../../runtime/federation/run.ts'
import type { KernelBuild } from '../../runtime/kernel/load.ts'
import type { TokenizedDataset } from '../../runtime/data/dataset.ts'
import type { StageSpec } from '../../runtime/model/plan.ts'
import type { Contract } from '../../runtime/split/contract.ts'
import { optimizerOf } from '../../runtime/split/contract.ts'
import type { DeviceOptions, Provisions } from '../../runtime/split/device.ts'
import { runDevice } from '../../runtime/split/device.ts'
import type { Half } from '../../runtime/split/half.ts'
import { openStageHalf } from '../../runtime/split/half.stage.ts'
import type { Link } from '../../runtime/host/network.ts'
import { createLinkPair } from '../../runtime/split/link.ts'
import type { Admission } from '../../runtime/split/server/admission.ts'
import type { SchedulerName } from '../../runtime/split/schedule.ts'
import { PATIENCE_DEFAULT } from '../../runtime/split/server/pace.ts'
import type { Crc32c, FrameType } from '../../runtime/wire/frame.ts'
import { FRAME_TYPES } from '../../runtime/wire/frame.ts'
import { openKernelBuild } from '../kernels.ts'
import type { TestClock } from './clock.ts'
import { createTestClock } from './clock.ts'
import { FINGERPRINT, RUN, config, makeInitial, makeShares, openChecksum, weights } from './model.ts'

export const DEADLINE_MS = 1000
/** Of real time: no run of these tests takes a tenth of it. */
const HANG_MS = 20_000

export type Direction = 'up' | 'down'
/** One frame as it passes a link. */
export type Passage = { direction: Direction; client: number; type: FrameType; step: number; bytes: Uint8Array }
/** What becomes of a frame: the same, another, several, none, or the end of the link instead of it or after it. */
export type Fate = Uint8Array | readonly Uint8Array[] | 'lose' | 'cut' | 'cut-after' | void
export type Watch = (passage: Passage) => Fate
export type Step = { client: number; step: number; loss: number }
/** How a device's connection ended: the run's end, a broken link, or the refusal it met. */
export type Ending = 'done' | 'lost' | KerfError

export type Setup = {
  contract: Contract
  build?: KernelBuild
  scheduler?: SchedulerName
  shares?: readonly TokenizedDataset[]
  initial?: Float32Array
  resume?: Uint8Array
  /** Answers as a worker does: some turns later, in the order of the calls. */
  slowHalves?: boolean
  save?: (bytes: Uint8Array, step: number) => Promise<void>
  tell?: (client: number, step: number, loss: number) => void
  wrapHalf?: (half: Half) => Half
  /** The server's end of each link. */
  wrapLink?: (link: Link) => Link
  /** The server's, in place of the defaults; limits that only a program knows are off unless given. */
  options?: Partial<RunOptions>
  /** Who may join; without it every link is the run's own. */
  admission?: Admission
}

export type JoinOptions = Partial<Pick<DeviceOptions, 'name' | 'client' | 'key' | 'invitation' | 'progress' | 'link'>> & {
  watch?: Watch
  /** What the device brings instead of the scene's model and its client's share. */
  provide?: (provisions: Provisions) => Provisions
}

export type Scene = {
  run: Run
  clock: TestClock
  crc32c: Crc32c
  contract: Contract
  steps: Step[]
  events: string[]
  /** Files in the order in which they were saved. */
  saves: { step: number; bytes: Uint8Array }[]
  intervals: { step: number; vector: Float32Array }[]
  passages: Passage[]
  /** Joins a client's device on a new link. */
  join(client: number, options?: JoinOptions): Promise<Ending>
  /** A bare link to the server, for what no honest device sends; its frames pass as `client`'s. */
  connect(client: number, watch?: Watch): Link
  /** Resolves once `condition` holds, looked at after each turn. */
  until(condition: () => boolean, what: string): Promise<void>
  /** Lets everything happen that needs no time, then moves time by `ms`. */
  wait(ms: number): Promise<void>
  /** The run's result, or an error when it hangs. */
  finish(): Promise<RunResult>
}

function nameType(byte: number): FrameType {
  return (Object.keys(FRAME_TYPES) as FrameType[]).find((type) => FRAME_TYPES[type] === byte) ?? 'error'
}

function describe(client: number, direction: Direction, bytes: Uint8Array): Passage {
  const step = bytes.length >= 36 ? new DataView(bytes.buffer, bytes.byteOffset).getUint32(32, true) : 0
  return { direction, client, type: nameType(bytes[5]), step, bytes }
}

/** A link's end whose frames pass `watch` both ways. */
function watchLink(link: Link, client: number, passages: Passage[], watch: Watch): Link {
  const pass = (direction: Direction, bytes: Uint8Array): readonly Uint8Array[] => {
    const passage = describe(client, direction, bytes)
    const fate = watch(passage)
    if (fate === 'cut') link.close()
    const frames = fate === undefined || fate === 'cut-after' ? [bytes] : typeof fate === 'string' ? [] : fate instanceof Uint8Array ? [fate] : fate
    for (const frame of frames) passages.push(describe(client, direction, frame))
    if (fate === 'cut-after') setImmediate(() => link.close())
    return frames
  }
  const arrived: Uint8Array[] = []
  return {
    send: (frame) => { for (const bytes of pass('up', frame)) link.send(bytes) },
    async receive() {
      while (arrived.length === 0) {
        const bytes = await link.receive()
        if (!bytes) return null
        arrived.push(...pass('down', bytes))
      }
      return arrived.shift()!
    },
    admit: () => link.admit(),
    close: (reason) => link.close(reason),
    why: () => link.why(),
  }
}

/** A half whose answers come some turns after the calls, in their order. */
function slowDown(half: Half): Half {
  let queue: Promise<unknown> = Promise.resolve()
  const later = <T>(work: () => Promise<T>): Promise<T> => {
    const result = queue.then(async () => {
      for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => { setImmediate(resolve) })
      return work()
    })
    queue = result.catch(() => {})
    return result
  }
  return {
    numerics: half.numerics,
    forward: (input) => later(() => half.forward(input)),
    finish: (input) => later(() => half.finish(input)),
    read: (set) => later(() => half.read(set)),
    write: (set, state) => later(() => half.write(set, state)),
    memory: () => half.memory(),
    close: () => half.close(),
  }
}

function orHang<T>(promise: Promise<T>, what: () => string): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`hangs: ${what()}`)), HANG_MS)
    promise.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}

export async function openScene(setup: Setup): Promise<Scene> {
  const { contract, build = 'simd', scheduler = 'longest-backward', shares = makeShares(contract.cuts.length), slowHalves = false } = setup
  const [kernel, crc32c] = [await openKernelBuild(build), await openChecksum()]
  const initial = setup.initial ?? await makeInitial(contract.seed, build)
  const clock = createTestClock()
  const steps: Step[] = [], events: string[] = [], passages: Passage[] = []
  const saves: Scene['saves'] = [], intervals: Scene['intervals'] = []
  const open = (spec: StageSpec) => openStageHalf(kernel, spec, weights, optimizerOf(contract), clock.now)
  const wrap = (half: Half) => (setup.wrapHalf ?? ((same: Half) => same))(slowHalves ? slowDown(half) : half)
  const run = startRun({
    contract, config, kernel, crc32c, clock, run: RUN, scheduler, deadlineMs: DEADLINE_MS, joinDeadlineMs: 60 * DEADLINE_MS, initial,
    openHalf: async (spec) => wrap(await open(spec)), average: AGGREGATE_DEFAULT, clip: CLIP_DEFAULT, patience: PATIENCE_DEFAULT,
    admission: setup.admission,
    resume: setup.resume ? { bytes: setup.resume, field: 'checkpoint' } : undefined,
    async save(bytes, step) {
      await setup.save?.(bytes, step)
      saves.push({ step, bytes })
    },
    on: {
      ready: () => events.push('ready'),
      step(client, step, loss) {
        setup.tell?.(client, step, loss)
        steps.push({ client, step, loss })
      },
      member: (client, what) => { events.push(`${client} ${what}`) },
      stranger: (why) => { events.push(`stranger ${why}`) },
      interval: async (step, vector) => { intervals.push({ step, vector }) },
    },
    ...setup.options,
  })
  run.result.catch(() => {})
  const connect = (client: number, watch: Watch = () => {}): Link => {
    const [near, far] = createLinkPair()
    void run.server.attend((setup.wrapLink ?? ((same: Link) => same))(far))
    return watchLink(near, client, passages, watch)
  }
  const states = () => run.server.members.map(({ client, seat, course }) =>
    `${client} ${course.turn} at ${course.step}${seat.ready ? '' : ' absent'}`)
  const state = () => [...states(), ...events].join('; ')
  return {
    run, clock, crc32c, contract, steps, events, saves, intervals, passages, connect,
    join(client, options = {}) {
      const provisions: Provisions = { config, fingerprint: FINGERPRINT, data: shares[client], openHalf: open }
      return joinDevice(client, options, options.link ?? connect(client, options.watch), { clock, crc32c }, provisions)
    },
    until(condition, what) {
      let over = false
      const look = async () => { while (!over && !condition()) await clock.turn() }
      return orHang(look(), () => `${what}; ${state()}`).finally(() => { over = true })
    },
    async wait(ms) {
      const quiet = async () => {
        for (let still = 0, seen = -1; still < 50; still = passages.length === seen ? still + 1 : 0) {
          seen = passages.length
          await clock.turn()
        }
      }
      await quiet()
      clock.advance(ms)
      await quiet()
    },
    finish: () => orHang(run.result, state),
  }
}

async function joinDevice(
  client: number, { name = `device ${client}`, client: wanted = client, key, invitation, progress, provide = (same) => same }: JoinOptions,
  link: Link, party: { clock: TestClock; crc32c: Crc32c }, provisions: Provisions,
): Promise<Ending> {
  try {
    const done = await runDevice({
      name, client: wanted, key, invitation, link, progress, ...party,
      provide: async () => provide(provisions),
    })
    return done ? 'done' : 'lost'
  } catch (error) {
    if (error instanceof KerfError) return error
    throw error
  } finally {
    link.close()
  }
}

export type Outcome = RunResult & Pick<Scene, 'steps' | 'events' | 'saves' | 'intervals' | 'passages'> & { endings: Ending[] }

/** A whole run in which every device joins; `watch` sees all links. A device whose link breaks joins again. */
export async function train(setup: Setup, watch?: Watch): Promise<Outcome> {
  const scene = await openScene(setup)
  const stay = async (client: number): Promise<Ending> => {
    for (;;) {
      const ending = await scene.join(client, { watch })
      if (ending !== 'lost') return ending
    }
  }
  const endings = Promise.all(setup.contract.cuts.map((_, client) => stay(client)))
  const result = await scene.finish()
  const { steps, events, saves, intervals, passages } = scene
  return { ...result, steps, events, saves, intervals, passages, endings: await endings }
}

/** Losses as `client:step`, each as last told, for comparison of runs that took steps in another order or twice. */
export function sortLosses(steps: readonly Step[]): [string, number][] {
  const told = new Map(steps.map(({ client, step, loss }) => [`${client}:${step}`, loss]))
  return [...told].sort(([a], [b]) => (a < b ? -1 : 1))
}

