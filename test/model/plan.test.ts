/** Plans are exact: memory is the plan's, every address lies in a region of its own, and nothing is written beside them. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { WeightFormat } from '../../runtime/kernel/format.ts'
import { WEIGHT_FORMATS, formatBytes } from '../../runtime/kernel/format.ts'
import type { Kernel } from '../../runtime/kernel/load.ts'
import type { Lifetime, Region } from '../../runtime/kernel/plan.ts'
import { sumPurposes } from '../../runtime/kernel/plan.ts'
import type { ModelConfig } from '../../runtime/model/config.ts'
import { countOf } from '../../runtime/model/layout.ts'
import { LINEARS, classifierTensors } from '../../runtime/model/names.ts'
import type { StagePlan, StageSpec } from '../../runtime/model/plan.ts'
import { planStage } from '../../runtime/model/plan.ts'
import type { Batch } from '../../runtime/model/stage.ts'
import { ADAMW, FRESH } from '../../runtime/model/optimizer.ts'
import { Stage } from '../../runtime/model/stage.ts'
import type { Weights } from '../../runtime/model/weights.ts'
import { openKernelBuild } from '../kernels.ts'
import { adapter, config, weights as encoderWeights } from '../split/model.ts'
import { openThreaded } from '../threads.ts'

/** As many rows, sequences and tokens as the plan allows, so that scratch is used to its end. */
const LENGTHS = [12, 3, 8, 1, 10]
const ROWS = 34, LABELS = 3
const CLASSIFIER = classifierTensors(config, LABELS)

/** The model of split/model.ts, with a classifier among its weights. */
const weights: Weights = {
  names: [...encoderWeights.names, ...CLASSIFIER.map(({ name }) => name)],
  has: (name) => encoderWeights.has(name) || CLASSIFIER.some((tensor) => tensor.name === name),
  read: async (name, shape) => {
    if (encoderWeights.has(name)) return encoderWeights.read(name, shape)
    const values = Float32Array.from({ length: countOf(shape) }, (_, i) => ((i * 5) % 7) / 10 - 0.3)
    return { dtype: 'F32', data: new Uint8Array(values.buffer) }
  },
}

const CUTS = [[0, 1], [0, 4], [1, 4], [2, 3]] as const
const TRAINED: Readonly<Record<string, Partial<StageSpec>>> = {
  'nothing trained': { training: 'none', adapter: null, setsFrom: [] },
  'nothing trained, adapters, in panels': { training: 'none', packed: true },
  'adapters trained': { training: 'adapters' },
  'adapters of every layer trained': { training: 'adapters', adapter: { ...adapter, targets: LINEARS.map(({ key }) => key) } },
  'all trained': { training: 'all', adapter: null, setsFrom: [] },
}

type Named = { name: string; spec: StageSpec }

/** Every combination of cut and training with one format, way and number of threads. */
function specsOf(format: WeightFormat, recompute: boolean, threads: number): Named[] {
  return CUTS.flatMap(([from, to]) => Object.entries(TRAINED).map(([name, trained]) => ({
    name: `blocks ${from} … ${to}, ${name}, ${format}, ${recompute ? 'recomputed, ' : ''}${threads} threads`,
    spec: {
      config, from, to, labels: LABELS, adapter, training: 'adapters', setsFrom: [from, from],
      rows: ROWS, sequences: LENGTHS.length, longest: 12,
      format, recompute, threads, ...trained,
    },
  })))
}

/** The region that begins at an address. */
function regionAt({ memory }: StagePlan, address: number, what: string): Region {
  const region = memory.regions.find((candidate) => candidate.address === address)
  assert.ok(region, `${what}: expected a region at ${address}`)
  return region!
}

