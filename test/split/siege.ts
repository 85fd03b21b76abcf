/**
 * A live server under damaged frames: two honest devices do their run while a third greets properly, sends a damaged frame, is
 * refused and comes back, from the first order to the end.
 */
import type { KerfError } from '../../runtime/error.ts'
import type { Crc32c } from '../../runtime/wire/frame.ts'
import { FRAME_TYPES } from '../../runtime/wire/frame.ts'
import { randomFrom } from '../wire/random.ts'
import { AT, forgeFloats } from './forge.ts'
import type { Ending, Scene, Watch } from './harness.ts'
import { openScene } from './harness.ts'
import { makeContract, makeInitial, makeShares, openChecksum } from './model.ts'
import { mutate } from './mutate.ts'
import { trainFederated } from './reference.ts'

/** `codes` of the refusals that the foe met, with how often. */
export type Siege = { frames: number; greetings: number; vector: Float32Array; honest: Ending[]; codes: Map<string, number> }

const FOE = 1
const ANY = 'encoder.layer.0.attention.self.query.lora_A'
const AFTER_GREETING: readonly number[] = [FRAME_TYPES.activation, FRAME_TYPES.state, FRAME_TYPES.adapter, FRAME_TYPES.bye]

/** Frames of the foe after its greeting are damaged, and counted; an adapter that came through would be a contribution, so none is true. */
function damage(seed: number, crc32c: Crc32c, count: () => number): Watch {
  return ({ direction, bytes }) => {
    if (direction !== 'up' || !AFTER_GREETING.includes(bytes[AT.type])) return
    const frame = bytes[AT.type] === FRAME_TYPES.adapter ? forgeFloats(bytes, ANY, (values) => values.fill(1e30)) : bytes
    return mutate(frame, randomFrom(seed, count()), crc32c)
  }
}

async function attack(scene: Scene, seed: number, crc32c: Crc32c): Promise<Pick<Siege, 'frames' | 'greetings' | 'codes'>> {
  const codes = new Map<string, number>()
  let frames = 0, greetings = 0, ended = false
  void scene.run.result.then(() => { ended = true }, () => { ended = true })
  const watch = damage(seed, crc32c, () => frames++)
  while (!ended) {
    greetings++
    const ending = await Promise.race([scene.join(FOE, { watch }), scene.run.result.then((): Ending => 'done')])
    const code = typeof ending === 'string' ? ending : (ending as KerfError).code
    codes.set(code, (codes.get(code) ?? 0) + 1)
    // Links in one thread answer without a turn of the event loop, which the others need.
    await scene.clock.turn()
  }
  return { frames, greetings, codes }
}

const CUTS = [1, 2, 1]
const contractOf = (rounds: number) => makeContract({ cuts: CUTS, steps: rounds, interval: 3, checkpointEvery: 2 })

/** `rounds` rounds under siege. */
export async function besiege(seed: number, rounds: number): Promise<Siege> {
  const scene = await openScene({ contract: contractOf(rounds) })
  const honest = Promise.all([scene.join(0), scene.join(2)])
  const foe = await attack(scene, seed, await openChecksum())
  const { vector } = await scene.finish()
  return { ...foe, vector, honest: await honest }
}

/** What the honest end with where the foe finishes no interval. */
export async function withoutFoe(rounds: number): Promise<Float32Array> {
  const contract = contractOf(rounds)
  return trainFederated(contract, makeShares(CUTS.length), await makeInitial(contract.seed), (client) => client !== FOE)
}
