/** Who may join a run: anybody, those of a list of keys, or those that an invitation brings. */
import type { Entropy } from '../../host/entropy.ts'
import type { Challenge, Proof } from '../proof.ts'
import { isInvited } from '../proof.ts'

/** Clients by the keys that hold them. */
export type Roll = ReadonlyMap<string, number>

export type Admission = {
  /** Devices without a key, and keys that nobody has named. */
  open: boolean
  /** Keys that may join. */
  listed: ReadonlySet<string>
  /** The secret that enrols other keys, each once. */
  invitation: string | null
  /** Who holds which client in a run that goes on. */
  roll: Roll
  entropy: Entropy
  /** Makes the roll outlast a power cut; before a device's first step. Called again before it has settled, the last roll counts. */
  keep(roll: Roll): Promise<void>
}

/** Whether a key may join once it has proven itself; told apart before that costs a signature's time. `enrolled`: it holds a client. */
export function isAdmitted({ open, listed, invitation }: Admission, challenge: Challenge, proof: Proof, enrolled: boolean): boolean {
  if (open || listed.has(challenge.key)) return true
  return invitation !== null && (enrolled || isInvited(challenge, proof, invitation))
}
