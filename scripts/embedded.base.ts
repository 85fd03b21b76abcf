/**
 * One step of a device with the embeddings and the first block of the bundled base, for accounts of time and memory: its frames are
 * written here as a server would write them, the gradient drawn. Node's device answers the same frames first, and every engine's
 * answers must be its bytes.
 */
import { readFileSync } from 'node:fs'
import type { TokenizedDataset } from '../runtime/data/dataset.ts'
import type { Link } from '../runtime/host/network.ts'
import { createChecksum } from '../runtime/kernel/checksum.ts'
import { loadKernel } from '../runtime/kernel/load.ts'
import { parseConfig } from '../runtime/model/config.ts'
import { checksumText } from '../runtime/model/fingerprint.ts'
import { initialVector } from '../runtime/model/initial.ts'
import { canonicalName, blockTensors, embeddingTensors } from '../runtime/model/names.ts'
import { openWeights } from '../runtime/model/weights.ts'
import { createRandom } from '../runtime/random.ts'
import type { Contract } from '../runtime/split/contract.ts'
import { deviceLayout, optimizerOf } from '../runtime/split/contract.ts'
import { runDevice } from '../runtime/split/device.ts'
import { openStageHalf } from '../runtime/split/half.stage.ts'
import { ADMIT_NOTHING } from '../runtime/split/link.ts'
import { SCHEME_DEFAULT } from '../runtime/split/scheme.ts'
import { vectorTensors } from '../runtime/split/tensors.ts'
import { encodeTensor } from '../runtime/wire/codec.ts'
import type { FrameInput } from '../runtime/wire/frame.ts'
import { encodeFrame } from '../runtime/wire/frame.ts'
import { decodeSafetensors, encodeSafetensors } from '../runtime/wire/safetensors.ts'
import type { Brought } from '../test/targets/embedded.scene.ts'
import { toBase64 } from '../test/targets/embedded.scene.ts'

const FOLDER = 'runtime/bundled/base'
const CUT = 1
/** Tokens of each text of the one batch: about a tweet. */
const LENGTHS = [20, 20]
const LABELS = ['joy', 'anger']
const RUN = 1, CLIENT = 0

export type BaseStep = { brought: Brought; down: Uint8Array[]; up: Uint8Array[]; tokens: number; memoryBytes: number }

export async function prepareBase(): Promise<BaseStep> {
  const kernel = await loadKernel(readFileSync('dist/kerf.scalar.wasm'), 'scalar')
  const crc32c = createChecksum(kernel)
  const text = readFileSync(`${FOLDER}/config.json`, 'utf8')
  const config = parseConfig(text)
  const wanted = new Set([...embeddingTensors(config), ...blockTensors(config, 0)].map(({ name }) => name))
  const { tensors } = decodeSafetensors(readFileSync(`${FOLDER}/model.safetensors`))
  const file = encodeSafetensors([...tensors.values()].filter(({ name }) => wanted.has(canonicalName(name))))
  const random = createRandom(1, 'mask')
  const data: TokenizedDataset = {
    sequences: LENGTHS.map((length) => Int32Array.from({ length }, () => random.below(config.vocabSize))),
    labels: Int32Array.from(LENGTHS, (_, row) => row),
  }
  const tokens = LENGTHS.reduce((sum, length) => sum + length, 0)
  const contract: Contract = {
    scheme: SCHEME_DEFAULT, seed: 1, steps: 1, interval: 1, checkpointEvery: 0, batch: LENGTHS.length, maxLength: 32,
    truncate: false, shuffle: false, learningRate: 1e-3, weightDecay: 0, codec: 'f32',
    adapter: { rank: 8, alpha: 16, targets: ['query', 'value'] }, labels: LABELS, cuts: [CUT],
    partition: 'contiguous', fingerprint: checksumText(JSON.stringify(config), crc32c),
  }
  const layout = deviceLayout(config, contract, CUT)
  const gradient = Float32Array.from({ length: tokens * config.hiddenSize }, () => (random.uniform() - 0.5) / 100)
  const heads: readonly Omit<FrameInput, 'run' | 'client' | 'epoch' | 'sequence' | 'round'>[] = [
    { type: 'welcome', step: 0, tensors: [], metadata: { contract: JSON.stringify(contract) } },
    { type: 'adapter', step: 0, tensors: vectorTensors(layout, initialVector(layout, 1, kernel.exports)), metadata: { until: '1' } },
    { type: 'gradient', step: 0, tensors: encodeTensor(contract.codec, 'gradient', tokens, config.hiddenSize, gradient) },
    { type: 'bye', step: 1, tensors: [] },
  ]
  const down = heads.map((head, sequence) => encodeFrame({ ...head, run: RUN, client: CLIENT, epoch: 0, round: 0, sequence }, crc32c))
  const brought: Brought = {
    config: text, weights: toBase64(file), sequences: data.sequences.map((ids) => [...ids]), labels: [...data.labels],
    name: 'device', client: CLIENT,
  }

  const up: Uint8Array[] = []
  const waiting = [...down]
  const link: Link = {
    send: (frame) => { up.push(frame) }, receive: async () => waiting.shift() ?? null,
    admit: ADMIT_NOTHING, close: () => {}, why: () => null,
  }
  const read = async (begin: number, end: number) => file.slice(begin, end)
  const source = { name: 'weights', bytes: file.length, read, close: async () => {} }
  let memoryBytes = 0
  const clock = { now: () => 0, turn: async () => {}, after: () => () => {} }
  await runDevice({
    name: brought.name, client: CLIENT, link, clock, crc32c,
    provide: async () => ({
      config, data, fingerprint: contract.fingerprint,
      async openHalf(spec) {
        const half = await openStageHalf(kernel, spec, await openWeights(source), optimizerOf(contract), clock.now)
        memoryBytes = (await half.memory()).bytes
        return half
      },
    }),
  })
  return { brought, down, up, tokens, memoryBytes }
}
