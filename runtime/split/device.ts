/**
 * A device: embeddings and the first blocks with its own adapters and its own data.
 *
 *   hello → welcome → ready → (adapter → steps → adapter)* → bye
 *
 * A step is forward, activation up, gradient down, backward, update. Where the device
 * runs the whole model (fl, central) nothing travels but a report of the loss.
 */
import { KerfError, refuse } from '../error.ts'
import type { KernelExports } from '../kernel/abi.ts'
import type { Kernel } from '../kernel/load.ts'
import type { ModelConfig } from '../model/config.ts'
import type { CheckedWeights } from '../model/fingerprint.ts'
import { fitStage } from '../model/budget.ts'
import type { TokenizedDataset } from '../data/dataset.ts'
import { countLabels } from '../data/dataset.ts'
import type { StageOptions, StageSpec } from '../model/plan.ts'
import type { Layout } from '../model/layout.ts'
import type { SetState } from '../model/stage.ts'
import { ADAMW, Stage, freshState } from '../model/stage.ts'
import type { Weights } from '../model/weights.ts'
import { decodeTensor, encodeTensor } from '../wire/codec.ts'
import type { TensorExpectation } from '../wire/expectation.ts'
import type { Crc32c, Frame, FrameType } from '../wire/frame.ts'
import { Channel } from './channel.ts'
import type { Contract, OwnBase, Share } from './contract.ts'
import {
  STATE_PARTS, adapterExpectation, deviceLayout, expectSameBase, gradientExpectation, parseContract, stateExpectation,
} from './contract.ts'
import type { Clock } from '../host/clock.ts'
import type { Link } from '../host/network.ts'
import type { LabelledBatch, Sampler } from '../data/sampler.ts'
import { createSampler, longestOf, rowsMax } from '../data/sampler.ts'
import { schemeOf } from './scheme.ts'
import type { DeviceStats } from './stats.ts'
import { createStats, formatStats } from './stats.ts'
import { integerTensor, vectorFrom, vectorTensors } from './tensors.ts'

/** What a device computes with, once it knows the contract: the base model and its own samples. */
export type Provisions = {
  config: ModelConfig
  /** With checksums of what has been read of them, if they are taken. */
  weights: Weights & Partial<Pick<CheckedWeights, 'checksums'>>
  data: TokenizedDataset
} & Omit<OwnBase, 'weights'>

/** How a device's stage is held and computed, and what its memory may be at most; see fitStage. */
export type Fit = { stage?: StageOptions; memoryBytes?: number }

export type DeviceOptions = Fit & {
  name: string
  /** The client number asked for; null: any free one. */
  client: number | null
  link: Link
  clock: Clock
  kernel: Kernel
  crc32c: Crc32c
  provide(contract: Contract, client: number): Promise<Provisions>
  progress?(step: number, contract: Contract): void
}

/** Runs one connection to its end. Throws a KerfError when the server refuses; `false` when the link broke before the run ended. */
export async function runDevice(options: DeviceOptions): Promise<boolean> {
  const device = await Device.join(options)
  if (!device) return false
  try {
    return await device.run()
  } finally {
    device.close()
  }
}

class Device {
  private readonly options: DeviceOptions
  private readonly channel: Channel
  private readonly contract: Contract
  private readonly layout: Layout
  private readonly stage: Stage
  private readonly sampler: Sampler
  private readonly stats: DeviceStats
  private readonly width: number
  private step = 0

  private constructor(options: DeviceOptions, channel: Channel, contract: Contract, layout: Layout, stage: Stage, sampler: Sampler) {
    this.options = options
    this.channel = channel
    this.contract = contract
    this.layout = layout
    this.stage = stage
    this.sampler = sampler
    this.width = stage.spec.config.hiddenSize
    this.stats = createStats(contract.steps)
  }

