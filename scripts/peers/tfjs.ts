/** TensorFlow.js on its wasm backend, one thread, as a participant. */
import { createRequire } from 'node:module'
import { drawTensor, checkOutput } from './numbers.ts'
import type { Tensor } from './numbers.ts'
import type { Setting, Task } from './protocol.ts'
import { pickFastest, serve } from './protocol.ts'
import { prepareBlock } from './tfjs.block.ts'
import type { TensorFlow, Value } from './tfjs.types.ts'
import type { ProductWork, Work } from './work.ts'

const SCOPE = '@tensorflow'

async function openTensorFlow(): Promise<TensorFlow> {
  const load = createRequire(import.meta.url)
  const tf = load(`${SCOPE}/tfjs-core`) as TensorFlow
  const wasm = load(`${SCOPE}/tfjs-backend-wasm`) as { setThreadsCount(count: number): void }
  // Core registers no gradients by itself on Node; the layers do.
  load(`${SCOPE}/tfjs-layers`)
  wasm.setThreadsCount(1)
  await tf.setBackend('wasm')
  await tf.ready()
  if (tf.getBackend() !== 'wasm') throw new Error(`backend: expected wasm, got ${tf.getBackend()}`)
  return tf
}

/** The flags of matMul take a slow kernel (2 GFLOP/s), so that transposing first is a way of its own. */
async function prepareProduct(tf: TensorFlow, { form, a, b }: ProductWork): Promise<Task> {
  const place = (tensor: Tensor) => tf.tensor(drawTensor(tensor), tensor.shape)
  const left = place(a), right = place(b)
  const transposed = form === 'forward' ? tf.transpose(right) : left
  const products: Record<string, () => Value> = form === 'forward'
    ? { 'weight stored transposed': () => tf.matMul(left, transposed) }
    : form === 'input'
      ? { plain: () => tf.matMul(left, right) }
      : { flags: () => tf.matMul(left, right, true, false), 'transposed first': () => tf.tidy(() => tf.matMul(tf.transpose(left), right)) }
  const ways = Object.entries(products).map(([name, product]) => ({ name, product, run: () => product().dispose() }))
  const { name, run, product } = await pickFastest(ways)
  return { run, note: name, check: () => ({ out: checkOutput(product().dataSync()) }) }
}

async function prepare(tf: TensorFlow, work: Work, setting: Setting): Promise<Task> {
  if (work.kind === 'product') return prepareProduct(tf, work)
  if (work.kind === 'block') return prepareBlock(tf, work, setting.gradients === 'written')
  throw new Error(`no ${work.kind} for TensorFlow.js`)
}

await serve(async () => {
  const tf = await openTensorFlow()
  return { version: `${tf.version_core}`, prepare: (work, setting) => prepare(tf, work, setting) }
})
