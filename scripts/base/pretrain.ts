/**
 * Pretrains the bundled base by masked-language modelling with Kerf's own kernels:
 *   node --import tsx scripts/base/pretrain.ts [--steps N] [--out build/base] [--resume]
 * The work is cut into a fixed number of shards, one worker each, whose gradients are
 * summed in shard order: the result depends on the corpus, the vocabulary and the
 * options alone.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Worker } from 'node:worker_threads'
import { buildSync } from 'esbuild'
import { loadKernel } from '../../runtime/kernel/load.ts'
import { parseConfig } from '../../runtime/model/config.ts'
import type { ModelConfig } from '../../runtime/model/config.ts'
import { countOf } from '../../runtime/model/layout.ts'
import { mlmTensors, poolerTensors } from '../../runtime/model/names.ts'
import { weightTensors } from '../../runtime/model/plan.ts'
import { createTokenizer } from '../../runtime/data/tokens.ts'
import { createRandom, permute } from '../../runtime/random.ts'
import { decodeSafetensors, encodeSafetensors } from '../../runtime/wire/safetensors.ts'
import { keepChances } from './mlm.ts'
import type { Options } from './pretrain.schedule.ts'

const SHARDS = 2
const LENGTH_MAX = 64
const HELDOUT_SEQUENCES = 800
/** Below lie [PAD] [UNK] [CLS] [SEP] [MASK]. */
const FIRST_PIECE = 5
/** Workers start from a bundle: Node 20 doesn't pass its TypeScript loader on to them. */
const WORKER = './build/pretrain.worker.mjs'
buildSync({
  entryPoints: ['scripts/base/pretrain.worker.ts'], bundle: true, platform: 'node', format: 'esm', outfile: WORKER, logLevel: 'error',
})

const { values } = parseArgs({
  options: {
    corpus: { type: 'string', default: 'build/corpus.txt' },
    heldout: { type: 'string', default: 'build/heldout.txt' },
    base: { type: 'string', default: 'runtime/bundled/base' },
    out: { type: 'string', default: 'build/base' },
    steps: { type: 'string', default: '8000' },
    batch: { type: 'string', default: '32' },
    lr: { type: 'string', default: '1.5e-3' },
    seed: { type: 'string', default: '1' },
    'save-every': { type: 'string', default: '250' },
    /** How many of its sentence's words [CLS] predicts. */
    summary: { type: 'string', default: '0' },
    /** A checkpoint whose weights to begin with, for a second stage. */
    init: { type: 'string' },
    resume: { type: 'boolean', default: false },
  },
})

const options: Options = {
  seed: Number(values.seed), steps: Number(values.steps), batch: Number(values.batch),
  learningRate: Number(values.lr), warmup: 300, saveEvery: Number(values['save-every']), summary: Number(values.summary),
}

export type Job = {
  shard: number
  shards: number
  options: Options
  config: ModelConfig
  module: WebAssembly.Module
  special: { mask: number; first: number }
  limits: { rows: number; sequences: number; longest: number }
  ids: SharedArrayBuffer
  starts: SharedArrayBuffer
  order: SharedArrayBuffer
  keep: Float32Array
  heldout: Int32Array[]
  gradients: SharedArrayBuffer[]
  gate: SharedArrayBuffer
  initial?: SharedArrayBuffer
  resume?: { step: number; before: number; params: SharedArrayBuffer; m: SharedArrayBuffer; v: SharedArrayBuffer }
}

function share(data: Int32Array): SharedArrayBuffer {
  const buffer = new SharedArrayBuffer(4 * data.length)
  new Int32Array(buffer).set(data)
  return buffer
}

const config = parseConfig(readFileSync(join(values.base, 'config.json'), 'utf8'))
const tokenizer = createTokenizer({ vocabText: readFileSync(join(values.base, 'vocab.txt'), 'utf8') })

