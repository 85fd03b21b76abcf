/**
 * A device: embeddings and the first blocks with its own adapters and its own data.
 *
 *   hello → (challenge → proof →) welcome → ready → (adapter → steps → adapter)* → bye
 *
 * A step is forward, activation up, gradient down, backward, update; the half computes,
 * wherever it is. Where it is the whole model nothing travels but a report of the loss.
 */
import { KerfError, refuse } from '../error.ts'
import type { TokenizedDataset } from '../data/dataset.ts'
import { checksumData, countLabels } from '../data/dataset.ts'
import type { LabelledBatch, Sampler } from '../data/sampler.ts'
import { createSampler } from '../data/sampler.ts'
import type { Clock } from '../host/clock.ts'
import type { ModelConfig } from '../model/config.ts'
import type { Layout } from '../model/layout.ts'
import { freshState } from '../model/optimizer.ts'
import type { StageSpec } from '../model/plan.ts'
import { parseHex } from '../text/hex.ts'
import { decodeTensor, encodeTensor } from '../wire/codec.ts'
import type { TensorExpectation } from '../wire/expectation.ts'
import type { Crc32c, Frame, FrameType } from '../wire/frame.ts'
import { Channel } from './channel.ts'
import type { Contract, OwnBase } from './contract.ts'
import { adapterExpectation, deviceLayout, expectSameBase, gradientExpectation, parseContract, stateExpectation } from './contract.ts'
import type { FinishInput, FinishOutput, ForwardOutput, Half } from './half.ts'
import type { Link } from '../host/network.ts'
import type { Prover } from './proof.ts'
import { NONCE_BYTES } from './proof.ts'
import { schemeOf } from './scheme.ts'
import { rateAt } from './rate.ts'
import type { Share } from './share.ts'
import { batchSize, deviceSpec } from './spec.ts'
import { isStateDue, stateFrom, stateMessage } from './state.ts'
import type { DeviceStats } from './stats.ts'
import { createStats, formatStats } from './stats.ts'
import { integerTensor, vectorFrom, vectorTensors } from './tensors.ts'

/** What a device computes with, once it knows the contract: its half of the base model, which its host opens, and its own samples. */
export type Provisions = {
  config: ModelConfig
  data: TokenizedDataset
  openHalf(spec: StageSpec): Promise<Half>
  /** Of the weights that the half has read, if they are taken. */
  checksums?(): readonly (number | null)[]
} & Omit<OwnBase, 'weights'>

