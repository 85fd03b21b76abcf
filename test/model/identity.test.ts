/**
 * The strict profile's bits, recorded at commit 6772c9c: however the kernel is rearranged for speed, whole training
 * steps give these very bytes in every strict build.
 */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createChecksum } from '../../runtime/kernel/checksum.ts'
import type { KernelBuild } from '../../runtime/kernel/load.ts'
import type { ModelConfig } from '../../runtime/model/config.ts'
import { LINEARS } from '../../runtime/model/names.ts'
import type { StageSpec } from '../../runtime/model/plan.ts'
import { ADAMW, Stage } from '../../runtime/model/stage.ts'
import { createRandom } from '../../runtime/random.ts'
import { BUILDS, openKernelBuild } from '../kernels.ts'

const CONFIG: ModelConfig = {
  vocabSize: 50, hiddenSize: 60, layers: 3, heads: 5, intermediateSize: 91, positionsMax: 300, typesMax: 2, layerNormEps: 1e-12, labels: [],
}
const LABELS = 5
/** One batch sums over more than 256 rows, one holds a long text, one a single short one. */
const BATCHES = [[7, 290, 13], [1, 2, 40, 33, 5], [3]]
const STEPS = 3

function gaussian(random: { uniform(): number }): number {
  let sum = -6
  for (let term = 0; term < 12; term++) sum += random.uniform()
  return sum
}

async function openDrawn(build: KernelBuild, spec: StageSpec): Promise<Stage> {
  const stage = await Stage.blank(await openKernelBuild(build), spec)
  stage.plan.weights.tensors.forEach(({ name }, index) => {
    const random = createRandom(3, 'weights', index)
    const gain = name.endsWith('LayerNorm.weight') ? 1 : 0
    const view = stage.weight(name)
    for (let i = 0; i < view.length; i++) view[i] = gain + 0.15 * gaussian(random)
  })
  stage.plan.sets.forEach((_, index) => {
    const state = stage.readSet(index)
    const random = createRandom(4, 'adapter', index)
    for (let i = 0; i < state.params.length; i++) state.params[i] = 0.2 * gaussian(random)
    stage.writeSet(index, state)
  })
  return stage
}

/** CRC32C of everything that three training steps give: logits, losses, the input's gradient, and what was trained. */
async function trainChecksum(build: KernelBuild, spec: StageSpec): Promise<string> {
  const crc32c = createChecksum(await openKernelBuild('simd'))
  const stage = await openDrawn(build, spec)
  const parts: number[] = []
  const fold = (values: Float32Array) => { parts.push(crc32c(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))) }
  for (let step = 0; step < STEPS; step++) {
    const lengths = BATCHES[step % BATCHES.length]
    const offsets = Int32Array.from([0, ...lengths.map((_, s) => lengths.slice(0, s + 1).reduce((a, b) => a + b, 0))])
    const random = createRandom(5, 'mask', step)
    const N = offsets[lengths.length]
    const ids = Int32Array.from({ length: N }, () => random.below(CONFIG.vocabSize))
    const activation = spec.from === 0 ? undefined : Float32Array.from({ length: N * CONFIG.hiddenSize }, () => gaussian(random))
    stage.forward(spec.from === 0 ? { offsets, ids } : { offsets, activation })
    fold(stage.activation())
    stage.clearGradients()
    if (spec.to === CONFIG.layers) {
      fold(stage.logits())
      fold(Float32Array.of(stage.loss(Int32Array.from(lengths, () => random.below(LABELS)))))
      fold(stage.backward() ?? new Float32Array(0))
    } else {
      fold(stage.backward(Float32Array.from({ length: N * CONFIG.hiddenSize }, () => gaussian(random))) ?? new Float32Array(0))
    }
    stage.update(ADAMW)
  }
  if (spec.training === 'all') for (const { name } of stage.plan.weights.tensors) fold(stage.weight(name))
  else fold(stage.readSet(0).params)
  return crc32c(new Uint8Array(Uint32Array.from(parts).buffer)).toString(16).padStart(8, '0')
}

const BASE = {
  config: CONFIG, labels: LABELS, setsFrom: [0], rows: 310, sequences: 5, longest: 300, training: 'adapters',
  adapter: { rank: 3, alpha: 7, targets: ['query', 'value'] },
} as const

const SPECS: Readonly<Record<string, { spec: StageSpec; crc: string }>> = {
  device: { spec: { ...BASE, from: 0, to: 1 }, crc: 'c6fec682' },
  server: { spec: { ...BASE, from: 1, to: 3, setsFrom: [1] }, crc: '9d31a732' },
  'all linears': { spec: { ...BASE, from: 0, to: 3, adapter: { ...BASE.adapter, targets: LINEARS.map(({ key }) => key) } }, crc: '13e57b09' },
  'every weight': { spec: { ...BASE, from: 0, to: 3, adapter: null, training: 'all', setsFrom: [] }, crc: 'e60673ac' },
}

/** What may change speed and memory but no bit. */
const WAYS: Readonly<Record<string, Partial<StageSpec>>> = { '': {}, ', recomputed': { recompute: true } }

for (const build of BUILDS) {
  for (const [name, { spec, crc }] of Object.entries(SPECS)) {
    for (const [way, options] of Object.entries(WAYS)) {
      test(`${build}: ${name}${way}`, async () => {
        assert.is(await trainChecksum(build, { ...spec, ...options }), crc)
      })
    }
  }
}

test.run()
