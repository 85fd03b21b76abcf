/**
 * The edge server, put together from its rooms: door and intake from the beginning, states and the serving loop once the members
 * are gathered, for what the halves must hold depends on what the devices bring.
 *
 *   link → door → intake → inbox → serving loop → half → answer
 */
import type { Clock } from '../../host/clock.ts'
import type { Profile } from '../../kernel/load.ts'
import type { ModelConfig } from '../../model/config.ts'
import { layoutOf } from '../../model/layout.ts'
import type { Crc32c } from '../../wire/frame.ts'
import type { Contract } from '../contract.ts'
import type { Brought } from '../share.ts'
import type { Link } from '../../host/network.ts'
import type { Scheduler } from '../schedule.ts'
import type { Signal } from '../signal.ts'
import { createSignal } from '../signal.ts'
import type { Admission } from './admission.ts'
import type { DoorOptions } from './door.ts'
import { Door } from './door.ts'
import type { IntakeOptions } from './intake.ts'
import { Intake } from './intake.ts'
import type { LoopOptions } from './interval.ts'
import { ServingLoop } from './interval.ts'
import type { Member } from './member.ts'
import { createMembers } from './member.ts'
import type { Place } from './states.ts'
import { States } from './states.ts'

export type ServerOptions = {
  contract: Contract
  config: ModelConfig
  /** What the server computes by: a strict run takes no device whose self-test gives other bits. */
  profile: Profile
  run: number
  clock: Clock
  crc32c: Crc32c
  scheduler: Scheduler
  deadlineMs: number
  patience: number
  activationMax?: IntakeOptions['activationMax']
  /** Who may join; without it every link is the run's own, and keys mean nothing. */
  admission?: Admission
  /** What each device brought before, where a checkpoint says so. */
  brought?: readonly Brought[]
  on: LoopOptions['on'] & Pick<DoorOptions['on'], 'stranger'>
}

export class Server {
  readonly members: readonly Member[]
  readonly door: Door
  private readonly options: ServerOptions
  /** The same members, as their rooms have them. */
  private readonly owned: ReturnType<typeof createMembers>
  private readonly signal: Signal
  private readonly intake: Intake

  constructor(options: ServerOptions) {
    const { contract, config, profile, run, clock, crc32c, activationMax, admission, brought, on } = options
    this.options = options
    this.members = this.owned = createMembers(config, contract, admission?.roll, brought)
    this.signal = createSignal(clock)
    this.intake = new Intake({ contract, width: config.hiddenSize, clock, activationMax })
    const { owned: members, intake, signal } = this
    this.door = new Door({ contract, profile, members, intake, signal, run, clock, crc32c, admission, on })
  }

  /** Serves one connection until it ends. Never throws. */
  attend(link: Link): Promise<void> {
    return this.door.attend(link)
  }

  /** Ends a run that failed. */
  stop(error: unknown): void {
    this.door.stop(error)
  }

  /** The rooms that work with halves: a place for each client, null where the server has no part. */
  open(places: readonly (Place | null)[]): { states: States; loop: ServingLoop } {
    const { owned: members, door, intake, signal } = this
    const { contract, config, clock, scheduler, deadlineMs, patience, on } = this.options
    const layout = layoutOf(config, contract.adapter, contract.labels.length, 0, config.layers)
    const states = new States(contract, layout, members, places)
    const width = config.hiddenSize
    const loop = new ServingLoop({ contract, width, members, door, intake, states, signal, clock, scheduler, deadlineMs, patience, on })
    return { states, loop }
  }
}