export type DeviceOptions = {
  name: string
  /** The client number asked for; null: any free one. */
  client: number | null
  /** What the server knows it by, whatever it is called; without one, it is known by its name and its connection. */
  key?: Prover
  /** The secret that brought it here, where the server doesn't know its key. */
  invitation?: string
  link: Link
  clock: Clock
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

/** What a device has once the server knows what it brings. */
type Joined = { channel: Channel; contract: Contract; layout: Layout; half: Half; sampler: Sampler; width: number }

class Device {
  private readonly options: DeviceOptions
  private readonly channel: Channel
  private readonly contract: Contract
  private readonly layout: Layout
  private readonly half: Half
  private readonly sampler: Sampler
  private readonly stats: DeviceStats
  private readonly width: number
  private step = 0

  private constructor(options: DeviceOptions, { channel, contract, layout, half, sampler, width }: Joined) {
    this.options = options
    this.channel = channel
    this.contract = contract
    this.layout = layout
    this.half = half
    this.sampler = sampler
    this.width = width
    this.stats = createStats(contract.steps)
  }

  static async join(options: DeviceOptions): Promise<Device | null> {
    const channel = new Channel(options.link, options.crc32c)
    const welcome = await greet(channel, options)
    if (!welcome) return null
    options.link.admit()
    channel.identity = { run: welcome.run, client: welcome.client, epoch: welcome.epoch }
    const contract = parseContract(welcome.metadata.contract ?? '')
    const { config, data, openHalf, checksums, ...own } = await options.provide(contract, welcome.client)
    expectSameBase(contract, own)
    const size = batchSize(data, contract.batch)
    const cut = contract.cuts[welcome.client]
    const half = await openHalf(deviceSpec(config, contract, cut, size))
    try {
      expectSameBase(contract, { ...own, weights: checksums?.() })
    } catch (error) {
      half.close()
      throw error
    }
    const share: Share = {
      samples: data.sequences.length, labelCounts: countLabels(data.labels, contract.labels.length),
      ...size, dataCrc: checksumData(options.crc32c, data), ...half.numerics, memoryBytes: (await half.memory()).bytes,
    }
    channel.send('ready', { metadata: { share: JSON.stringify(share) } })
    const sampler = createSampler(data, contract.batch, contract.seed, welcome.client, contract.shuffle)
    return new Device(options, { channel, contract, layout: deviceLayout(config, contract, cut), half, sampler, width: config.hiddenSize })
  }

  /** Serves the server's orders until its bye. */
  async run(): Promise<boolean> {
    for (;;) {
      const order = await this.waitFor({ adapter: adapterExpectation(this.layout), state: stateExpectation(this.layout), report: [], bye: [] })
      if (!order) return false
      if (order.type === 'bye') break
      if (order.type === 'adapter') await this.half.write(0, freshState(vectorFrom(this.layout, order)))
      if (order.type === 'state') await this.half.write(0, stateFrom(this.layout, order))
      this.step = order.step
      if (!(await this.runSteps(Number(order.metadata.until)))) return false
    }
    this.channel.send('bye', { step: this.step, metadata: { stats: formatStats(this.stats) } })
    return true
  }

  close(): void {
    this.half.close()
  }

  private async runSteps(until: number): Promise<boolean> {
    const { contract, channel } = this
    if (!Number.isSafeInteger(until) || until > contract.steps) refuse('device-until', 'order.until', `at most ${contract.steps}`, until)
    while (this.step < until) {
      const batch = this.sampler.batch(this.step)
      if (!(await (schemeOf(contract).whole ? this.trainWhole(batch) : this.trainSplit(batch)))) return false
      this.step++
      if (isStateDue(contract, this.step, until)) channel.send('state', stateMessage(this.layout, await this.half.read(0), this.step))
      this.options.progress?.(this.step, contract)
    }
    const { params } = await this.half.read(0)
    channel.send('adapter', { round: this.step, step: this.step, tensors: vectorTensors(this.layout, params) })
    return true
  }

  private async forward({ offsets, ids }: LabelledBatch): Promise<ForwardOutput> {
    const output = await this.half.forward({ set: 0, begin: 0, offsets, ids })
    this.stats.compute('forward', this.step, output.beginMs, output.endMs)
    return output
  }

  private async finish(input: FinishInput): Promise<FinishOutput> {
    const output = await this.half.finish(input)
    this.stats.compute('backward', this.step, output.beginMs, output.endMs)
    return output
  }

  private async trainWhole(batch: LabelledBatch): Promise<boolean> {
    await this.forward(batch)
    const { loss } = await this.finish({ labels: batch.labels, rate: rateAt(this.contract, this.step) })
    this.channel.send('report', { round: this.step, step: this.step, metadata: { loss: String(loss) } })
    // The answer is the credit for the next step, as a gradient is where the model is split.
    return (await this.waitFor({ report: [] }, this.step)) !== null
  }

  private async trainSplit(batch: LabelledBatch): Promise<boolean> {
    const { contract, width, step } = this
    const { offsets, ids, labels } = batch
    const N = ids.length
    const { activation } = await this.forward(batch)
    const tensors = encodeTensor(contract.codec, 'activation', N, width, activation!)
    this.channel.send('activation', {
      round: step, step, metadata: { cut: String(this.layout.to) },
      tensors: [...tensors, integerTensor('offsets', offsets), integerTensor('labels', labels)],
    })
    const answer = await this.waitFor({ gradient: gradientExpectation(contract, N, width) }, step)
    if (!answer) return false
    const { end } = await this.finish({
      gradient: decodeTensor(contract.codec, 'gradient', answer.tensors, N, width), rate: rateAt(contract, step),
    })
    if (end !== 'updated') refuse('step-finite', 'gradient', 'values of which all gradients are finite', `a step that ends in ${end}`)
    return true
  }

  private async waitFor(types: Partial<Record<FrameType, readonly TensorExpectation[]>>, step?: number): Promise<Frame | null> {
    const beginMs = this.options.clock.now()
    const frame = await expect(this.channel, types, step)
    this.stats.wait(this.step, beginMs, this.options.clock.now())
    return frame
  }
}

/** Says who it is, and proves it where it is asked to; the server's welcome. Refuses `challenge`. */
async function greet(channel: Channel, { name, client, key, invitation }: DeviceOptions): Promise<Frame | null> {
  const hello = { name, client: client === null ? 'any' : String(client) }
  channel.send('hello', { metadata: key ? { ...hello, key: key.public } : hello })
  if (!key) return expect(channel, { welcome: [] })
  const answer = await expect(channel, { challenge: [], welcome: [] })
  if (answer?.type !== 'challenge') return answer
  const { run = '', nonce = '' } = answer.metadata
  // Nothing is signed but what a server of Kerf may ask.
  if (!/^\d{1,10}$/.test(run)) refuse('challenge', 'challenge.run', 'a decimal number', run)
  if (!parseHex(nonce, NONCE_BYTES)) refuse('challenge', 'challenge.nonce', `${2 * NONCE_BYTES} hexadecimal digits`, nonce)
  const { signature, invitation: invited } = key.prove({ run: Number(run), nonce, key: key.public }, invitation)
  channel.send('proof', { metadata: invited === undefined ? { signature } : { signature, invitation: invited } })
  return expect(channel, { welcome: [] })
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