  static async join(options: DeviceOptions): Promise<Device | null> {
    const { link, crc32c, kernel, name, client } = options
    const channel = new Channel(link, crc32c)
    channel.send('hello', { metadata: { name, client: client === null ? 'any' : String(client) } })
    const welcome = await expect(channel, { welcome: [] })
    if (!welcome) return null
    channel.identity = { run: welcome.run, client: welcome.client, epoch: welcome.epoch }
    const contract = parseContract(welcome.metadata.contract ?? '')
    const { config, weights, fingerprint, tokenizer, data } = await options.provide(contract, welcome.client)
    expectSameBase(contract, { fingerprint, tokenizer })
    const size = batchSize(data, contract.batch)
    const cut = contract.cuts[welcome.client]
    const stage = await Stage.open(kernel, fitDevice(deviceSpec(config, contract, cut, size), options, kernel.exports), weights)
    try {
      expectSameBase(contract, { fingerprint, tokenizer, weights: weights.checksums?.() })
    } catch (error) {
      stage.close()
      throw error
    }
    const share: Share = {
      samples: data.sequences.length, labelCounts: countLabels(data.labels, contract.labels.length),
      ...size, memoryBytes: stage.bytes,
    }
    channel.send('ready', { metadata: { share: JSON.stringify(share) } })
    const sampler = createSampler(data, contract.batch, contract.seed, welcome.client, contract.shuffle)
    return new Device(options, channel, contract, deviceLayout(config, contract, cut), stage, sampler)
  }

  /** Serves the server's orders until its bye. */
  async run(): Promise<boolean> {
    for (;;) {
      const order = await this.waitFor({ adapter: adapterExpectation(this.layout), state: stateExpectation(this.layout), report: [], bye: [] })
      if (!order) return false
      if (order.type === 'bye') break
      if (order.type === 'adapter') this.stage.writeSet(0, freshState(vectorFrom(this.layout, order)))
      if (order.type === 'state') this.stage.writeSet(0, stateFrom(this.layout, order))
      this.step = order.step
      if (!(await this.runSteps(Number(order.metadata.until)))) return false
    }
    this.channel.send('bye', { step: this.step, metadata: { stats: formatStats(this.stats) } })
    return true
  }

  /** Ends the stage's threads. */
  close(): void {
    this.stage.close()
  }

  private async runSteps(until: number): Promise<boolean> {
    const { contract, channel } = this
    if (!Number.isSafeInteger(until) || until > contract.steps) refuse('device-until', 'order.until', `at most ${contract.steps}`, until)
    while (this.step < until) {
      const batch = this.sampler.batch(this.step)
      if (!(await (schemeOf(contract).whole ? this.trainWhole(batch) : this.trainSplit(batch)))) return false
      this.step++
      if (isStateDue(contract, this.step, until)) channel.send('state', this.stateMessage())
      this.options.progress?.(this.step, contract)
    }
    channel.send('adapter', { round: this.step, step: this.step, tensors: vectorTensors(this.layout, this.stage.readSet(0).params) })
    return true
  }

  private measure<T>(kind: 'forward' | 'backward', work: () => T): T {
    const beginMs = this.options.clock.now()
    const result = work()
    this.stats.compute(kind, this.step, beginMs, this.options.clock.now())
    return result
  }

  private async trainWhole({ offsets, ids, labels }: LabelledBatch): Promise<boolean> {
    const { stage } = this
    const loss = this.measure('forward', () => {
      stage.forward({ offsets, ids })
      return stage.loss(labels)
    })
    this.measure('backward', () => this.learn())
    this.channel.send('report', { round: this.step, step: this.step, metadata: { loss: String(loss) } })
    // The answer is the credit for the next step, as a gradient is where the model is split.
    return (await this.waitFor({ report: [] }, this.step)) !== null
  }

  private async trainSplit({ offsets, ids, labels }: LabelledBatch): Promise<boolean> {
    const { stage, contract, width, step } = this
    const N = ids.length
    const activation = this.measure('forward', () => {
      stage.forward({ offsets, ids })
      return stage.activation()
    })
    this.channel.send('activation', {
      round: step, step, metadata: { cut: String(stage.spec.to) },
      tensors: [...encodeTensor(contract.codec, 'activation', N, width, activation), integerTensor('offsets', offsets), integerTensor('labels', labels)],
    })
    const answer = await this.waitFor({ gradient: gradientExpectation(contract, N, width) }, step)
    if (!answer) return false
    const dActivation = decodeTensor(contract.codec, 'gradient', answer.tensors, N, width)
    this.measure('backward', () => this.learn(dActivation))
    return true
  }

