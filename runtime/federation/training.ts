/**
 * The run: interval by interval the server trains with its devices, then FedAvg merges
 * the full sets (device part + server part) weighted by samples, and the result is cut
 * again at each device's block. In `sl` the devices take turns on one set instead; a
 * run of one client has nothing to average and goes on without a break.
 */
import { refuse } from '../error.ts'
import type { SetState } from '../model/optimizer.ts'
import { freshState } from '../model/optimizer.ts'
import type { Contract } from '../split/contract.ts'
import type { Member } from '../split/member.ts'
import { schemeOf } from '../split/scheme.ts'
import type { Server } from '../split/server.ts'
import type { Average } from './average.ts'
import type { Checkpoint } from './checkpoint.ts'

export type TrainingOptions = {
  contract: Contract
  server: Server
  average: Average
  /** The full set to begin with, or a checkpoint to go on from. */
  start: Checkpoint
  /** The full set after an interval; a resumed run may tell of the last one again. */
  onInterval(step: number, vector: Float32Array): Promise<void>
  save(checkpoint: Checkpoint): Promise<void>
}

/** What `train` shares with the server's snapshot callback. */
export type Training = {
  run(): Promise<Float32Array>
  snapshot(step: number, shared: SetState | null): Promise<void>
}

/** What an interval goes on from beside its base. */
type Midway = Pick<Checkpoint, 'states' | 'shared'>
const AFRESH: Midway = { states: new Map(), shared: null }

export function createTraining(options: TrainingOptions): Training {
  const { contract, server, average, start, save, onInterval } = options
  const alone = contract.cuts.length === 1
  const inTurns = schemeOf(contract).turns
  // A run of one client has no aggregation: its set stands in its state.
  let base = (alone ? start.states.get(0)?.params : undefined) ?? start.base
  let turn = start.turn

  const fullSet = async (member: Member): Promise<Float32Array> => {
    const { params } = await server.complete(member, freshState(member.upload!))
    return params
  }

  /** One stretch of steps by some clients from `base`; returns those that finished. */
  const runInterval = async (clients: readonly number[], begin: number, until: number, { states, shared }: Midway): Promise<Member[]> => {
    const goesOn = alone && begin > 0 && states.size === 0
    await server.runInterval({
      clients, begin, until, shared,
      start: (client) => (goesOn ? null : states.get(client) ?? freshState(base)),
    })
    const done = clients.map((client) => server.members[client]).filter((member) => member.turn === 'done')
    if (done.length === 0 && !inTurns) refuse('run-alone', 'devices', 'at least one that finished the interval', 'none')
    return done
  }

  const takeTurns = async (begin: number, until: number, midway: Midway): Promise<void> => {
    // Those before a checkpoint's turn had theirs.
    let finished = turn
    for (let left = midway; turn < contract.cuts.length; turn++, left = AFRESH) {
      const clients = [turn].filter((client) => isPresent(server.members[client]))
      const [member] = clients.length > 0 ? await runInterval(clients, left.states.size > 0 ? start.step : begin, until, left) : []
      if (!member) continue
      finished++
      base = await fullSet(member)
      if (turn + 1 < contract.cuts.length) await save({ step: begin, turn: turn + 1, base, ...AFRESH })
    }
    if (finished === 0) refuse('run-alone', 'devices', 'at least one that finished its turn', 'none')
    turn = 0
  }

  const trainTogether = async (begin: number, until: number, midway: Midway): Promise<void> => {
    const clients = server.members.filter(isPresent).map(({ client }) => client)
    const done = await runInterval(clients, begin, until, midway)
    const contributions = []
    for (const member of done) contributions.push({ vector: await fullSet(member), samples: member.share!.samples })
    base = alone ? contributions[0].vector : average(contributions)
  }

  return {
    async run() {
      let step = start.step
      let midway: Midway = start
      // A run that stopped between a checkpoint and what follows it.
      if (step > 0 && turn === 0 && (step % contract.interval === 0 || step === contract.steps)) await onInterval(step, base)
      while (step < contract.steps) {
        const boundary = Math.floor(step / contract.interval) * contract.interval
        const until = Math.min(boundary + contract.interval, contract.steps)
        if (inTurns) await takeTurns(boundary, until, midway)
        else await trainTogether(step, until, midway)
        step = until
        midway = AFRESH
        // A run of one client has its moments in the snapshot of the same step.
        if (!alone) await save({ step, turn: 0, base, ...AFRESH })
        await onInterval(step, base)
      }
      return base
    },
    async snapshot(step, shared) {
      const present = server.members.filter(({ snapshots }) => snapshots.has(step))
      const states = new Map(present.map(({ client, snapshots }) => [client, snapshots.get(step)!]))
      await save({ step, turn, base, states, shared })
    },
  }
}

/** Connected, or gone so briefly that it is waited for. */
function isPresent({ ready, turn }: Member): boolean {
  return ready || turn !== 'left'
}
