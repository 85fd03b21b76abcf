/**
 * `kerf/device`: a device, which computes the embeddings and the first blocks of a model on its own texts.
 *
 * `openDevice` is the computing alone, for a transport and a protocol of the caller's; `joinRun` is a device of a Kerf server's
 * run, on a link and a clock that the caller passes in. N rows (tokens of a batch, one text after another, no padding),
 * S sequences, C the model's width.
 */
import { testKernel } from '../cases/selftest.ts'
import type { TokenizedDataset } from '../data/dataset.ts'
import { refuse } from '../error.ts'
import type { Clock } from '../host/clock.ts'
import type { Link } from '../host/network.ts'
import { createChecksum } from '../kernel/checksum.ts'
import type { WeightFormat } from '../kernel/format.ts'
import type { Kernel } from '../kernel/load.ts'
import { initialVector } from '../model/initial.ts'
import { layoutOf } from '../model/layout.ts'
import type { Optimizer } from '../model/optimizer.ts'
import { ADAMW, freshState } from '../model/optimizer.ts'
import type { AdapterConfig } from '../model/peft.ts'
import { adapterExpectation, optimizerOf } from '../split/contract.ts'
import type { Contract } from '../split/contract.ts'
import { runDevice } from '../split/device.ts'
import type { StepEnd } from '../split/half.ts'
import { openStageHalf } from '../split/half.stage.ts'
import type { DeviceKey } from '../split/proof.ts'
import { fitDevice } from '../split/spec.ts'
import { vectorFrom, vectorTensors } from '../split/tensors.ts'
import { checkTensors } from '../wire/expectation.ts'
import { decodeSafetensors, encodeSafetensors } from '../wire/safetensors.ts'
import type { Model } from './model.ts'

export { KerfError } from '../error.ts'
export { loadKernel } from './kernel.ts'
/** Runs a few cases of the conformance suite: `selfTest` says what this engine computes, and where that is not what it should. */
export { testKernel } from '../cases/selftest.ts'
export type { SelfTest } from '../kernel/load.ts'
export type { Kernel, KernelBuild, KernelExports, KernelSettings, KernelSource, StartThread, ThreadJob, Tile } from './kernel.ts'
export { openModel } from './model.ts'
export type { CheckedWeights, LinearKey, Model, ModelConfig, WeightDtype, WeightTensor, Weights } from './model.ts'
export { createInbox, createLinkPair } from '../split/link.ts'
export type { Inbox } from '../split/link.ts'
/** A device's Ed25519 key from 32 secret bytes of the caller's. */
export { openKey } from '../split/proof.ts'
export type { ByteSource } from '../host/files.ts'
export type { SchemeName } from '../split/scheme.ts'
export type { Codec } from '../wire/codec.ts'
export type { AdapterConfig, Clock, Contract, DeviceKey, Link, Optimizer, StepEnd, TokenizedDataset, WeightFormat }

/** How a device holds its blocks; only `format` changes bits. */
export type Holding = {
  /** Of frozen matrices: 'f32' unless given, 'f16' half of that, 'int8' a quarter. */
  format?: WeightFormat
  /** Keep each block's input alone and compute the block once more before its backward pass: less memory, more time. */
  recompute?: boolean
  /** What all of the device's memory may be at most, in bytes; the fastest way to hold it that fits is taken. */
  memoryBytes?: number
}

export type DeviceSettings = Holding & {
  /** Blocks that the device computes, from the first on: 1 … one less than the model's. */
  cut: number
  adapter: AdapterConfig
  /** The largest batch: rows in all, sequences, rows of the longest one. */
  rows: number
  sequences: number
  longest: number
  /** Of the adapters that it begins with: LoRA's A uniform, B zero, as a server of this seed begins; 0 unless given. */
  seed?: number
  /** AdamW with a learning rate of 1e-3 unless given; betas 0.9 and 0.999, eps 1e-8, no weight decay. */
  optimizer?: Partial<Optimizer>
}

/** offsets [S + 1]: sequence s owns rows offsets[s] … offsets[s + 1]; ids [N]: its tokens. */
export type DeviceBatch = { offsets: Int32Array; ids: Int32Array }

