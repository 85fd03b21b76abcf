/**
 * The memory plan: every tensor's place, size and lifetime, fixed before anything
 * runs. The plan's byte count is the linear memory's size.
 */
import { refuse } from '../error.ts'
import { PAGE_BYTES } from './load.ts'

/** How long a region's contents matter: the whole run, one step, one call. */
export type Lifetime = 'run' | 'step' | 'call'

/** What a region is for, as accounts of memory group it. */
export type Purpose = 'records' | 'weights' | 'sets' | 'gradients' | 'activations' | 'batch' | 'scratch'

export type Region = { name: string; purpose: Purpose; lifetime: Lifetime; address: number; bytes: number }

const ALIGNMENT_BYTES = 64
/** Address 0 means "none" to the kernel, so nothing lies below this. */
const FIRST_ADDRESS = 64
export const MEMORY_BYTES_MAX = 4 * 1024 ** 3 - PAGE_BYTES

export type MemoryPlan = { regions: readonly Region[]; usedBytes: number; pages: number; bytes: number }

export type Planner = {
  /** Reserves `bytes` and returns their address; 0 bytes give address 0, "none". Refuses `plan.bytes` for what is no size. */
  place(name: string, purpose: Purpose, lifetime: Lifetime, bytes: number): number
  /** Refuses `plan.bytes` when a 32-bit memory can't hold it all. */
  finish(): MemoryPlan
}

export function createPlanner(): Planner {
  const regions: Region[] = []
  let next = FIRST_ADDRESS
  return {
    place(name, purpose, lifetime, bytes) {
      // A size that overflowed in the kernel comes back negative.
      if (!Number.isSafeInteger(bytes) || bytes < 0) refuse('plan.bytes', `plan.${name}`, `at most ${MEMORY_BYTES_MAX} bytes`, bytes)
      if (bytes === 0) return 0
      const address = next
      regions.push({ name, purpose, lifetime, address, bytes })
      next += Math.ceil(bytes / ALIGNMENT_BYTES) * ALIGNMENT_BYTES
      return address
    },
    finish() {
      if (next > MEMORY_BYTES_MAX) refuse('plan.bytes', 'plan', `at most ${MEMORY_BYTES_MAX} bytes`, next)
      const pages = Math.ceil(next / PAGE_BYTES)
      return { regions, usedBytes: next, pages, bytes: pages * PAGE_BYTES }
    },
  }
}

/** Bytes of a plan by purpose. */
export function sumPurposes(plan: MemoryPlan): Record<Purpose, number> {
  const sums: Record<Purpose, number> = { records: 0, weights: 0, sets: 0, gradients: 0, activations: 0, batch: 0, scratch: 0 }
  for (const region of plan.regions) sums[region.purpose] += region.bytes
  return sums
}
