/**
 * What a device computes with, kept from one connection to the next. Making it may take longer than a server waits for a
 * greeting: then the connection ends, and the next greeting is answered at once.
 */
import type { StageSpec } from '../model/plan.ts'
import type { Contract } from '../split/contract.ts'
import type { Provisions } from '../split/device.ts'
import type { Half } from '../split/half.ts'

export type KeptProvisions = {
  /** As DeviceOptions.provide; a half that is closed stays open for the next connection of the same client and contract. */
  provide(contract: Contract, client: number): Promise<Provisions>
  close(): void
}

export function createProvisions(make: (contract: Contract, client: number) => Promise<Provisions>): KeptProvisions {
  let key = ''
  let kept: Promise<Provisions> | undefined
  let spec = ''
  let half: Half | undefined
  const close = () => {
    half?.close()
    half = undefined
  }
  return {
    async provide(contract, client) {
      const asked = JSON.stringify([contract, client])
      if (asked !== key || !kept) {
        close()
        key = asked
        kept = make(contract, client)
      }
      const mine = kept
      const provisions = await mine.catch((error: unknown) => {
        if (kept === mine) kept = undefined
        throw error
      })
      return {
        ...provisions,
        async openHalf(wanted: StageSpec) {
          const named = JSON.stringify(wanted)
          if (!half || named !== spec) {
            close()
            half = await provisions.openHalf(wanted)
            spec = named
          }
          return { ...half, close: () => {} }
        },
      }
    },
    close,
  }
}
