/** Keys that a test knows by number, and who may join as a test wants it. */
import type { Entropy } from '../../runtime/host/entropy.ts'
import type { DeviceKey } from '../../runtime/split/proof.ts'
import { openKey } from '../../runtime/split/proof.ts'
import type { Admission, Roll } from '../../runtime/split/server/admission.ts'

const keys = new Map<number, DeviceKey>()

export function keyOf(number: number): DeviceKey {
  const key = keys.get(number) ?? openKey(new Uint8Array(32).fill(number + 1))
  keys.set(number, key)
  return key
}

/** The same every time, and never twice the same. */
function createEntropy(): Entropy {
  let drawn = 0
  return { fill: (bytes) => { bytes.forEach((_, at) => { bytes[at] = (drawn++ * 151) & 255 }) } }
}

/** Anybody, unless told otherwise; `rolls` holds what was kept. */
export function makeAdmission(changes: Partial<Admission> = {}): Admission & { rolls: Roll[] } {
  const rolls: Roll[] = []
  return {
    open: true, listed: new Set(), invitation: null, roll: new Map(), entropy: createEntropy(), rolls,
    async keep(roll) { rolls.push(roll) }, ...changes,
  }
}
