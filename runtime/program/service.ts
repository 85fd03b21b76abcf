/** What a program can ask of a worker of its own: to be one device, or one of the server's models. */
import type { TokenizedDataset } from '../data/dataset.ts'
import type { KernelPack } from '../kernel/load.ts'
import type { StageOptions, StageSpec } from '../model/plan.ts'
import type { Optimizer, SetState } from '../model/optimizer.ts'
import type { FinishInput, FinishOutput, ForwardInput, ForwardOutput, HalfMemory } from '../split/half.ts'

export type KernelJob = { kernel: KernelPack; modelDirectory: string }
export type DeviceJob = KernelJob & { stage: StageOptions; memoryBytes: number | undefined; name: string; client: number; data: TokenizedDataset }
/** `checksums`: of the weights that the run began with (model/fingerprint.ts). */
export type HalfJob = KernelJob & { checksums: readonly number[]; spec: StageSpec; optimizer: Optimizer }

export type Service = {
  /** Runs a device over the worker's link to the end of its connection. Without a word where the server has ended it: it has said why itself. */
  device(job: DeviceJob): Promise<boolean>
  openHalf(job: HalfJob): Promise<void>
  forward(input: ForwardInput): Promise<ForwardOutput>
  finish(input: FinishInput): Promise<FinishOutput>
  read(set: number): Promise<SetState>
  write(set: number, state: SetState): Promise<void>
  memory(): Promise<HalfMemory>
}