/** Ids of every line, cut to LENGTH_MAX, and where each starts; kept in build/ beside the text it was made from. */
function tokenize(file: string): { ids: Int32Array; starts: Int32Array } {
  const text = readFileSync(file, 'utf8')
  const digest = createHash('sha256').update(text).update(readFileSync(join(values.base, 'vocab.txt'))).digest('hex').slice(0, 16)
  const cache = `${file}.${digest}.ids`
  if (existsSync(cache)) {
    const words = new Int32Array(new Uint8Array(readFileSync(cache)).buffer)
    return { starts: words.slice(1, words[0] + 1), ids: words.slice(words[0] + 1) }
  }
  const ids: number[] = [], starts = [0]
  for (const line of text.split('\n')) {
    if (line === '') continue
    const all = tokenizer.encode(line)
    ids.push(...(all.length > LENGTH_MAX ? [...all.subarray(0, LENGTH_MAX - 1), tokenizer.ids.sep] : all))
    starts.push(ids.length)
  }
  const whole = new Int32Array(1 + starts.length + ids.length)
  whole[0] = starts.length
  whole.set(starts, 1)
  whole.set(ids, 1 + starts.length)
  writeFileSync(cache, new Uint8Array(whole.buffer))
  return { ids: Int32Array.from(ids), starts: Int32Array.from(starts) }
}

const corpus = tokenize(values.corpus)
const held = tokenize(values.heldout)
const sequences = corpus.starts.length - 1
const heldout = Array.from({ length: Math.min(HELDOUT_SEQUENCES, held.starts.length - 1) }, (_, i) => (
  held.ids.slice(held.starts[i], held.starts[i + 1])))
const keep = keepChances(corpus.ids, config.vocabSize, FIRST_PIECE)
const perEpoch = permute(sequences, createRandom(options.seed, 'pretrain'))
const perStep = SHARDS * options.batch
console.log(`corpus: ${sequences} sequences, ${corpus.ids.length} tokens`)
console.log(`${options.steps} steps of ${perStep} sequences: ${((options.steps * perStep) / sequences).toFixed(2)} epochs`)

const kernel = await loadKernel(readFileSync('dist/kerf.simd.wasm'), 'simd')
const tensors = weightTensors({
  config, from: 0, to: config.layers, labels: 1, adapter: null, training: 'all', setsFrom: [],
  rows: 1, sequences: 1, longest: 1, head: false, extra: mlmTensors(config),
})
const parameters = tensors.reduce((sum, { shape }) => sum + countOf(shape), 0)
console.log(`model: ${parameters} parameters with the language head`)

mkdirSync(values.out, { recursive: true })
const checkpoint = join(values.out, 'pretrain.safetensors')

function readCheckpoint(file: string): NonNullable<Job['resume']> {
  const { tensors: saved, metadata } = decodeSafetensors(new Uint8Array(readFileSync(file)))
  const part = (name: string) => {
    const { data } = saved.get(name)!
    const buffer = new SharedArrayBuffer(data.length)
    new Uint8Array(buffer).set(data)
    return buffer
  }
  return { step: Number(metadata.step), before: Number(metadata.before), params: part('params'), m: part('m'), v: part('v') }
}

const resume = values.resume && existsSync(checkpoint) ? readCheckpoint(checkpoint) : undefined
const initial = values.init === undefined ? undefined : readCheckpoint(values.init).params
const gradients = Array.from({ length: SHARDS }, () => new SharedArrayBuffer(4 * parameters))
const gate = new SharedArrayBuffer(8)
const shared = { ids: share(corpus.ids), starts: share(corpus.starts), order: share(perEpoch) }
const begin = performance.now()
let recent = 0
let recentCount = 0

type Save = { step: number; before: number; heldout: number; params: ArrayBuffer; m: ArrayBuffer; v: ArrayBuffer }

