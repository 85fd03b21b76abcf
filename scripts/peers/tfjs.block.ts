/**
 * A BERT block with LoRA in TensorFlow.js, forward and backward: gradients of the input and of the adapters.
 *
 * `written` keeps TensorFlow.js off the slow kernel that matMul's flags take, and its own gradients with them (2 GFLOP/s):
 * each frozen weight is held both ways, and a product of two values has a gradient that transposes first.
 */
import { checkOutputs, drawTensor } from './numbers.ts'
import type { Tensor } from './numbers.ts'
import type { Task } from './protocol.ts'
import type { Save, TensorFlow, Value } from './tfjs.types.ts'
import type { BlockWork } from './work.ts'
import { nameIn } from './work.ts'

function swap(tf: TensorFlow, x: Value): Value {
  return tf.transpose(x, x.shape.length === 2 ? [1, 0] : [0, 2, 1])
}

/** a·b over the last two axes. */
function createProduct(tf: TensorFlow, written: boolean): (a: Value, b: Value) => Value {
  if (!written) return (a, b) => tf.matMul(a, b)
  return tf.customGrad((a: Value, b: Value, save: Save) => {
    save([a, b])
    return { value: tf.matMul(a, b), gradFunc: (dy, [x, y]) => [tf.matMul(dy, swap(tf, y)), tf.matMul(swap(tf, x), dy)] }
  })
}

/** x·Wᵀ for a weight [O, I]. */
function createFrozen(tf: TensorFlow, weight: Value, written: boolean): (x: Value) => Value {
  const turned = tf.transpose(weight)
  if (!written) return (x) => tf.matMul(x, turned)
  return tf.customGrad((x: Value) => ({ value: tf.matMul(x, turned), gradFunc: (dy) => tf.matMul(dy, weight) }))
}

/** The block over S sequences of T rows as a function of x [S·T, C] and the adapters [A, B, …] in the order of `work.lora`. */
function buildBlock(tf: TensorFlow, work: BlockWork, weights: ReadonlyMap<string, Value>, S: number, T: number, written: boolean) {
  const { hiddenSize: C, heads: H, layerNormEps } = work.config
  const weight = (name: string) => weights.get(nameIn(work.block, name))!
  const half = tf.scalar(0.5), one = tf.scalar(1), root = tf.scalar(Math.SQRT1_2), eps = tf.scalar(layerNormEps)
  const adapterScale = tf.scalar(work.adapter.alpha / work.adapter.rank), attentionScale = tf.scalar(1 / Math.sqrt(C / H))
  const product = createProduct(tf, written)
  const matrices = [...weights].filter(([, value]) => value.shape.length === 2)
  const frozen = new Map(matrices.map(([name, value]) => [name, createFrozen(tf, value, written)]))
  const linear = (x: Value, module: string) => tf.add(frozen.get(nameIn(work.block, `${module}.weight`))!(x), weight(`${module}.bias`))
  const norm = (x: Value, module: string) => {
    const centered = tf.sub(x, tf.mean(x, 1, true))
    const scaled = tf.mul(centered, tf.rsqrt(tf.add(tf.mean(tf.square(centered), 1, true), eps)))
    return tf.add(tf.mul(scaled, weight(`${module}.weight`)), weight(`${module}.bias`))
  }
  const gelu = (x: Value) => tf.mul(tf.mul(x, half), tf.add(one, tf.erf(tf.mul(x, root))))
  const parted = (x: Value) => tf.reshape(tf.transpose(tf.reshape(x, [S, T, H, C / H]), [0, 2, 1, 3]), [S * H, T, C / H])
  return (x: Value, ...lora: Value[]): Value => {
    const adapted = (module: string) => {
      const at = work.lora.findIndex(({ name }) => name === nameIn(work.block, `${module}.lora_A`))
      const base = linear(x, module)
      return at < 0 ? base : tf.add(base, tf.mul(product(product(x, swap(tf, lora[at])), swap(tf, lora[at + 1])), adapterScale))
    }
    const query = parted(adapted('attention.self.query')), key = parted(adapted('attention.self.key'))
    const value = parted(adapted('attention.self.value'))
    const chances = tf.softmax(tf.mul(product(query, swap(tf, key)), attentionScale))
    const context = tf.transpose(tf.reshape(product(chances, value), [S, H, T, C / H]), [0, 2, 1, 3])
    const hidden = norm(tf.add(linear(tf.reshape(context, [S * T, C]), 'attention.output.dense'), x), 'attention.output.LayerNorm')
    return norm(tf.add(linear(gelu(linear(hidden, 'intermediate.dense')), 'output.dense'), hidden), 'output.LayerNorm')
  }
}

/** For batches of equal lengths: TensorFlow.js has no ragged ones. */
export async function prepareBlock(tf: TensorFlow, work: BlockWork, written: boolean): Promise<Task> {
  const [lengths] = work.batches
  if (work.batches.length > 1 || lengths.some((length) => length !== lengths[0])) throw new Error('no ragged batches')
  const place = (tensor: Tensor) => tf.tensor(drawTensor(tensor), tensor.shape)
  const weights = new Map(work.weights.map((tensor) => [tensor.name, place(tensor)]))
  const args = [place(work.xs[0]), ...work.lora.map(place)], dOut = place(work.dOuts[0])
  const step = tf.valueAndGrads(buildBlock(tf, work, weights, lengths.length, lengths[0], written))
  return {
    run: () => tf.tidy(() => void step(args, dOut)),
    check: () => tf.tidy(() => {
      const { value, grads: [dx, ...adapters] } = step(args, dOut)
      const gradients = work.lora.map((tensor, index) => (
        [tensor.name.replace(nameIn(work.block, ''), ''), adapters[index].dataSync()] as const))
      return checkOutputs({ out: value.dataSync(), dx: dx.dataSync(), ...Object.fromEntries(gradients) })
    }),
  }
}
