/** All that `kerf bench` measures, in order: the peak, whole steps, the step's parts, operations alone, the peak again. */
import type { TileRate } from '../kernel/calibrate.ts'
import { calibrate, nextTick } from '../kernel/calibrate.ts'
import type { Kernel } from '../kernel/load.ts'
import { layoutOf } from '../model/layout.ts'
import type { Stage } from '../model/stage.ts'
import type { Weights } from '../model/weights.ts'
import type { Part } from './breakdown.ts'
import { breakdownBytes, listParts, runPart } from './breakdown.ts'
import type { Cost } from './cost.ts'
import type { MeasureOptions, Timer } from './measure.ts'
import { measure, measureTogether } from './measure.ts'
import type { Operation } from './operations.ts'
import { adamwOperation, listOperations, listProducts, openArena, openOperation } from './operations.ts'
import { PRESETS, presetConfig } from './presets.ts'
import type { DeviceProfile, HostInfo, KernelInfo, OperationRate, PartRate, StepTime } from '../model/profile.ts'
import { PROFILE_FORMAT, PROFILE_VERSION } from '../model/profile.ts'
import type { StepShape } from './step.ts'
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
  const { config, adapter, labels, cut, length, stage } = shape
  const format = stage?.format ?? 'f32'
  const rows = quick ? QUICK_ROWS : OPERATION_ROWS
  const widths = ({ hiddenSize, intermediateSize }: { hiddenSize: number; intermediateSize: number }) => `${hiddenSize} ${intermediateSize}`
  const all = quick ? [config] : [config, ...PRESETS.map(presetConfig)]
  const configs = all.filter((other, index) => all.findIndex((first) => widths(first) === widths(other)) === index)
  return [
    ...configs.sort((a, b) => a.hiddenSize - b.hiddenSize).flatMap((other) => rows.flatMap((N) => listProducts(other, N, format))),
    ...rows.flatMap((N) => listOperations(config, N, length, format)),
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

type Stepping = { lengths: readonly number[]; stage: Stage; parts: readonly Part[]; within(what: string): void }

/** A step's halves, and `parts` of it in turn with them. */
async function measureStep(
  { timer, options }: BenchInput, { lengths, stage, parts, within }: Stepping,
): Promise<{ step: StepTime; parts: PartRate[] }> {
  const { forward, backward } = stepCalls(stage, lengths)
  const works = [{ run: forward }, { run: backward, before: forward }, ...parts.map((part) => ({ run: () => runPart(part) }))]
  const [one, other, ...rest] = await measureTogether(timer, works, options, within)
  return { step: rateStep(stage, lengths, one.ms, other.ms), parts: parts.map((part, index) => ratePart(part, rest[index].ms)) }
}

const nameStep = (lengths: readonly number[]) => `step of ${lengths.reduce((sum, length) => sum + length, 0)} rows`

/** Steps of some sizes. The stage's memory is free again afterwards. */
async function measureSizes(input: BenchInput, sizes: readonly number[][], { next, within }: Counter): Promise<StepTime[]> {
  const { kernel, shape, weights } = input
  if (sizes.length === 0) return []
  const stage = await openStep(kernel, shape, weights)
  const steps: StepTime[] = []
  try {
    for (const lengths of sizes) {
      next(nameStep(lengths))
      const { step } = await measureStep(input, { lengths, stage, parts: [], within: (what) => within(`${nameStep(lengths)}: ${what}`) })
      steps.push(step)
    }
  } finally {
    stage.close()
  }
  return steps
}

/** One step on one thread together with its parts. */
async function measureWhole(input: BenchInput, lengths: readonly number[], { next, within }: Counter) {
  const { kernel, shape, weights } = input
  const { config: { hiddenSize, intermediateSize }, batch, length } = shape
  next(`parts of a ${nameStep(lengths)}`)
  const alone = { ...shape, stage: { ...shape.stage, threads: 1 } }
  const stage = await openStep(kernel, alone, weights, breakdownBytes(batch * length, hiddenSize, intermediateSize))
  stepCalls(stage, lengths).forward()
  const { step, parts } = await measureStep(input, {
    lengths, stage, parts: listParts(stage, lengths), within: (what) => within(`parts of a ${nameStep(lengths)}: ${what}`),
  })
  return { whole: step, parts }
}

async function measureOperations({ kernel, timer, options }: BenchInput, operations: readonly Operation[], { next }: Counter) {
  const arena = await openArena(kernel, operations)
  const rates: OperationRate[] = []
  for (const operation of operations) {
    const { sizes, rows, cost, case: { operation: name } } = operation
    next(`${name} ${sizes}`)
    const { ms } = await measure(timer, openOperation(arena, operation), options)
    rates.push({ operation: name, sizes, rows, ms, ...rateOf(cost, ms) })
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

/** Every tile's rate, the fastest first; none where a build has but one way to multiply. */
async function measureTiles({ kernel, timer }: BenchInput): Promise<TileRate[]> {
  if (kernel.exports.tileCount() === 1) return []
  return calibrate(kernel.module, kernel.exports, kernel.build !== 'relaxed', timer.now)
}

function describeKernel({ kernel: { build, tile }, kernelBytes: bytes, shape: { stage } }: BenchInput): KernelInfo {
  return { build, bytes, tile, threads: stage?.threads ?? 1, dtype: stage?.format ?? 'f32' }
}

/**
 * Whole steps run as `shape.stage` says, all else on one thread. Refuses `plan.bytes` where the step or an operation takes
 * over 4 GiB, `bench-clock` for a clock that stands still, `kernel.tile` where a tile multiplies wrongly.
 */
export async function runBench(input: BenchInput): Promise<DeviceProfile> {
  const { host, shape, quick, timer } = input
  nextTick(timer.now, timer.now())
  const sizes = stepSizes(shape, quick ? QUICK_ROWS : STEP_ROWS)
  const largest = sizes[sizes.length - 1]
  const kernel = describeKernel(input)
  const apart = kernel.threads > 1 ? sizes : sizes.slice(0, -1)
  const operations = chooseOperations(input)
  const counter = createCounter(input, apart.length + operations.length + 3)
  counter.next('peak')
  const before = await measurePeak(input)
  const tiles = await measureTiles(input)
  const times = await measureSizes(input, apart, counter)
  const { whole, parts } = await measureWhole(input, largest, counter)
  const rates = await measureOperations(input, operations, counter)
  counter.next('peak again')
  const after = await measurePeak(input)
  counter.next('measured')
  return {
    format: PROFILE_FORMAT, version: PROFILE_VERSION, kernel, host, peakGflops: Math.max(before, after), tiles, operations: rates,
    step: describeStep(input), steps: kernel.threads > 1 ? times : [...times, whole], whole, parts,
  }
}
