/** The ONNX bytes of the comparison, read back by a reader of protobuf's own rules. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { encodeModel, integerField, joinBytes, lengthField } from '../../scripts/peers/onnx.ts'
import { modelGraph, productGraph } from '../../scripts/peers/onnx.graphs.ts'
import { drawTensor } from '../../scripts/peers/numbers.ts'
import { describeModel, describeProduct } from '../../scripts/peers/work.ts'

type Field = { number: number; value: number | Uint8Array }

function readFields(bytes: Uint8Array): Field[] {
  const fields: Field[] = []
  let at = 0
  const varint = () => {
    let value = 0
    for (let factor = 1; ; factor *= 128) {
      const byte = bytes[at++]
      value += (byte & 0x7f) * factor
      if (byte < 0x80) return value
    }
  }
  while (at < bytes.length) {
    const tag = varint(), type = tag & 7
    if (type === 0) fields.push({ number: tag >> 3, value: varint() })
    else {
      const length = type === 5 ? 4 : varint()
      fields.push({ number: tag >> 3, value: bytes.subarray(at, at + length) })
      at += length
    }
  }
  assert.is(at, bytes.length)
  return fields
}

const all = (bytes: Uint8Array, number: number) => readFields(bytes).filter((field) => field.number === number).map(({ value }) => value)
const messages = (bytes: Uint8Array, number: number) => all(bytes, number) as Uint8Array[]
const text = (bytes: Uint8Array, number: number) => new TextDecoder().decode(messages(bytes, number)[0])
const texts = (bytes: Uint8Array, number: number) => messages(bytes, number).map((value) => new TextDecoder().decode(value))

test('fields are those of protobuf\'s own documentation', () => {
  assert.equal([...joinBytes(integerField(1, 150))], [0x08, 0x96, 0x01])
  assert.equal([...joinBytes(lengthField(2, 'testing'))], [0x12, 0x07, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67])
  assert.equal([...joinBytes(lengthField(3, integerField(1, 150)))], [0x1a, 0x03, 0x08, 0x96, 0x01])
  assert.equal(all(joinBytes(integerField(1, 2 ** 33 + 5)), 1), [2 ** 33 + 5])
})

test('a product as a model: IR, opset, weight transposed, shapes', () => {
  const work = describeProduct('forward', 4, 3, 2)
  const model = encodeModel(productGraph(work, true))
  assert.equal(all(model, 1), [10])
  assert.equal(messages(model, 8).map((opset) => all(opset, 2)[0]), [20, 1])
  const [graph] = messages(model, 7)
  assert.equal(messages(graph, 1).map((node) => [text(node, 4), texts(node, 1), texts(node, 2)]), [
    ['MatMul', ['a', 'b'], ['product']], ['Identity', ['product'], ['out']]])
  const weight = messages(graph, 5).find((tensor) => text(tensor, 8) === 'b')!
  assert.equal(all(weight, 1), [2, 3])
  assert.equal(all(weight, 2), [1])
  const w = drawTensor(work.b)
  assert.equal(new Float32Array(messages(weight, 9)[0].slice().buffer), Float32Array.of(w[0], w[2], w[4], w[1], w[3], w[5]))
  const shapeOf = (port: Uint8Array) => messages(messages(messages(messages(port, 2)[0], 1)[0], 2)[0], 1).map((size) => all(size, 1)[0])
  assert.equal(messages(graph, 11).map((port) => [text(port, 1), shapeOf(port)]), [['a', [4, 2]]])
  assert.equal(messages(graph, 12).map((port) => [text(port, 1), shapeOf(port)]), [['out', [4, 3]]])
})

test('a timed product gives its first row alone', () => {
  const [graph] = messages(encodeModel(productGraph(describeProduct('weight', 4, 3, 2), false)), 7)
  assert.equal(messages(graph, 1).map((node) => text(node, 4)), ['Gemm', 'Slice'])
  assert.equal(messages(graph, 11).map((port) => text(port, 1)), ['a', 'b'])
  const [attribute] = messages(messages(graph, 1)[0], 5)
  assert.equal([text(attribute, 1), all(attribute, 3), all(attribute, 20)], ['transA', [1], [2]])
})

test('every value of the model is made before it is used, and every block is there', () => {
  const work = describeModel(3)
  const small = { hiddenSize: 8, heads: 2, intermediateSize: 12, layers: 2, vocabSize: 30522 }
  const shrink = (size: number) => ({ 768: 8, 3072: 12, 30522: 20, 512: 5 }[size] ?? size)
  const weights = work.weights.filter(({ name }) => !/layer\.([2-9]|1\d)\./.test(name))
    .map((tensor) => ({ ...tensor, shape: tensor.shape.map(shrink) }))
  for (const style of ['operations', 'fused'] as const) {
    const { nodes, initializers, inputs, outputs } = modelGraph({ ...work, weights, config: { ...work.config, ...small } }, style)
    const known = new Set([...initializers, ...inputs].map(({ name }) => name))
    assert.is(known.size, initializers.length + inputs.length)
    for (const { inputs: wanted, outputs: made } of nodes) {
      for (const name of wanted) assert.ok(known.has(name), `${style}: ${name}`)
      for (const name of made) known.add(name)
    }
    assert.ok(known.has(outputs[0].name))
    assert.is(nodes.filter(({ op }) => op === 'Gelu').length, 2)
    assert.is(nodes.filter(({ op }) => op === 'LayerNormalization').length, 5)
    for (const { name, shape, values } of initializers) assert.is(values.length, shape.reduce((product, size) => product * size, 1), name)
  }
})

test.run()
