/**
 * A BERT block with LoRA in jax-js, forward and backward: the output and the gradients of the input and of the adapters.
 *
 * Not under jit: as one jit the step takes seven times as long (0.1.25), for what comes before a product is fused into its
 * inner loop. A product of a transposed view is slow, too, so that views are multiplied by 1 first, and their gradients
 * with them. Arrays given to a function are given away, hence every `ref`.
 */
import type { Jax, Value } from './jax.types.ts'
import type { BlockWork } from './work.ts'
import { nameIn } from './work.ts'

/** Of the work's tensors in one list: x, the adapters, dOut, the weights. */
export type Step = (...tensors: Value[]) => [out: Value, gradients: Value[]]

/** S sequences of T rows. */
export function buildStep({ numpy: np, nn, vjp }: Jax, work: BlockWork, S: number, T: number): Step {
  const { hiddenSize: C, heads: H, layerNormEps } = work.config
  const R = work.lora.length

  function block(x: Value, lora: readonly Value[], weights: readonly Value[]): Value {
    const weight = (name: string) => weights[work.weights.findIndex((tensor) => tensor.name === nameIn(work.block, name))].ref
    const linear = (input: Value, module: string) =>
      np.matmul(input, np.transpose(weight(`${module}.weight`))).add(weight(`${module}.bias`))
    const norm = (input: Value, module: string) => {
      const centered = input.ref.sub(np.mean(input, -1, { keepdims: true }))
      const deviation = np.sqrt(np.mean(np.square(centered.ref), -1, { keepdims: true }).add(layerNormEps))
      return centered.mul(np.reciprocal(deviation)).mul(weight(`${module}.weight`)).add(weight(`${module}.bias`))
    }
    const adapted = (module: string) => {
      const at = work.lora.findIndex(({ name }) => name === nameIn(work.block, `${module}.lora_A`))
      const base = linear(x.ref, module)
      if (at < 0) return base
      const low = np.matmul(x.ref, np.transpose(lora[at].ref))
      return base.add(np.matmul(low, np.transpose(lora[at + 1].ref)).mul(work.adapter.alpha / work.adapter.rank))
    }
    const solid = (y: Value) => y.mul(1)
    const parted = (y: Value) => solid(np.transpose(solid(y).reshape([S, T, H, C / H]), [0, 2, 1, 3]))
    const query = parted(adapted('attention.self.query')), key = parted(adapted('attention.self.key'))
    const value = parted(adapted('attention.self.value'))
    const scores = np.matmul(query, np.transpose(key, [0, 1, 3, 2])).mul(1 / Math.sqrt(C / H))
    const context = solid(np.transpose(solid(np.matmul(nn.softmax(scores, -1), value)), [0, 2, 1, 3])).reshape([S * T, C])
    const hidden = norm(linear(context, 'attention.output.dense').add(x.ref), 'attention.output.LayerNorm')
    const up = nn.gelu(linear(hidden.ref, 'intermediate.dense'), { approximate: false })
    return norm(linear(up, 'output.dense').add(hidden), 'output.LayerNorm')
  }

  return (...tensors) => {
    const args = tensors.slice(0, 1 + R), dOut = tensors[1 + R], weights = tensors.slice(2 + R)
    const [out, pull] = vjp((...given) => {
      const result = block(given[0], given.slice(1), weights)
      for (const value of given) value.dispose()
      return result
    }, args)
    const gradients = pull(dOut)
    pull.dispose?.()
    for (const value of weights) value.dispose()
    return [out, gradients]
  }
}
