/**
 * jax-js on its wasm backend as a participant, on Node, Deno or Bun. With one thread the engine's Worker is taken away
 * before jax-js looks for it; with more it starts as many workers as `navigator` says that there are cores.
 */
import { checkOutput, checkOutputs, drawTensor } from './numbers.ts'
import type { Tensor } from './numbers.ts'
import { buildStep } from './jax.block.ts'
import type { Jax, Value } from './jax.types.ts'
import type { Task } from './protocol.ts'
import { pickFastest, serve } from './protocol.ts'
import type { BlockWork, ProductWork, Work } from './work.ts'
import { nameIn } from './work.ts'

const PACKAGE = '@jax-js/jax'

async function openJax(): Promise<Jax> {
  Reflect.deleteProperty(globalThis, 'Worker')
  const jax = await import(PACKAGE) as Jax
  await jax.init('wasm')
  if (jax.defaultDevice() !== 'wasm') throw new Error(`device: expected wasm, got ${jax.defaultDevice()}`)
  return jax
}

function place({ numpy: np }: Jax, tensor: Tensor): Value {
  return np.array(drawTensor(tensor)).reshape(tensor.shape)
}

async function prepareProduct(jax: Jax, { form, a, b }: ProductWork): Promise<Task> {
  const { numpy: np, jit } = jax
  const left = place(jax, a), right = place(jax, b)
  const turned = form === 'forward' ? await np.transpose(right.ref).blockUntilReady() : undefined
  const forms: Record<string, () => Value> = {}
  if (form === 'forward') {
    const plain = jit((x: Value, w: Value) => np.matmul(x, np.transpose(w)))
    const stored = jit((x: Value, w: Value) => np.matmul(x, w))
    forms.plain = () => plain(left.ref, right.ref)
    forms['weight stored transposed'] = () => stored(left.ref, turned!.ref)
  } else {
    const product = jit((x: Value, y: Value) => np.matmul(form === 'weight' ? np.transpose(x) : x, y))
    forms.plain = () => product(left.ref, right.ref)
  }
  const ways = Object.entries(forms).map(([name, product]) => (
    { name, product, run: async () => (await product().blockUntilReady()).dispose() }))
  const { name, run, product } = await pickFastest(ways)
  return { run, note: name, check: async () => ({ out: checkOutput(await product().data()) }) }
}

/** For batches of equal lengths: jax-js has no ragged ones. */
async function prepareBlock(jax: Jax, work: BlockWork): Promise<Task> {
  const [lengths] = work.batches
  if (work.batches.length > 1 || lengths.some((length) => length !== lengths[0])) throw new Error('no ragged batches')
  const tensors = [work.xs[0], ...work.lora, work.dOuts[0], ...work.weights].map((tensor) => place(jax, tensor))
  const compiled = buildStep(jax, work, lengths.length, lengths[0])
  const step = () => compiled(...tensors.map((tensor) => tensor.ref))
  return {
    run: async () => {
      const [out, gradients] = step()
      for (const value of [out, ...gradients]) (await value.blockUntilReady()).dispose()
    },
    check: async () => {
      const [out, [dx, ...adapters]] = step()
      const outputs: Record<string, Float32Array> = { out: await out.data(), dx: await dx.data() }
      for (const [index, tensor] of work.lora.entries()) {
        outputs[tensor.name.replace(nameIn(work.block, ''), '')] = await adapters[index].data()
      }
      return checkOutputs(outputs)
    },
  }
}

async function prepare(jax: Jax, work: Work): Promise<Task> {
  if (work.kind === 'product') return prepareProduct(jax, work)
  if (work.kind === 'block') return prepareBlock(jax, work)
  throw new Error(`no ${work.kind} for jax-js`)
}

await serve(async () => {
  const jax = await openJax()
  return { version: process.versions.node, prepare: (work) => prepare(jax, work) }
})