function checkRegions({ memory }: StagePlan, what: string): void {
  memory.regions.forEach(({ name, address, bytes }, index) => {
    const end = memory.regions[index + 1]?.address ?? memory.usedBytes
    const inside = address >= 64 && address % 64 === 0 && address + bytes <= end
    assert.ok(bytes > 0 && inside, `${what}: ${name} at ${address}, ${bytes} bytes, to ${end}`)
  })
  assert.is(memory.bytes - memory.usedBytes < 65536, true, what)
  assert.is(new Set(memory.regions.map(({ name }) => name)).size, memory.regions.length, `${what}: a name for each region`)
}

/** Weights one behind another in their region, each of its format's size and no two in one place. */
function checkWeights({ weights: placed, ...plan }: StagePlan, { format, training }: StageSpec, what: string): void {
  const region = regionAt({ weights: placed, ...plan }, placed.params, what)
  const spans = placed.tensors.flatMap(({ name, shape, address, format: own, scales }) => {
    assert.is(own, shape.length === 2 && !name.startsWith('classifier') && training !== 'all' ? format : 'f32', `${what}: ${name}`)
    const values = { address, bytes: countOf(shape) * formatBytes(own) }
    return own === 'int8' ? [values, { address: scales, bytes: 4 * shape[0] }] : [values]
  })
  let end = region.address
  for (const { address, bytes } of spans) {
    assert.ok(address >= end && address % 4 === 0, `${what}: a tensor at ${address} behind ${end}`)
    end = address + bytes
  }
  assert.ok(end <= region.address + region.bytes, what)
}

/** Every address that the stage hands to the kernel begins a region of the size that it needs; out's gradient alone lies where out does. */
function checkAddresses(plan: StagePlan, { adapter: lora, recompute, training }: StageSpec, what: string): void {
  const { hiddenSize: C, intermediateSize: F } = config
  const widths: Readonly<Record<string, number>> = { up: F, stats1: 2, stats2: 2 }
  const expectBytes = (address: number, bytes: number, field: string) =>
    assert.is(regionAt(plan, address, `${what}: ${field}`).bytes, bytes, `${what}: ${field}`)
  plan.saved.forEach(({ fields, lora: low }, index) => {
    for (const [field, address] of Object.entries(fields)) {
      if (address) expectBytes(address, 4 * ROWS * (widths[field] ?? C), `${index} ${field}`)
    }
    for (const { key } of LINEARS) {
      assert.is(low[key] !== 0, lora?.targets.includes(key) ?? false, `${what}: ${key}`)
      if (low[key]) expectBytes(low[key], 4 * ROWS * lora!.rank, `${index} low ${key}`)
    }
  })
  const places = plan.saved.flatMap(({ fields, lora: low }) => [...Object.values(fields), ...Object.values(low)])
    .filter((address) => address !== 0)
  const own = new Set(places)
  // Recomputed blocks share all but their inputs.
  const alone = plan.saved.length === 1 || !(recompute && training !== 'none')
  assert.is(own.size, alone ? places.length : places.length / plan.saved.length + plan.saved.length - 1, what)
  for (const address of [plan.out, plan.scratch, ...plan.sets.map(({ params }) => params)]) assert.not.ok(own.has(address), what)
  assert.is(plan.dOut, training === 'none' ? 0 : plan.out)
  expectBytes(plan.out, 4 * ROWS * C, 'out')
  expectBytes(plan.scratch, plan.scratchBytes, 'scratch')
  for (const { params, m, v, layout } of plan.sets) {
    for (const address of training === 'adapters' ? [params, m, v] : [params]) expectBytes(address, 4 * layout.count, 'set')
  }
}

function makeBatch({ from }: StageSpec): Batch {
  const offsets = Int32Array.from([0, ...LENGTHS]).map((_, s) => LENGTHS.slice(0, s).reduce((sum, length) => sum + length, 0))
  const wave = (count: number) => Float32Array.from({ length: count }, (_, i) => ((i * 13) % 23) / 11 - 1)
  if (from > 0) return { offsets, activation: wave(ROWS * config.hiddenSize) }
  const ids = Int32Array.from({ length: ROWS }, (_, i) => (i * 7) % config.vocabSize)
  return { offsets, ids, types: Int32Array.from({ length: ROWS }, (_, i) => i % 2) }
}

