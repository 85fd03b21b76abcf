/**
 * What a run takes, from the model's configuration alone: each party's linear memory,
 * the bytes of every frame, and the multiply-adds of a step. Memory and frames come
 * from the functions that the run itself calls, so they are exact, not estimates.
 */
import { KerfError } from '../error.ts'
import type { Kernel } from '../kernel/load.ts'
import type { MemoryPlan, Purpose } from '../kernel/plan.ts'
import { sumPurposes } from '../kernel/plan.ts'
import type { ModelConfig } from '../model/config.ts'
import type { AdapterConfig } from '../model/peft.ts'
import type { WeightFormat } from '../kernel/format.ts'
import type { StageOptions, StageSpec } from '../model/plan.ts'
import { planStage } from '../model/plan.ts'
import { ADAMW, freshState } from '../model/optimizer.ts'
import type { Work } from '../model/work.ts'
import { countWork } from '../model/work.ts'
import type { Contract } from '../split/contract.ts'
import { deviceLayout } from '../split/contract.ts'
import type { BatchSize } from '../split/spec.ts'
import { deviceSpec, fitDevice, shareThreads } from '../split/spec.ts'
import { stateMessage } from '../split/state.ts'
import type { SchemeName } from '../split/scheme.ts'
import { clientCuts, schemeOf, stepsPerRound } from '../split/scheme.ts'
import { integerTensor, vectorTensors } from '../split/tensors.ts'
import type { Codec } from '../wire/codec.ts'
import { encodeTensor } from '../wire/codec.ts'
import type { Crc32c, FrameInput } from '../wire/frame.ts'
import { encodeFrame } from '../wire/frame.ts'
import { serverSpecs } from '../federation/run.ts'

export type ForecastInput = {
  config: ModelConfig
  /** K. */
  labels: number
  adapter: AdapterConfig
  /** Blocks on each device. */
  cuts: readonly number[]
  /** Samples of a step. */
  batch: number
  /** Rows of each text, and the longest that the run allows. */
  tokens: number
  longest: number
  /** Rounds between two aggregations. */
  interval: number
  codec: Codec
  /**
   * How every party holds its stage, and what a device's memory may be at most: then it holds it as fitStage finds.
   * Threads: see shareThreads.
   */
  stage?: StageOptions
  memoryBytes?: number
}

/** Bytes by purpose; with `alignment` between regions and `unused` of the last page they add up to `bytes`, whole pages. */
export type MemoryAccount = Record<Purpose, number> & { alignment: number; unused: number; bytes: number }

/** One linear memory of a device or of the server; `memory` null where it does not fit 4 GiB. */
export type PartyForecast = {
  party: 'device' | 'server'
  /** Clients that each have one of these, or that share the one. */
  clients: readonly number[]
  shared: boolean
  from: number
  to: number
  format: WeightFormat
  recompute: boolean
  memory: MemoryAccount | null
}

/**
 * Bytes of the frames of one client; null where a frame is over its limit. `adapterDown`
 * is the first interval's: later ones write their last step in more digits. `stateUp`
 * may take 48 bytes more in later steps.
 */
export type LinkForecast = Record<'activationUp' | 'gradientDown' | 'adapterUp' | 'adapterDown' | 'stateUp', number | null>

/** A step of one client with `cut` blocks. */
export type ClientForecast = { cut: number; clients: readonly number[]; link: LinkForecast; device: Work; server: Work }

export type SchemeForecast = {
  scheme: SchemeName
  parties: readonly PartyForecast[]
  /** Linear memory of the server, all its models together; null where one does not fit. */
  serverBytes: number | null
  /** What one more device adds to the server: a memory of its own (sfl), else bytes of the shared one, which grows by whole pages. */
  growth: readonly { cut: number; bytes: number | null }[]
  clients: readonly ClientForecast[]
  /** Why a number is null. */
  notes: readonly string[]
}

export function forecastRun(input: ForecastInput, scheme: SchemeName, kernel: Kernel, crc32c: Crc32c): SchemeForecast {
  return new Forecast(input, scheme, kernel, crc32c).make()
}

function groupCuts(cuts: readonly number[]): { cut: number; clients: number[] }[] {
  const distinct = [...new Set(cuts)].sort((a, b) => a - b)
  return distinct.map((cut) => ({ cut, clients: cuts.flatMap((other, client) => (other === cut ? [client] : [])) }))
}

function accountMemory(plan: MemoryPlan): MemoryAccount {
  const sums = sumPurposes(plan)
  const placed = Object.values(sums).reduce((sum, bytes) => sum + bytes, 0)
  return { ...sums, alignment: plan.usedBytes - placed, unused: plan.bytes - plan.usedBytes, bytes: plan.bytes }
}

/** A run's contract, as far as plans and frames depend on them. */
function draftContract(input: ForecastInput, scheme: SchemeName): Contract {
  const { config, labels, adapter, cuts, batch, longest, codec } = input
  const interval = input.interval * stepsPerRound(scheme, cuts.length)
  return {
    scheme, seed: 0, steps: interval, interval, checkpointEvery: 0, batch, maxLength: longest, truncate: true, shuffle: false,
    learningRate: ADAMW.learningRate, weightDecay: ADAMW.weightDecay, codec, adapter,
    labels: Array.from({ length: labels }, (_, index) => `LABEL_${index}`), cuts: clientCuts(scheme, cuts, config.layers),
    partition: 'iid', fingerprint: 0,
  }
}

const NO_WORK: Work = { forward: 0, backward: 0 }

class Forecast {
  private readonly input: ForecastInput
  private readonly contract: Contract
  private readonly size: BatchSize
  private readonly kernel: Kernel
  private readonly crc32c: Crc32c
  private readonly notes = new Set<string>()

