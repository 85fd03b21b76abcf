/** What signatures may take of the server's thread. */
import type { Clock } from '../../host/clock.ts'
import type { Challenge, Proof } from '../proof.ts'
import { isSigned } from '../proof.ts'

/** Of the thread's time that signatures may take, the reciprocal: the more strangers sign, the longer each waits, and nobody else. */
const SHARE = 5

/** Checks signatures one after another, with pauses between them. */
export class SignatureCheck {
  private readonly clock: Clock
  private last: Promise<void> = Promise.resolve()

  constructor(clock: Clock) {
    this.clock = clock
  }

  /** Whether a proof is signed; false, at no cost, for one whose device is `gone` when its turn comes. */
  check(challenge: Challenge, proof: Proof, gone: () => boolean): Promise<boolean> {
    const { clock } = this
    const turn = this.last.then(async () => {
      await clock.turn()
      const beginMs = clock.now()
      const signed = !gone() && isSigned(challenge, proof)
      return { signed, tookMs: clock.now() - beginMs }
    })
    this.last = turn.then(({ tookMs }) => (tookMs > 0 ? new Promise((resolve) => { clock.after((SHARE - 1) * tookMs, resolve) }) : undefined))
    return turn.then(({ signed }) => signed)
  }
}
