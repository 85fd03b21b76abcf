/**
 * A live server under damaged frames: two honest devices do their run while a third greets properly, sends a damaged frame, is
 * refused and comes back, from the first order to the end.
 */
import type { Link } from '../../runtime/host/network.ts'
import { createLinkPair } from '../../runtime/split/link.ts'
import { isStateDue } from '../../runtime/split/state.ts'
import type { Crc32c } from '../../runtime/wire/frame.ts'
import { encodeFrame, readPrelude } from '../../runtime/wire/frame.ts'
import { PRELUDE_BYTES } from '../../runtime/wire/limits.ts'
import { decodeSafetensors } from '../../runtime/wire/safetensors.ts'
import { randomFrom } from '../wire/random.ts'
import type { Ending, Scene } from './harness.ts'
import { openScene } from './harness.ts'
import { makeContract, makeInitial, makeShares, openChecksum } from './model.ts'
import { SHARE, makeWork, mutate } from './mutate.ts'
import { trainFederated } from './reference.ts'

/** `frames` damaged ones, of which `working` came while the server expected work; `codes` of its refusals, with how often. */
export type Siege = { frames: number; working: number; greetings: number; vector: Float32Array; honest: Ending[]; codes: Map<string, number> }

const FOE = 1
/** Beside an interval that goes on without it, so many times the foe comes back at once; then it waits for the next. */
const IDLE_GREETINGS = 24

type Counts = Pick<Siege, 'frames' | 'working' | 'greetings' | 'codes'>

class Foe {
  readonly counts: Counts = { frames: 0, working: 0, greetings: 0, codes: new Map() }
  private readonly scene: Scene
  private readonly seed: number
  private readonly crc32c: Crc32c

  constructor(scene: Scene, seed: number, crc32c: Crc32c) {
    this.scene = scene
    this.seed = seed
    this.crc32c = crc32c
  }

  private get member() {
    return this.scene.run.server.members[FOE]
  }

  /** Comes again and again until the run has ended. */
  async attack(): Promise<void> {
    let ended = false, idle = 0
    void this.scene.run.result.then(() => { ended = true }, () => { ended = true })
    while (!ended) {
      idle = this.member.course.turn === 'left' ? idle + 1 : 0
      if (idle <= IDLE_GREETINGS) await this.visit()
      // Links in one thread answer without a turn of the event loop, which the others need.
      await this.scene.clock.turn()
    }
  }

  /** One connection: a true greeting, then damaged frames to its end. */
  private async visit(): Promise<void> {
    const [near, far] = createLinkPair()
    const ended = this.scene.run.server.attend(far)
    const identity = await this.greet(near)
    // The order, or the answer to the last frame: what the next one must wait for.
    let heard = false
    for (let sequence = 2; identity; sequence++) {
      const working = this.member.course.turn === 'working'
      if (working && !heard && !(await this.hear(near))) break
      if (!this.member.seat.channel) break
      this.sendDamaged(near, { ...identity, sequence })
      heard = !working && await this.hear(near)
      if (!working && !heard) break
    }
    near.close()
    await ended
  }

  private async greet(link: Link): Promise<{ run: number; client: number; epoch: number } | null> {
    const stranger = { run: 0, client: 0, epoch: 0, round: 0, step: 0 }
    this.counts.greetings++
    link.send(encodeFrame({ ...stranger, type: 'hello', sequence: 0, tensors: [], metadata: { name: 'foe', client: String(FOE) } }, this.crc32c))
    const answer = await link.receive()
    if (!answer) return null
    const { type, run, client, epoch } = readPrelude(answer, this.crc32c)
    if (type !== 'welcome') return null
    const metadata = { share: JSON.stringify(SHARE) }
    link.send(encodeFrame({ ...stranger, type: 'ready', run, client, epoch, sequence: 1, tensors: [], metadata }, this.crc32c))
    return { run, client, epoch }
  }

  /** Takes the server's next word; false at the end of the connection. */
  private async hear(link: Link): Promise<boolean> {
    const bytes = await link.receive()
    if (!bytes) return false
    const { type } = readPrelude(bytes, this.crc32c)
    if (type !== 'error') return type !== 'bye'
    const { code = 'none' } = decodeSafetensors(bytes.slice(PRELUDE_BYTES)).metadata
    this.counts.codes.set(code, (this.counts.codes.get(code) ?? 0) + 1)
    return false
  }

  private sendDamaged(link: Link, identity: { run: number; client: number; epoch: number; sequence: number }): void {
    const { cut, inbox, course: { turn, step, until } } = this.member
    const { counts, scene, seed, crc32c } = this
    const due = step > inbox.stateStep && isStateDue(scene.contract, step, until)
    const type = turn !== 'working' ? 'bye' : due ? 'state' : step === until ? 'adapter' : 'activation'
    const random = randomFrom(seed, counts.frames++)
    if (turn === 'working') counts.working++
    link.send(mutate(makeWork(type, cut, { ...identity, round: step, step }, crc32c), random, crc32c))
  }
}

const CUTS = [1, 2, 1]
const contractOf = (rounds: number) => makeContract({ cuts: CUTS, steps: rounds, interval: 3, checkpointEvery: 2 })

/** `rounds` rounds under siege. */
export async function besiege(seed: number, rounds: number): Promise<Siege> {
  const scene = await openScene({ contract: contractOf(rounds) })
  const honest = Promise.all([scene.join(0), scene.join(2)])
  const foe = new Foe(scene, seed, await openChecksum())
  await foe.attack()
  const { vector } = await scene.finish()
  return { ...foe.counts, vector, honest: await honest }
}

/** What the honest end with where the foe finishes no interval. */
export async function withoutFoe(rounds: number): Promise<Float32Array> {
  const contract = contractOf(rounds)
  return trainFederated(contract, makeShares(CUTS.length), await makeInitial(contract.seed), (client) => client !== FOE)
}