function save({ step, before, heldout: after, params, m, v }: Save): void {
  const flat = (name: string, buffer: ArrayBuffer) => ({ name, dtype: 'F32' as const, shape: [parameters], data: new Uint8Array(buffer) })
  const metadata = {
    step: String(step), before: String(before), heldout: String(after), seed: String(options.seed), steps: String(options.steps),
  }
  writeFileSync(`${checkpoint}.new`, encodeSafetensors([flat('params', params), flat('m', m), flat('v', v)], metadata))
  renameSync(`${checkpoint}.new`, checkpoint)
  writeModel(new Float32Array(params), metadata)
  const minutes = (performance.now() - begin) / 60000
  console.log(`step ${step}: held-out loss ${before.toFixed(4)} -> ${after.toFixed(4)}, ${minutes.toFixed(1)} min`)
}

/** The encoder in f16, as it is bundled; the language head stays behind in the checkpoint. */
function writeModel(params: Float32Array, metadata: Record<string, string>): void {
  const memory = new WebAssembly.Memory({ initial: Math.ceil((6 * parameters) / 65536) + 1 })
  const { exports } = new WebAssembly.Instance(kernel.module, { env: { memory } })
  const narrow = exports.narrowF16 as (out: number, x: number, n: number) => void
  const at = 64 + 4 * Math.ceil(parameters / 2) // f16 below, f32 above
  let offset = 0
  new Float32Array(memory.buffer, at, parameters).set(params)
  const head = new Set(mlmTensors(config).map(({ name }) => name))
  const halves = tensors.flatMap(({ name, shape }) => {
    const count = countOf(shape)
    narrow(64, at + 4 * offset, count)
    offset += count
    return head.has(name) ? [] : [{ name, dtype: 'F16' as const, shape, data: new Uint8Array(memory.buffer, 64, 2 * count).slice() }]
  })
  writeFileSync(join(values.out, 'model.safetensors.new'), encodeSafetensors([...halves, ...poolerHalves()], { format: 'pt', ...metadata }))
  renameSync(join(values.out, 'model.safetensors.new'), join(values.out, 'model.safetensors'))
}

const HALF_HALF = 0x3800 // 0.5 in f16

/** Masked-language modelling trains no pooler; half the identity passes the first row on within tanh's steep part. */
function poolerHalves() {
  return poolerTensors(config).map(({ name, shape }) => {
    const C = config.hiddenSize
    const values = new Uint16Array(countOf(shape))
    if (shape.length === 2) for (let i = 0; i < C; i++) values[i * C + i] = HALF_HALF
    return { name, dtype: 'F16' as const, shape, data: new Uint8Array(values.buffer) }
  })
}

if (resume && resume.step >= options.steps) {
  const { metadata } = decodeSafetensors(new Uint8Array(readFileSync(checkpoint)))
  writeModel(new Float32Array(resume.params), metadata)
  console.log(`step ${resume.step}: held-out loss ${metadata.before} -> ${metadata.heldout}`)
  process.exit()
}

const rows = LENGTH_MAX * Math.max(options.batch, 16)
for (let shard = 0; shard < SHARDS; shard++) {
  const workerData: Job = {
    shard, shards: SHARDS, options, config, module: kernel.module, special: { mask: tokenizer.ids.mask, first: FIRST_PIECE },
    limits: { rows, sequences: Math.max(options.batch, 16), longest: LENGTH_MAX }, ...shared,
    keep, heldout, gradients, gate, initial, resume,
  }
  const worker = new Worker(WORKER, { workerData })
  worker.on('error', (error) => { console.error(error); process.exit(1) })
  if (shard > 0) continue
  worker.on('message', (message: { event: string; step: number; loss: number } & Save) => {
    if (message.event === 'save') save(message)
    if (message.event !== 'step') return
    recent += message.loss
    recentCount++
    if (message.step % 50 !== 0) return
    const minutes = (performance.now() - begin) / 60000
    console.log(`step ${message.step}/${options.steps}: loss ${(recent / recentCount).toFixed(4)}, ${minutes.toFixed(1)} min`)
    recent = recentCount = 0
  })
}
