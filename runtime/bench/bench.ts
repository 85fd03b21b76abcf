/** All that `kerf bench` measures, in order: the peak, whole steps, the step's parts, operations alone, the peak again. */
import type { Kernel } from '../kernel/load.ts'
import { layoutOf } from '../model/layout.ts'
import type { Weights } from '../model/weights.ts'
import type { Part } from './breakdown.ts'
import { breakdownBytes, listParts } from './breakdown.ts'
import type { Cost } from './cost.ts'
import type { MeasureOptions, Timer } from './measure.ts'
import { measure, measureTogether } from './measure.ts'
import type { Operation } from './operations.ts'
import { adamwOperation, listOperations, listProducts, openArena } from './operations.ts'
import { PRESETS, presetConfig } from './presets.ts'
import type { DeviceProfile, HostInfo, OperationRate, PartRate } from './profile.ts'
import { PROFILE_FORMAT, PROFILE_VERSION } from './profile.ts'
import type { StepShape, StepTime } from './step.ts'
import { gflopsOf, openStep, rateStep, stepCalls, stepSizes } from './step.ts'

export type BenchInput = {
  kernel: Kernel
  kernelBytes: number
  host: HostInfo
  timer: Timer
  options: MeasureOptions
  /** The model's name in the profile. */
  name: string
  shape: StepShape
  weights: Weights
  /** Fewer sizes, and the products of this model alone. */
  quick: boolean
  /** `done` of `total` pieces are finished and `text` comes next. */
  on(done: number, total: number, text: string): void
}

/** See `assembly/peak.ts`. */
const PEAK_FLOPS = 3584
const PEAK_ITERATIONS = 4096
/** A tweet, a text of full length, a batch of each. */
const STEP_ROWS = [20, 128, 512]
const OPERATION_ROWS = [20, 128, 2048]
const QUICK_ROWS = [20]

/** The fastest sample: another program on the machine makes a sample slower, nothing makes one faster. */
async function measurePeak({ kernel, timer, options }: BenchInput): Promise<number> {
  const { leastMs } = await measure(timer, () => { kernel.exports.peak(PEAK_ITERATIONS) }, options)
  return gflopsOf(PEAK_FLOPS * PEAK_ITERATIONS, leastMs)
}

function chooseOperations({ shape, quick }: BenchInput): Operation[] {
  const { config, adapter, labels, cut, length } = shape
  const rows = quick ? QUICK_ROWS : OPERATION_ROWS
  const widths = ({ hiddenSize, intermediateSize }: { hiddenSize: number; intermediateSize: number }) => `${hiddenSize} ${intermediateSize}`
  const all = quick ? [config] : [config, ...PRESETS.map(presetConfig)]
  const configs = all.filter((other, index) => all.findIndex((first) => widths(first) === widths(other)) === index)
  return [
    ...configs.sort((a, b) => a.hiddenSize - b.hiddenSize).flatMap((other) => rows.flatMap((N) => listProducts(other, N))),
    ...rows.flatMap((N) => listOperations(config, N, length)),
    adamwOperation(layoutOf(config, adapter, labels, 0, cut).count),
  ]
}

function rateOf({ flops, bytes }: Cost, ms: number): { gflops: number; gbps: number } {
  return { gflops: gflopsOf(flops, ms), gbps: bytes / ms / 1e6 }
}

/** Tells `on` of each piece as it begins, and of what goes on within it. */
type Counter = { next(text: string): void; within(text: string): void }

function createCounter({ on }: BenchInput, total: number): Counter {
  let begun = 0
  return { next: (text) => on(begun++, total, text), within: (text) => on(begun - 1, total, text) }
}

/** Steps of every size, the largest together with its parts. The stage's memory is free again afterwards. */
async function measureSteps(input: BenchInput, sizes: readonly number[][], { next, within }: Counter) {
  const { kernel, shape, weights, timer, options } = input
  const { hiddenSize, intermediateSize } = shape.config
  const stage = await openStep(kernel, shape, weights, breakdownBytes(shape.batch * shape.length, hiddenSize, intermediateSize))
  const steps: StepTime[] = []
  let parts: readonly PartRate[] = []
  for (const lengths of sizes) {
    const text = `step of ${lengths.reduce((sum, length) => sum + length, 0)} rows`
    next(text)
    const { forward, backward } = stepCalls(stage, lengths)
    forward()
    const list = lengths === sizes[sizes.length - 1] ? listParts(stage, lengths) : []
    const works = [forward, backward, ...list.map(({ run }) => run)]
    const [one, other, ...rest] = await measureTogether(timer, works, options, (what) => within(`${text}: ${what}`))
    steps.push(rateStep(stage, lengths, one.ms, other.ms))
    parts = list.map((part, index) => ratePart(part, rest[index].ms))
  }
  return { steps, parts }
}

async function measureOperations({ kernel, timer, options }: BenchInput, operations: readonly Operation[], { next }: Counter) {
  const arena = await openArena(kernel, operations)
  const rates: OperationRate[] = []
  for (const { operation, sizes, rows, cost, open } of operations) {
    next(`${operation} ${sizes}`)
    const { ms } = await measure(timer, open(arena), options)
    rates.push({ operation, sizes, rows, ms, ...rateOf(cost, ms) })
  }
  return rates
}

function describeStep({ name, shape }: BenchInput): DeviceProfile['step'] {
  const { config: { hiddenSize, intermediateSize, heads, layers }, adapter, cut, batch, length } = shape
  return { model: name, hiddenSize, intermediateSize, heads, layers, cut, batch, length, rank: adapter.rank, targets: adapter.targets }
}

function ratePart({ phase, operation, count, cost }: Part, ms: number): PartRate {
  return { phase, operation, count, ms, ...rateOf(cost, ms) }
}

/** Refuses `plan.bytes` where the step or an operation takes over 4 GiB, `bench-clock` for a clock that stands still. */
export async function runBench(input: BenchInput): Promise<DeviceProfile> {
  const { kernel, kernelBytes, host, shape, quick } = input
  const sizes = stepSizes(shape, quick ? QUICK_ROWS : STEP_ROWS)
  const operations = chooseOperations(input)
  const counter = createCounter(input, sizes.length + operations.length + 2)
  counter.next('peak')
  const before = await measurePeak(input)
  const { steps, parts } = await measureSteps(input, sizes, counter)
  const rates = await measureOperations(input, operations, counter)
  counter.next('peak again')
  const after = await measurePeak(input)
  counter.next('measured')
  return {
    format: PROFILE_FORMAT, version: PROFILE_VERSION, kernel: { build: kernel.build, bytes: kernelBytes }, host,
    peakGflops: Math.max(before, after), operations: rates, step: describeStep(input), steps, parts,
  }
}