  private learn(dOut?: Float32Array): void {
    const { learningRate, weightDecay } = this.contract
    this.stage.clearGradients()
    this.stage.backward(dOut)
    this.stage.update({ ...ADAMW, learningRate, weightDecay })
  }

  private async waitFor(types: Partial<Record<FrameType, readonly TensorExpectation[]>>, step?: number): Promise<Frame | null> {
    const beginMs = this.options.clock.now()
    const frame = await expect(this.channel, types, step)
    this.stats.wait(this.step, beginMs, this.options.clock.now())
    return frame
  }

  private stateMessage() {
    return stateMessage(this.layout, this.stage.readSet(0), this.step)
  }
}

/** The frame that carries a device's set with its optimiser, up for a checkpoint or down to resume. */
export function stateMessage(layout: Layout, state: SetState, step: number, metadata: Record<string, string> = {}) {
  const vectors = [state.params, state.m, state.v]
  return {
    round: step, step,
    tensors: STATE_PARTS.flatMap((part, index) => vectorTensors(layout, vectors[index], part)),
    metadata: { ...metadata, power1: String(state.power1), power2: String(state.power2) },
  }
}

export function stateFrom(layout: Layout, frame: Pick<Frame, 'tensors' | 'metadata'>): SetState {
  const [params, m, v] = STATE_PARTS.map((part) => vectorFrom(layout, frame, part))
  const power1 = Number(frame.metadata.power1), power2 = Number(frame.metadata.power2)
  for (const power of [power1, power2]) if (!(power >= 0 && power <= 1)) refuse('state-power', 'state.power', '0 … 1', power)
  return { params, m, v, power1, power2 }
}

/** Whether a device uploads its state after `step` steps: aggregations need none but in a run of one client, which has no aggregation. */
export function isStateDue({ checkpointEvery, cuts }: Contract, step: number, until: number): boolean {
  return checkpointEvery > 0 && step % checkpointEvery === 0 && (step < until || cuts.length === 1)
}

/** The largest batch: N rows, S sequences, T rows of the longest. */
export type BatchSize = Pick<StageSpec, 'rows' | 'sequences' | 'longest'>

/** What no batch of `size` samples exceeds. */
export function batchSize(data: TokenizedDataset, size: number): BatchSize {
  return { rows: rowsMax(data, size), sequences: size, longest: longestOf(data) }
}

/** What a device with `cut` blocks computes. Refuses `device-cut` where the model has no such cut. */
export function deviceSpec(config: ModelConfig, { adapter, labels }: Contract, cut: number, { rows, sequences, longest }: BatchSize): StageSpec {
  if (!(cut >= 1 && cut <= config.layers)) refuse('device-cut', 'contract.cut', `1 … ${config.layers}`, cut)
  return { config, from: 0, to: cut, labels: labels.length, adapter, training: 'adapters', setsFrom: [0], rows, sequences, longest }
}

/** As the device holds it. Refuses `stage.memory` where nothing fits. */
export function fitDevice(spec: StageSpec, { stage, memoryBytes }: Fit, kernel: KernelExports): StageSpec {
  const asked = { ...spec, ...stage }
  return memoryBytes === undefined ? asked : fitStage(asked, memoryBytes, kernel)
}

/** Devices of one machine run side by side; only one that has all data for itself has threads to spare. */
export function shareThreads(stage: StageOptions, contract: Pick<Contract, 'scheme'>): StageOptions {
  return { ...stage, threads: schemeOf(contract).pooled ? stage.threads : 1 }
}

/** The next frame, checked; null when the link has closed; throws what an error frame tells. */
async function expect(channel: Channel, types: Partial<Record<FrameType, readonly TensorExpectation[]>>, step?: number): Promise<Frame | null> {
  const bytes = await channel.receive()
  if (!bytes) return null
  const frame = channel.decode(bytes, { types: { ...types, error: [] }, step: bytes[TYPE_BYTE] === ERROR_TYPE ? undefined : step })
  if (frame.type !== 'error') return frame
  const { code = 'error', field = 'server', message = 'the server refused' } = frame.metadata
  throw new KerfError(code, field, message)
}

/** An error may come at any step. */
const TYPE_BYTE = 5
const ERROR_TYPE = 7