/** One step, and everything that it gives. `spoil` is told when regions of a lifetime hold nothing that is needed any more. */
function runStep(stage: Stage, spoil: (lifetime: Lifetime) => void): Float32Array[] {
  const { spec, plan } = stage
  const results: Float32Array[] = []
  spoil('step')
  spoil('call')
  stage.forward(makeBatch(spec))
  results.push(stage.activation())
  const dOut = stage.activation().map((value) => value / 8)
  if (plan.head) results.push(stage.logits(), Float32Array.of(stage.loss(Int32Array.from(LENGTHS, (length) => length % LABELS))))
  if (spec.training === 'none') return results
  spoil('call')
  stage.clearGradients()
  results.push(stage.backward(plan.head ? undefined : dOut) ?? new Float32Array(0))
  spoil('call')
  stage.update(ADAMW)
  if (spec.training === 'all') return [...results, stage.view(plan.weights.params, plan.weights.count).slice()]
  return [...results, ...plan.sets.map((_, set) => stage.readSet(set).params)]
}

async function openStage(kernel: Kernel, spec: StageSpec): Promise<Stage> {
  const stage = await Stage.open(kernel, spec, weights)
  stage.plan.sets.forEach((_, set) => {
    const state = stage.readSet(set)
    state.params.forEach((__, i) => { state.params[i] = ((i * 37 + set) % 19) / 40 - 0.2 })
    stage.writeSet(set, state)
  })
  return stage
}

/** The bytes that no region holds, and those that a step must leave as they are. */
function checkUntouched({ memory, plan, spec }: Stage, before: Uint8Array, what: string): void {
  const after = new Uint8Array(memory.buffer)
  const same = (begin: number, end: number, name: string) => {
    for (let at = begin; at < end; at++) {
      if (after[at] !== before[at]) assert.unreachable(`${what}: expected byte ${at} of ${name} unchanged`)
    }
  }
  let end = 0
  for (const { name, address, bytes } of plan.memory.regions) {
    same(end, address, `the room before ${name}`)
    end = address + bytes
  }
  same(end, after.length, 'the room behind all regions')
  const trained = spec.training === 'none' ? /^$/ : /^(set 0|weights\.)/
  const kept = plan.memory.regions.filter(({ name, purpose, lifetime }) =>
    lifetime === 'run' && (purpose === 'weights' ? spec.training !== 'all' : purpose === 'sets' && !trained.test(name)))
  for (const { name, address, bytes } of kept) same(address, address + bytes, name)
}

/** The stage as it was opened. A team's record counts jobs, which its threads count too. */
function restore(stage: Stage, before: Uint8Array): void {
  for (const { name, address, bytes } of stage.plan.memory.regions) {
    if (name !== 'team') new Uint8Array(stage.memory.buffer, address, bytes).set(before.subarray(address, address + bytes))
  }
  stage.plan.sets.forEach((_, set) => stage.writeSet(set, { ...stage.readSet(set), power1: 1, power2: 1 }))
  stage.weightsPowers = FRESH
}

async function checkStage(kernel: Kernel, { name, spec }: Named): Promise<void> {
  const plan = planStage(spec, kernel.exports)
  checkRegions(plan, name)
  checkWeights(plan, spec, name)
  checkAddresses(plan, spec, name)
  const stage = await openStage(kernel, spec)
  assert.equal([stage.bytes, stage.memory.buffer.byteLength], [plan.memory.bytes, plan.memory.bytes], name)
  const before = new Uint8Array(stage.memory.buffer).slice()
  const plain = runStep(stage, () => {})
  checkUntouched(stage, before, name)
  restore(stage, before)
  const spoil = (lifetime: Lifetime) => {
    for (const region of plan.memory.regions) {
      if (region.lifetime === lifetime) stage.view(region.address, region.bytes >> 2).fill(NaN)
    }
  }
  assert.equal(runStep(stage, spoil), plain, `${name}: nothing is read after its lifetime`)
  stage.close()
}

