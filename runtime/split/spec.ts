/** What a device computes, and how it holds it: from the contract, its data and its budget to the plan of its stage. */
import { refuse } from '../error.ts'
import type { TokenizedDataset } from '../data/dataset.ts'
import { longestOf, rowsMax } from '../data/sampler.ts'
import type { KernelExports } from '../kernel/abi.ts'
import { fitStage } from '../model/budget.ts'
import type { ModelConfig } from '../model/config.ts'
import type { StageOptions, StageSpec } from '../model/plan.ts'
import type { Contract } from './contract.ts'
import { schemeOf } from './scheme.ts'

/** The largest batch: N rows, S sequences, T rows of the longest. */
export type BatchSize = Pick<StageSpec, 'rows' | 'sequences' | 'longest'>

/** What no batch of `size` samples exceeds. */
export function batchSize(data: TokenizedDataset, size: number): BatchSize {
  return { rows: rowsMax(data, size), sequences: size, longest: longestOf(data) }
}

/** What a device with `cut` blocks computes. Refuses `device-cut` where the model has no such cut. */
export function deviceSpec(config: ModelConfig, { adapter, labels }: Contract, cut: number, size: BatchSize): StageSpec {
  if (!(cut >= 1 && cut <= config.layers)) refuse('device-cut', 'contract.cut', `1 … ${config.layers}`, cut)
  const { rows, sequences, longest } = size
  return { config, from: 0, to: cut, labels: labels.length, adapter, training: 'adapters', setsFrom: [0], rows, sequences, longest }
}

/** How a device's stage is held and computed, and what its memory may be at most; see fitStage. */
export type Fit = { stage?: StageOptions; memoryBytes?: number }

/** As the device holds it. Refuses `stage.memory` where nothing fits. */
export function fitDevice(spec: StageSpec, { stage, memoryBytes }: Fit, kernel: KernelExports): StageSpec {
  const asked = { ...spec, ...stage }
  return memoryBytes === undefined ? asked : fitStage(asked, memoryBytes, kernel)
}

/** Devices of one machine run side by side; only one that has all data for itself has threads to spare. */
export function shareThreads(stage: StageOptions, contract: Pick<Contract, 'scheme'>): StageOptions {
  return { ...stage, threads: schemeOf(contract).pooled ? stage.threads : 1 }
}
