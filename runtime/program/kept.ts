/**
 * What decides the bits of a run, as it was understood: one record, kept with every checkpoint and compared whole, so that
 * a run goes on as it began or not at all. settings.ts says for each setting which field of it holds it.
 */
import type { AggregateName } from '../federation/aggregate.ts'
import type { WeightFormat } from '../kernel/format.ts'
import type { KernelBuild, Profile } from '../kernel/load.ts'
import { profileOf } from '../kernel/load.ts'
import type { Contract } from '../split/contract.ts'

/** All of a contract but what only says how often states are kept; numerics; and what the run was given to work on. */
export type Kept = Omit<Contract, 'checkpointEvery'> & {
  /** As the host could give it: strict where it has no fused multiply and add. */
  profile: Profile
  dtype: WeightFormat
  /** What a device's memory may be at most decides how it holds its weights; null: as `dtype` says. */
  memory: number | null
  /** How sets become one, and from where an update is clipped. */
  average: AggregateName
  clip: number
  /** CRC32C of tokens and labels, and of the adapter set that the run begins with. */
  dataCrc: number
  adapterCrc: number
}

export type KeptInputs = Pick<Kept, 'dtype' | 'average' | 'clip' | 'dataCrc' | 'adapterCrc'> & { build: KernelBuild; memory: number | undefined }

export function keepRun({ checkpointEvery: _, ...contract }: Contract, { build, memory, ...given }: KeptInputs): Kept {
  return { ...contract, profile: profileOf(build), memory: memory ?? null, ...given }
}
