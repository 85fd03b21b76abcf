/**
 * States that hold together: the places of the clients' server parts, full sets of a device's half and the server's after the
 * same steps, and which of those are saved. So a run goes on from its checkpoint, and a device that comes back from a moment
 * that both halves are known to have had.
 */
import { refuse } from '../../error.ts'
import type { Layout } from '../../model/layout.ts'
import { prefixCount } from '../../model/layout.ts'
import type { SetState } from '../../model/optimizer.ts'
import { freshState, joinStates, sliceState } from '../../model/optimizer.ts'
import type { Contract } from '../contract.ts'
import type { Half } from '../half.ts'
import { schemeOf } from '../scheme.ts'
import { isStateDue } from '../state.ts'
import type { Member } from './member.ts'

/** Where a client's server part lives: a set of a half that begins at block `from`. */
export type Place = { half: Half; set: number; from: number }

/** What an interval begins with: a full set for each client, fresh or with its moments; null where it goes on with what it has. */
export type Start = (client: number) => SetState | null

/** The states of all clients at `step` are in; `shared` is the server set's where all devices share one that outlives a turn. */
export type Snapshot = (step: number, states: ReadonlyMap<number, SetState>, shared: SetState | null) => Promise<void>

/** `begin` of an interval, and `saved`, the last step whose states are all in. */
export type Origin = { begin: number; saved: number; start: Start }

type Own = Member<'snapshots'>

/**
 * A device that comes back within an interval starts again from the last state both halves are known to have had. A server
 * set that others share is not taken back: the device goes on where it left, with its part as last known. Refuses `client-lost`.
 */
export function chooseRestart(
  { client, step, snapshots }: Pick<Member, 'client' | 'snapshots'> & { step: number }, { begin, saved, start }: Origin, shared: boolean,
): { step: number; state: SetState } {
  const from = shared ? step : snapshots.has(saved) ? saved : begin
  const state = snapshots.get(from) ?? snapshots.get(saved) ?? start(client)
  return state ? { step: from, state } : refuse('client-lost', 'hello.client', 'a device that still holds its own state', client)
}

export class States {
  private readonly contract: Contract
  private readonly layout: Layout
  private readonly members: readonly Own[]
  private readonly shared: boolean
  readonly places: readonly (Place | null)[]
  /** The last step whose states are all in, or where the interval began. */
  private saved = 0

  /** `layout`: the full adapter set. A place for each client, null where the server has no part. */
  constructor(contract: Contract, layout: Layout, members: readonly Own[], places: readonly (Place | null)[]) {
    this.contract = contract
    this.layout = layout
    this.members = members
    this.places = places
    this.shared = schemeOf(contract).shared
  }

  /** Writes the server parts of what an interval begins with, and at last the set that all share, where it is given. */
  async lay(clients: readonly number[], start: Start, shared: SetState | null): Promise<void> {
    for (const client of clients) {
      const state = start(client)
      if (state) await this.writePart(client, state)
    }
    const place = shared ? this.places[clients[0]] : null
    if (shared && place) await place.half.write(place.set, shared)
  }

  /** From here on states count from `step`. */
  begin(step: number): void {
    this.saved = step
    for (const { snapshots } of this.members) snapshots.clear()
  }

  /** Writes a client's server part. A shared set begins below some cuts; the blocks between hold what the full set says. */
  private async writePart(client: number, state: SetState): Promise<void> {
    const place = this.places[client]
    if (place) await place.half.write(place.set, sliceState(state, prefixCount(this.layout, place.from)))
  }

  /** The full state of a client from its device's part and the server's as it is now. */
  private async complete({ client, part }: Member, device: SetState): Promise<SetState> {
    const place = this.places[client]
    if (!place) return device
    const server = await place.half.read(place.set)
    return joinStates(device, sliceState(server, part.layout.count - prefixCount(this.layout, place.from)))
  }

  /** The full set of a member that has finished the interval. */
  async fullSet(member: Member): Promise<Float32Array> {
    const { params } = await this.complete(member, freshState(member.inbox.upload!))
    return params
  }

  /** Keeps the full state of which the device's half has come. The server's is read at once: its next step must come after this call. */
  async keep(member: Member, { step, device }: { step: number; device: SetState }): Promise<void> {
    this.members[member.client].snapshots.set(step, await this.complete(member, device))
  }

  /** Where a device that has come back begins again; refuses `client-lost`. */
  chooseRestart({ client, snapshots, course: { step } }: Member, begin: number, start: Start): { step: number; state: SetState } {
    return chooseRestart({ client, step, snapshots }, { begin, start, saved: this.saved }, this.shared)
  }

  /** Takes a member's server part back to there. */
  async restore({ client, course }: Member, step: number, state: SetState): Promise<void> {
    if (!this.shared) await this.writePart(client, state)
    // A device sends states of steps that it does; of the one that it begins with, this is the state.
    else if (isStateDue(this.contract, step, course.until)) this.members[client].snapshots.set(step, state)
  }

  /** How far a member may run ahead of the last saved round: a shared set not at all, others two rounds, so that states don't pile up. */
  isWithinSaved(step: number): boolean {
    const { checkpointEvery: every } = this.contract
    if (every === 0) return true
    const nextDue = this.saved + every - (this.saved % every)
    return step < nextDue + (this.shared ? 0 : 2 * every)
  }

  /** The newest step for which the states of all who haven't been left out are in is saved, and older states go. */
  async save(working: readonly Member[], snapshot: Snapshot): Promise<void> {
    if (this.contract.checkpointEvery === 0) return
    const [first, ...others] = working.filter(({ course }) => course.turn !== 'left')
    const complete = [...(first?.snapshots.keys() ?? [])].filter((step) => others.every(({ snapshots }) => snapshots.has(step)))
    const step = Math.max(this.saved, ...complete)
    if (step === this.saved) return
    this.saved = step
    for (const { client } of working) {
      const { snapshots } = this.members[client]
      for (const older of snapshots.keys()) if (older < step) snapshots.delete(older)
    }
    const present = this.members.filter(({ snapshots }) => snapshots.has(step))
    const states = new Map(present.map(({ client, snapshots }) => [client, snapshots.get(step)!]))
    // Nobody has gone beyond this step on a shared set, so that it is now as all states know it.
    const place = this.shared ? this.places[first.client] : null
    await snapshot(step, states, place ? await place.half.read(place.set) : null)
  }
}
