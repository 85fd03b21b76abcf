/**
 * The comparison's work as ONNX graphs. Shapes are fixed, as ONNX Runtime likes them best. `draw` gives a tensor's values.
 * T tokens, C width, H heads, F hidden.
 */
import type { Tensor } from './numbers.ts'
import { drawTensor } from './numbers.ts'
import type { Graph, Initializer, Node } from './onnx.ts'
import type { ModelWork, ProductWork } from './work.ts'
import { nameIn } from './work.ts'

function transpose(values: Float32Array, rows: number, columns: number): Float32Array {
  const turned = new Float32Array(values.length)
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) turned[column * rows + row] = values[row * columns + column]
  }
  return turned
}

const int64 = (name: string, ...values: number[]): Initializer =>
  ({ name, shape: [values.length], values: BigInt64Array.from(values, BigInt) })

/**
 * The product with W constant, so that it is packed once. `whole` gives all of `out`; without it the first row alone
 * leaves the graph, since every output is copied out of the runtime's memory.
 */
export function productGraph({ form, N, O, I, a, b }: ProductWork, whole: boolean): Graph {
  const shape = form === 'forward' ? [N, O] : form === 'input' ? [N, I] : [O, I]
  const weight = form === 'forward'
    ? { name: 'b', shape: [I, O], values: transpose(drawTensor(b), O, I) }
    : { name: 'b', shape: b.shape, values: drawTensor(b) }
  const product: Node = form === 'weight'
    ? { op: 'Gemm', inputs: ['a', 'b'], outputs: ['product'], attributes: [{ name: 'transA', value: 1 }] }
    : { op: 'MatMul', inputs: ['a', 'b'], outputs: ['product'] }
  const part: Node = whole
    ? { op: 'Identity', inputs: ['product'], outputs: ['out'] }
    : { op: 'Slice', inputs: ['product', 'begin', 'end'], outputs: ['out'] }
  const given = form === 'weight' ? [{ name: 'b', type: 'float' as const, shape: b.shape }] : []
  const inputs = [{ name: 'a', type: 'float' as const, shape: a.shape }, ...given]
  return {
    nodes: [product, part], inputs,
    initializers: [...(form === 'weight' ? [] : [weight]), int64('begin', 0, 0), int64('end', 1, shape[1])],
    outputs: [{ name: 'out', type: 'float', shape: whole ? shape : [1, shape[1]] }],
  }
}

class GraphBuilder {
  readonly nodes: Node[] = []
  readonly initializers: Initializer[] = []
  private count = 0

  add(op: string, inputs: readonly string[], attributes: Node['attributes'] = [], domain?: string): string {
    const out = `${op}.${this.count++}`
    this.nodes.push({ op, inputs, outputs: [out], attributes, domain })
    return out
  }

  constant(name: string, shape: readonly number[], values: Initializer['values']): string {
    this.initializers.push({ name, shape, values })
    return name
  }

  shape(...sizes: number[]): string {
    const name = `shape.${sizes.join('.')}`
    if (this.initializers.some((tensor) => tensor.name === name)) return name
    return this.constant(name, [sizes.length], BigInt64Array.from(sizes, BigInt))
  }

  float(value: number): string {
    return this.constant(`float.${this.count++}`, [], Float32Array.of(value))
  }
}

/** How a block's attention is written: as single operations, or as the runtime's own Attention over one packed weight. */
export type AttentionStyle = 'operations' | 'fused'