const WAYS = [false, true]

for (const [build, formats] of [['simd', WEIGHT_FORMATS], ['scalar', ['int8']]] as const) {
  for (const format of formats) {
    test(`${build}, ${format}: a step within its plan`, async () => {
      const kernel = await openKernelBuild(build)
      for (const recompute of WAYS) for (const named of specsOf(format, recompute, 1)) await checkStage(kernel, named)
    })
  }
}

for (const [format, recompute] of [['f32', false], ['int8', true]] as const) {
  test(`${format}, two threads: a step within its plan`, async () => {
    const kernel = await openThreaded()
    const specs = specsOf(format, recompute, 2)
    // A thread takes a while to start.
    const some = specs.filter(({ name }) => /^blocks (0|1) … 4, (nothing trained,|adapters of every|all)/.test(name))
    for (const named of some) await checkStage(kernel, named)
  })
}

const BERT_BASE: ModelConfig = {
  vocabSize: 30522, hiddenSize: 768, layers: 12, heads: 12, intermediateSize: 3072,
  positionsMax: 512, typesMax: 2, layerNormEps: 1e-12, labels: [],
}
/** A device's step of 16 texts of 20 tokens, of the 128 that are allowed. */
const DEVICE: StageSpec = {
  config: BERT_BASE, from: 0, to: 1, labels: 6, adapter: { rank: 8, alpha: 16, targets: ['query', 'value'] },
  training: 'adapters', setsFrom: [0],
  rows: 320, sequences: 16, longest: 128,
}

test('recomputation takes less from two blocks on, and the same for one', async () => {
  const { exports } = await openKernelBuild('simd')
  const measure = (spec: StageSpec) => planStage(spec, exports).memory.usedBytes
  for (const training of ['adapters', 'all'] as const) {
    const shape = training === 'all' ? { ...DEVICE, config: { ...BERT_BASE, layers: 4 }, training, adapter: null, setsFrom: [] } : DEVICE
    for (const to of [1, 2, 3, 4]) {
      const kept = measure({ ...shape, to }), again = measure({ ...shape, to, recompute: true })
      // Each block but one saves at least queries, keys, values, two sums and what GELU reads.
      const saved = (to - 1) * 4 * 320 * (5 * 768 + 3072)
      assert.ok(kept - again >= saved && (to > 1 || kept === again), `${training}, ${to} blocks: ${kept} ${again}`)
    }
  }
  assert.is(measure({ ...DEVICE, to: 3, training: 'none' }), measure({ ...DEVICE, to: 3, training: 'none', recompute: true }))
})

test("a BERT-base block's weights: half in f16, little more than a quarter in int8", async () => {
  const { exports } = await openKernelBuild('simd')
  const measure = (format: WeightFormat, from: number) =>
    sumPurposes(planStage({ ...DEVICE, from, to: from + 1, setsFrom: [from], format }, exports).memory).weights
  for (const from of [0, 5]) {
    const f32 = measure('f32', from)
    assert.ok(measure('f16', from) <= 0.505 * f32, `${from}: f16`)
    assert.ok(measure('int8', from) <= 0.27 * f32, `${from}: int8`)
  }
})

test('BERT-base on a device of 48 MB', async () => {
  for (const build of ['simd', 'scalar'] as const) {
    const { memory } = planStage({ ...DEVICE, format: 'int8' }, (await openKernelBuild(build)).exports)
    assert.ok(memory.bytes <= 48_000_000, `${build}: expected at most 48000000 bytes, got ${memory.bytes}`)
  }
})

test.run()
