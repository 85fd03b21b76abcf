/**
 * The run: interval by interval the server trains with its devices, then the full sets
 * (device part + server part) are merged (merge.ts), and the result is cut again at each
 * device's block. In `sl` the devices take turns on one set instead; a
 * run of one client has nothing to average and goes on without a break.
 */
import { refuse } from '../error.ts'
import { freshState } from '../model/optimizer.ts'
import type { Contract } from '../split/contract.ts'
import { schemeOf } from '../split/scheme.ts'
import type { ServingLoop } from '../split/server/interval.ts'
import type { Member } from '../split/server/member.ts'
import type { Snapshot, States } from '../split/server/states.ts'
import type { Checkpoint } from './checkpoint.ts'
import type { Given, Merge } from './merge.ts'

export type TrainingOptions = {
  contract: Contract
  members: readonly Member[]
  states: States
  loop: ServingLoop
  merge: Merge
  /** The full set to begin with, or a checkpoint to go on from. */
  start: Checkpoint
  /** The full set after an interval; a resumed run may tell of the last one again. */
  onInterval(step: number, vector: Float32Array): Promise<void>
  save(checkpoint: Checkpoint): Promise<void>
}

/** What an interval goes on from beside its base. */
type Midway = Pick<Checkpoint, 'states' | 'shared'>
const AFRESH: Midway = { states: new Map(), shared: null }

/** Trains to the last step; gives the full set. */
export async function train(options: TrainingOptions): Promise<Float32Array> {
  return new Training(options).run()
}

class Training {
  private readonly options: TrainingOptions
  private readonly alone: boolean
  /** The full set that the interval begins from. */
  private base: Float32Array
  /** Whose turn it is where one device works at a time. */
  private turn: number

  constructor(options: TrainingOptions) {
    const { contract, start } = options
    this.options = options
    this.alone = contract.cuts.length === 1
    // A run of one client has no aggregation: its set stands in its state.
    this.base = (this.alone ? start.states.get(0)?.params : undefined) ?? start.base
    this.turn = start.turn
  }

  async run(): Promise<Float32Array> {
    const { contract, start, save, onInterval } = this.options
    let step = start.step
    let midway: Midway = start
    // A run that stopped between a checkpoint and what follows it.
    if (step > 0 && this.turn === 0 && (step % contract.interval === 0 || step === contract.steps)) await onInterval(step, this.base)
    while (step < contract.steps) {
      const boundary = Math.floor(step / contract.interval) * contract.interval
      const until = Math.min(boundary + contract.interval, contract.steps)
      if (schemeOf(contract).turns) await this.takeTurns(boundary, until, midway)
      else await this.trainTogether(step, until, midway)
      step = until
      midway = AFRESH
      // A run of one client has its moments in the snapshot of the same step.
      if (!this.alone) await save({ step, turn: 0, base: this.base, ...AFRESH })
      await onInterval(step, this.base)
    }
    return this.base
  }

  private async trainTogether(begin: number, until: number, midway: Midway): Promise<void> {
    const { merge, members } = this.options
    const done = await this.runInterval(members.filter(isPresent), begin, until, midway)
    const given = []
    for (const member of done) given.push(await this.collect(member))
    this.base = this.alone ? given[0].vector : await merge(this.base, given)
  }

  private async collect(member: Member): Promise<Given> {
    const { client, seat } = member
    return { client, vector: await this.options.states.fullSet(member), samples: seat.share!.samples }
  }

  private async takeTurns(begin: number, until: number, midway: Midway): Promise<void> {
    const { contract, members, merge, start, save } = this.options
    // Those before a checkpoint's turn had theirs.
    let finished = this.turn
    for (let left = midway; this.turn < contract.cuts.length; this.turn++, left = AFRESH) {
      const working = [members[this.turn]].filter(isPresent)
      const [member] = working.length > 0 ? await this.runInterval(working, left.states.size > 0 ? start.step : begin, until, left) : []
      if (!member) continue
      finished++
      this.base = await merge(this.base, [await this.collect(member)])
      if (this.turn + 1 < contract.cuts.length) await save({ step: begin, turn: this.turn + 1, base: this.base, ...AFRESH })
    }
    if (finished === 0) refuse('run-alone', 'devices', 'at least one that finished its turn', 'none')
    this.turn = 0
  }

  /** One stretch of steps by some clients from the base; returns those that finished. */
  private async runInterval(working: readonly Member[], begin: number, until: number, { states, shared }: Midway): Promise<Member[]> {
    const { contract, loop, save } = this.options
    const { base, turn } = this
    const boundary = Math.floor(begin / contract.interval) * contract.interval
    const goesOn = this.alone && begin > 0 && states.size === 0
    const snapshot: Snapshot = (step, snapshots, set) => save({ step, turn, base, states: snapshots, shared: set })
    const done = await loop.run({
      clients: working.map(({ client }) => client), begin, until, shared, snapshot, origin: this.alone ? null : { base, step: boundary },
      start: (client) => (goesOn ? null : states.get(client) ?? freshState(base)),
    })
    if (done.length === 0 && !schemeOf(contract).turns) refuse('run-alone', 'devices', 'at least one that finished the interval', 'none')
    return done
  }
}

/** Connected, or gone so briefly that it is waited for. */
function isPresent({ seat, course }: Member): boolean {
  return seat.ready || course.turn !== 'left'
}
