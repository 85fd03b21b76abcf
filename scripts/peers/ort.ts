/** ONNX Runtime as a participant, on one thread: `package` says whether Web (wasm) or native. */
import { createRequire } from 'node:module'
import { checkOutput, drawTensor } from './numbers.ts'
import type { Graph } from './onnx.ts'
import { encodeModel } from './onnx.ts'
import { modelGraph, productGraph } from './onnx.graphs.ts'
import type { Setting, Task } from './protocol.ts'
import { pickFastest, serve } from './protocol.ts'
import type { ModelWork, ProductWork, Work } from './work.ts'

type Feeds = Record<string, unknown>
type Session = { run(feeds: Feeds): Promise<Record<'out', { data: Float32Array }>>; release(): Promise<void> }

/** The package's part that is used; its own types are not installed with the project. */
type Runtime = {
  env: { wasm: { numThreads?: number }; logLevel?: string; versions: { common: string } }
  Tensor: new (type: string, values: Float32Array | BigInt64Array, shape: readonly number[]) => unknown
  InferenceSession: { create(model: Uint8Array, options: object): Promise<Session> }
}

function openRuntime({ package: name }: Setting): Runtime {
  const runtime = createRequire(import.meta.url)(String(name)) as Runtime
  // No cross-origin isolation, no proxy: one thread runs everything.
  runtime.env.wasm.numThreads = 1
  runtime.env.logLevel = 'error'
  return runtime
}

function openSession(runtime: Runtime, { package: name }: Setting, graph: Graph): Promise<Session> {
  return runtime.InferenceSession.create(encodeModel(graph), {
    executionProviders: [name === 'onnxruntime-web' ? 'wasm' : 'cpu'],
    graphOptimizationLevel: 'all', executionMode: 'sequential', intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 3,
  })
}

async function prepareProduct(runtime: Runtime, setting: Setting, work: ProductWork): Promise<Task> {
  const { form, a, b } = work
  const feeds: Feeds = { a: new runtime.Tensor('float32', drawTensor(a), a.shape) }
  if (form === 'weight') feeds.b = new runtime.Tensor('float32', drawTensor(b), b.shape)
  const whole = await openSession(runtime, setting, productGraph(work, true))
  const { out } = await whole.run(feeds)
  const check = checkOutput(out.data)
  await whole.release()
  const session = await openSession(runtime, setting, productGraph(work, false))
  return { run: async () => void await session.run(feeds), check: () => ({ out: check }) }
}

async function prepareModel(runtime: Runtime, setting: Setting, work: ModelWork): Promise<Task> {
  const feeds: Feeds = { ids: new runtime.Tensor('int64', BigInt64Array.from(work.ids, BigInt), [1, work.ids.length]) }
  const { name, run, session } = await pickFastest(await Promise.all((['operations', 'fused'] as const).map(async (style) => {
    const opened = await openSession(runtime, setting, modelGraph(work, style))
    return { name: `attention: ${style}`, session: opened, run: async () => void await opened.run(feeds) }
  })))
  return { run, note: name, check: async () => ({ out: checkOutput((await session.run(feeds)).out.data) }) }
}

async function prepare(work: Work, setting: Setting): Promise<Task> {
  const runtime = openRuntime(setting)
  if (work.kind === 'product') return prepareProduct(runtime, setting, work)
  if (work.kind === 'model') return prepareModel(runtime, setting, work)
  throw new Error(`no ${work.kind} for ONNX Runtime`)
}

await serve(async () => ({ version: process.versions.node, prepare }))