/** ids [1, T] → out [1, T, C]. */
export function modelGraph({ config, weights, ids }: ModelWork, style: AttentionStyle): Graph {
  const { hiddenSize: C, heads: H, layers, layerNormEps } = config
  const T = ids.length, D = C / H
  const graph = new GraphBuilder()
  const tensors = new Map(weights.map((tensor) => [tensor.name, tensor]))
  const draw = (name: string) => drawTensor(tensors.get(name) as Tensor)
  const vector = (name: string) => graph.constant(name, tensors.get(name)!.shape, draw(name))
  const turned = (name: string) => {
    const [rows, columns] = tensors.get(name)!.shape
    return transpose(draw(name), rows, columns)
  }
  const linear = (x: string, name: string) => {
    const [outputs, inputs] = tensors.get(`${name}.weight`)!.shape
    const frozen = graph.constant(`${name}.weight`, [inputs, outputs], turned(`${name}.weight`))
    return graph.add('Add', [graph.add('MatMul', [x, frozen]), vector(`${name}.bias`)])
  }
  const norm = (x: string, name: string) => graph.add('LayerNormalization', [x, vector(`${name}.weight`), vector(`${name}.bias`)],
    [{ name: 'axis', value: 2 }, { name: 'epsilon', value: layerNormEps, float: true }])
  const perm = (x: string, ...order: number[]) => graph.add('Transpose', [x], [{ name: 'perm', value: order }])
  const heads = (x: string) => graph.add('Reshape', [x, graph.shape(1, T, H, D)])

  const attend = (x: string, block: number) => {
    const project = (key: string) => heads(linear(x, nameIn(block, `attention.self.${key}`)))
    const query = perm(project('query'), 0, 2, 1, 3), key = perm(project('key'), 0, 2, 3, 1), value = perm(project('value'), 0, 2, 1, 3)
    const scores = graph.add('Div', [graph.add('MatMul', [query, key]), graph.float(Math.sqrt(D))])
    const context = graph.add('MatMul', [graph.add('Softmax', [scores], [{ name: 'axis', value: 3 }]), value])
    return graph.add('Reshape', [perm(context, 0, 2, 1, 3), graph.shape(1, T, C)])
  }
  const attendFused = (x: string, block: number) => {
    const packed = new Float32Array(3 * C * C), bias = new Float32Array(3 * C)
    ;['query', 'key', 'value'].forEach((key, part) => {
      const name = nameIn(block, `attention.self.${key}`), values = turned(`${name}.weight`)
      for (let row = 0; row < C; row++) packed.set(values.subarray(row * C, (row + 1) * C), (3 * row + part) * C)
      bias.set(draw(`${name}.bias`), part * C)
    })
    const weight = graph.constant(nameIn(block, 'packed.weight'), [C, 3 * C], packed)
    const constant = graph.constant(nameIn(block, 'packed.bias'), [3 * C], bias)
    return graph.add('Attention', [x, weight, constant], [{ name: 'num_heads', value: H }], 'com.microsoft')
  }

  const words = graph.add('Gather', [vector('embeddings.word_embeddings.weight'), 'ids'])
  const position = 'embeddings.position_embeddings.weight', type = 'embeddings.token_type_embeddings.weight'
  const positions = graph.constant(position, [1, T, C], draw(position).slice(0, T * C))
  const types = graph.constant(type, [C], draw(type).slice(0, C))
  let x = norm(graph.add('Add', [graph.add('Add', [words, positions]), types]), 'embeddings.LayerNorm')
  for (let block = 0; block < layers; block++) {
    const context = style === 'fused' ? attendFused(x, block) : attend(x, block)
    const attended = graph.add('Add', [linear(context, nameIn(block, 'attention.output.dense')), x])
    const hidden = norm(attended, nameIn(block, 'attention.output.LayerNorm'))
    const up = graph.add('Gelu', [linear(hidden, nameIn(block, 'intermediate.dense'))])
    x = norm(graph.add('Add', [linear(up, nameIn(block, 'output.dense')), hidden]), nameIn(block, 'output.LayerNorm'))
  }
  graph.nodes.push({ op: 'Identity', inputs: [x], outputs: ['out'] })
  return {
    nodes: graph.nodes, initializers: graph.initializers,
    inputs: [{ name: 'ids', type: 'int64', shape: [1, T] }], outputs: [{ name: 'out', type: 'float', shape: [1, T, C] }],
  }
}