  constructor(input: ForecastInput, scheme: SchemeName, kernel: Kernel, crc32c: Crc32c) {
    const { batch, tokens, longest } = input
    this.input = input
    this.contract = draftContract(input, scheme)
    this.size = { rows: batch * tokens, sequences: batch, longest }
    this.kernel = kernel
    this.crc32c = crc32c
  }

  make(): SchemeForecast {
    const { scheme, cuts } = this.contract
    const groups = groupCuts(cuts)
    const servers = this.serverParties()
    const parts = servers.map(({ memory, shared, clients }) => (memory ? memory.bytes * (shared ? 1 : clients.length) : null))
    return {
      scheme,
      parties: [...groups.map(({ cut, clients }) => this.deviceParty(cut, clients)), ...servers],
      serverBytes: parts.reduce((sum: number | null, part) => (sum === null || part === null ? null : sum + part), 0),
      growth: groups.map(({ cut }) => ({ cut, bytes: this.growth(cut) })),
      clients: groups.map(({ cut, clients }) => this.client(cut, clients)),
      notes: [...this.notes],
    }
  }

  /** A value, or null with the reason kept, where a limit stands in the way. */
  private attempt<T>(code: string, measure: () => T): T | null {
    try {
      return measure()
    } catch (error) {
      if (!(error instanceof KerfError) || error.code !== code) throw error
      this.notes.add(error.message)
      return null
    }
  }

  private plan(spec: StageSpec): MemoryPlan {
    return planStage(spec, this.kernel.exports).memory
  }

  private deviceSpec(cut: number): StageSpec {
    const { config, stage = {}, memoryBytes } = this.input
    const fit = { stage: shareThreads(stage, this.contract), memoryBytes }
    return fitDevice(deviceSpec(config, this.contract, cut, this.size), fit, this.kernel.exports)
  }

  private serverSpecs(cuts: readonly number[]): StageSpec[] {
    return serverSpecs(this.input.config, { ...this.contract, cuts }, cuts.map(() => this.size), this.input.stage)
  }

  private party(party: 'device' | 'server', spec: StageSpec, clients: readonly number[], shared: boolean): PartyForecast {
    const memory = this.attempt('plan.bytes', () => accountMemory(this.plan(spec)))
    const { from, to, format = 'f32', recompute = false } = spec
    return { party, clients, shared, from, to, format, recompute, memory }
  }

  private deviceParty(cut: number, clients: readonly number[]): PartyForecast {
    return this.party('device', this.deviceSpec(cut), clients, false)
  }

  private serverParties(): PartyForecast[] {
    const { cuts } = this.contract
    const specs = this.serverSpecs(cuts)
    if (schemeOf(this.contract).models !== 'each') {
      return specs.map((spec) => this.party('server', spec, cuts.map((_, client) => client), true))
    }
    return groupCuts(cuts).map(({ clients }) => this.party('server', specs[clients[0]], clients, false))
  }

  private growth(cut: number): number | null {
    const { cuts } = this.contract
    const { models } = schemeOf(this.contract)
    if (models === 'none') return 0
    // A model of its own takes whole pages; a set in a shared memory takes just its bytes.
    const measure = (plan: MemoryPlan) => (models === 'each' ? plan.bytes : plan.usedBytes)
    const sum = (all: readonly number[]) => this.serverSpecs(all).reduce((total, spec) => total + measure(this.plan(spec)), 0)
    return this.attempt('plan.bytes', () => sum([...cuts, cut]) - sum(cuts))
  }

  private client(cut: number, clients: readonly number[]): ClientForecast {
    const { config, batch, tokens, stage } = this.input
    const texts = new Array<number>(batch).fill(tokens)
    // What a device does to fit its memory is not the server's way.
    const below = this.deviceSpec(cut), above = { ...below, recompute: stage?.recompute, from: cut, to: config.layers }
    // Where devices run all blocks, none is left above.
    const server = cut < config.layers ? countWork(above, texts) : NO_WORK
    return { cut, clients, link: this.link(cut), device: countWork(below, texts), server }
  }

  private frameBytes(message: Pick<FrameInput, 'type' | 'tensors' | 'metadata'>): number | null {
    const head = { run: 0, client: 0, epoch: 1, round: 0, step: 0, sequence: 0 }
    return this.attempt('frame-limit', () => encodeFrame({ ...head, ...message }, this.crc32c).length)
  }

  /** The frames that device and server send, filled with zeros. */
  private link(cut: number): LinkForecast {
    const { config, codec, batch } = this.input
    const { rows } = this.size
    const layout = deviceLayout(config, this.contract, cut)
    const vector = new Float32Array(layout.count)
    const state = { ...freshState(vector), power1: ADAMW.beta1, power2: ADAMW.beta2 }
    const values = (name: string) => encodeTensor(codec, name, rows, config.hiddenSize, new Float32Array(rows * config.hiddenSize))
    const integers = [integerTensor('offsets', new Int32Array(batch + 1)), integerTensor('labels', new Int32Array(batch))]
    const split = !schemeOf(this.contract).whole
    return {
      activationUp: split ? this.frameBytes({
        type: 'activation', tensors: [...values('activation'), ...integers], metadata: { cut: String(cut) },
      }) : 0,
      gradientDown: split ? this.frameBytes({ type: 'gradient', tensors: values('gradient') }) : 0,
      adapterUp: this.frameBytes({ type: 'adapter', tensors: vectorTensors(layout, vector) }),
      adapterDown: this.frameBytes({
        type: 'adapter', tensors: vectorTensors(layout, vector), metadata: { until: String(this.contract.interval) },
      }),
      stateUp: this.frameBytes({ type: 'state', ...stateMessage(layout, state, 1) }),
    }
  }
}