export type Device = {
  /** Bytes of its linear memory. */
  memoryBytes: number
  /**
   * The activation [N, C] at the cut. Borrowed: a view of the device's memory, which holds until its next call. Throws a
   * KerfError, `batch.…`, before anything is computed, for a batch over the limits or a token that the model has not.
   */
  forward(batch: DeviceBatch): Promise<Float32Array>
  /**
   * Takes the gradient [N, C] of the last forward's activation: the backward pass, and one step of AdamW where all is finite.
   * 'overflow' leaves the adapters as they were; 'void' is the answer where no forward pass waits, or adapters were taken since.
   */
  update(gradient: Float32Array): Promise<StepEnd>
  /** The adapters, as a safetensors file of F32 tensors by name. */
  handOut(): Promise<Uint8Array>
  /** Replaces the adapters and clears the optimiser's moments. Throws a KerfError, `safetensors-…` or `frame-…`, and changes nothing. */
  take(adapters: Uint8Array): Promise<void>
  /** It computes nothing afterwards. */
  close(): void
}

/**
 * A device by itself. Its memory is planned and taken here, all at once. Throws a KerfError:
 * `device-cut`, `stage.memory` (nothing fits `memoryBytes`), `plan.bytes`, `memory` (no room), and the weights' codes.
 */
export async function openDevice(kernel: Kernel, { config, weights }: Model, settings: DeviceSettings): Promise<Device> {
  const { cut, adapter, rows, sequences, longest, seed = 0, optimizer, format, recompute, memoryBytes } = settings
  if (!(Number.isInteger(cut) && cut >= 1 && cut < config.layers)) refuse('device-cut', 'device.cut', `1 … ${config.layers - 1}`, cut)
  // The head is the server's: a plan asks for one label, and a device below the last block has room for none.
  const spec = { config, from: 0, to: cut, labels: 1, adapter, training: 'adapters', setsFrom: [0], rows, sequences, longest } as const
  const fit = { stage: { format, recompute }, memoryBytes }
  const half = await openStageHalf(kernel, fitDevice(spec, fit, kernel.exports), weights, { ...ADAMW, ...optimizer }, () => 0)
  const layout = layoutOf(config, adapter, spec.labels, 0, cut)
  await half.write(0, freshState(initialVector(layout, seed, kernel.exports)))
  return {
    memoryBytes: (await half.memory()).bytes,
    async forward(batch) {
      const { activation } = await half.forward({ set: 0, begin: 0, ...batch })
      return activation!
    },
    update: async (gradient) => (await half.finish({ gradient })).end,
    handOut: async () => encodeSafetensors(vectorTensors(layout, (await half.read(0)).params)),
    async take(adapters) {
      const { tensors } = decodeSafetensors(adapters, 'adapters')
      checkTensors(tensors, adapterExpectation(layout), 'adapters')
      await half.write(0, freshState(vectorFrom(layout, { tensors })))
    },
    close: () => half.close(),
  }
}

export type JoinSettings = Holding & {
  kernel: Kernel
  model: Model
  /** Its texts as token ids, and a label of each: its index among the run's. */
  data: TokenizedDataset
  link: Link
  clock: Clock
  name: string
  /** The client number to ask for; any free one unless given. */
  client?: number
  /** What the server knows it by, where the server asks for keys; and the secret that invites it. */
  key?: DeviceKey
  invitation?: string
  /** After each step: how many of the run's are done. */
  progress?(step: number, contract: Contract): void
}

/**
 * Is one device of a run until it ends: true then, false when the link broke before. A link that broke is dialled again by the
 * caller, who calls this again and goes on where the device was. Throws a KerfError where the server refuses the device, or
 * the device the server: `device-model` for another base model, `device-bits` in a strict run where this engine computes other bits
 * than it should, `client-…`, `run-stopped`, and the wire's codes.
 */
export function joinRun(settings: JoinSettings): Promise<boolean> {
  const { kernel, model, data, client = null, format, recompute, memoryBytes, ...party } = settings
  const { config, weights, fingerprint } = model
  const fit = { stage: { format, recompute }, memoryBytes }
  return runDevice({
    ...party, client, crc32c: createChecksum(kernel),
    provide: async (contract) => {
      const tested = await testKernel(kernel)
      return {
        config, fingerprint, data, checksums: weights.checksums,
        openHalf: (spec) => openStageHalf(tested, fitDevice(spec, fit, kernel.exports), weights, optimizerOf(contract), party.clock.now),
      }
    },
  })
}
