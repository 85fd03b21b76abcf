/** The outside suites' readers and runners on bytes made here: what they read, what they refuse, and that a wrong result fails. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { measureGap, passes } from '../../scripts/outside/compare.ts'
import type { Model, Tensor } from '../../scripts/outside/protobuf.ts'
import { readModel, readTensor } from '../../scripts/outside/protobuf.ts'
import { PARTS, runCase, surveySuite } from '../../scripts/outside/suite.ts'
import { openWorkspace } from '../../scripts/outside/workspace.ts'
import { encodeModel, integerField, joinBytes, lengthField } from '../../scripts/peers/onnx.ts'
import type { Attribute } from '../../scripts/peers/onnx.ts'
import { BUILDS, openKernelBuild } from '../kernels.ts'
import { refusal } from '../refusal.ts'

const FLOAT = 1, INT64 = 7, FLOAT16 = 10, DOUBLE = 11
const workspaces = await Promise.all(BUILDS.map(async (build) => openWorkspace(await openKernelBuild(build))))

type Raw = Float32Array | Float64Array | BigInt64Array | Uint16Array
const bytesOf = (values: Raw) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength)

function encodeTensor(shape: readonly number[], type: number, values: Raw): Uint8Array {
  return Uint8Array.from([
    ...shape.flatMap((size) => [...joinBytes(integerField(1, size))]), ...joinBytes(integerField(2, type)),
    ...joinBytes(lengthField(8, 't')), ...joinBytes(lengthField(9, bytesOf(values))),
  ])
}

const floats = (shape: readonly number[], values: readonly number[]) => encodeTensor(shape, FLOAT, Float32Array.from(values))
const tensor = (shape: readonly number[], values: readonly number[]): Tensor => readTensor(floats(shape, values), 't')

function modelOf(op: string, inputs: number, outputs = 1, attributes: readonly Attribute[] = []): Uint8Array {
  const names = (count: number, letter: string) => Array.from({ length: count }, (_, i) => `${letter}${i}`)
  const port = (name: string) => ({ name, type: 'float' as const, shape: [1] })
  const [from, to] = [names(inputs, 'x'), names(outputs, 'y')]
  return encodeModel({
    nodes: [{ op, inputs: from, outputs: to, attributes }], initializers: [], inputs: from.map(port), outputs: to.map(port),
  })
}

function refused(bytes: readonly number[]): string {
  const error = refusal(() => readTensor(Uint8Array.from(bytes), 't'))
  assert.is(error.code.startsWith('onnx.'), true, error.code)
  return `${error.code} ${error.message}`
}

test('a tensor: type, shape and values, from raw bytes or a list', () => {
  assert.equal(readTensor(floats([2, 1], [1.5, -2]), 't'), { name: 't', type: 'float', shape: [2, 1], values: Float32Array.of(1.5, -2) })
  const list = [0x08, 2, 0x10, FLOAT, 0x22, 8, ...bytesOf(Float32Array.of(3, 4))]
  assert.equal(readTensor(Uint8Array.from(list), 't').values, Float32Array.of(3, 4))
  assert.equal(readTensor(encodeTensor([2], INT64, BigInt64Array.of(-3n, 5n)), 't').values, Float64Array.of(-3, 5))
  assert.equal(readTensor(encodeTensor([1], FLOAT16, Uint16Array.of(0x3c00)), 't').values, Uint16Array.of(0x3c00))
  assert.equal(readTensor(encodeTensor([], FLOAT, Float32Array.of(7)), 't').values, Float32Array.of(7))
})

test('damaged bytes are refused by name', () => {
  const whole = [...floats([2], [1, 2])]
  assert.match(refused([0x08, 0x80]), /^onnx\.protobuf t: expected a whole protobuf message/)
  assert.match(refused([0x08, ...Array<number>(11).fill(0xff), 1]), /expected a whole protobuf message/)
  assert.match(refused([0x4a, 0xff, 0xff, 0xff, 0xff, 0x07, 1]), /out of range|length/)
  assert.match(refused([0x48, 5]), /^onnx\.protobuf t\.raw_data: expected wire type 2, got "0 at byte 0"/)
  assert.match(refused([0x12, 1, 1]), /^onnx\.protobuf t\.data_type: expected wire type 0/)
  assert.match(refused([0x0f]), /wire type/)
  // But where it ends between two fields, of which none has to be there.
  const cuts = whole.map((_, length) => whole.slice(0, length))
  for (const cut of cuts) assert.match(refused(cut), /^onnx\.(protobuf|tensor) t/)
})

test('sizes are checked before anything of that size is made', () => {
  const of = (dims: readonly number[], ...rest: readonly number[]) => (
    refused([...dims.flatMap((size) => [...joinBytes(integerField(1, size))]), ...rest]))
  assert.match(of([2 ** 40], 0x10, FLOAT), /t\.dims: expected at most 16777216 elements, got 1099511627776/)
  assert.match(of(Array<number>(16).fill(2 ** 50), 0x10, FLOAT), /t\.dims: expected at most 16777216 elements/)
  assert.match(of(Array<number>(17).fill(1), 0x10, FLOAT), /t\.dims: expected at most 16, got 17/)
  assert.match(of([3], 0x10, FLOAT, 0x4a, 8, 0, 0, 0, 0, 0, 0, 0, 0), /t\.raw_data: expected 12 bytes, got 8/)
  assert.match(of([3], 0x10, FLOAT, 0x22, 8, 0, 0, 0, 0, 0, 0, 0, 0), /t\.float_data: expected 3 values, got 2/)
  assert.match(refused([0x08, ...Array<number>(9).fill(0xff), 1, 0x10, FLOAT]), /t\.dims: expected no negative size, got -1/)
  assert.match(of([1]), /t\.data_type: expected 1 to \d+, got 0/)
  assert.match(of([1], 0x10, 99), /t\.data_type: expected 1 to \d+, got 99/)
  assert.match(of([1], 0x10, FLOAT, 0x70, 1), /t\.data_location/)
  assert.match(refused([...encodeTensor([1], INT64, BigInt64Array.of(2n ** 60n))]), /expected an integer within/)
})

test('a model: its node, attributes and opset; a message longer than its parent is refused', () => {
  const attributes = [{ name: 'axis', value: 1 }, { name: 'alpha', value: 0.5, float: true }, { name: 'mode', value: 'none' }]
  const bytes = modelOf('Softmax', 1, 1, attributes)
  const { nodes: [node], opset, inputs, outputs } = readModel(bytes, 'm')
  assert.is(opset, 20)
  assert.equal([inputs, outputs], [['x0'], ['y0']])
  assert.equal([node.op, node.inputs, node.outputs], ['Softmax', ['x0'], ['y0']])
  assert.equal([...node.attributes], [['axis', 1], ['alpha', 0.5], ['mode', 'none']])
  // A node of 100 bytes in a graph of 4.
  const { message } = refusal(() => readModel(Uint8Array.of(0x3a, 4, 0x0a, 100, 0, 0), 'm'))
  assert.match(message, /^m\.graph\.node: expected at most 2 bytes, got 100/)
  assert.match(refusal(() => readModel(Uint8Array.of(), 'm')).message, /^m\.graph: expected a graph with nodes/)
})

test('the tolerance of ONNX, and what it lets through', () => {
  assert.equal(measureGap([1, NaN, Infinity], [1, NaN, Infinity]), { errorMax: 0, rtol: 0, equal: true })
  assert.ok(passes(measureGap([1.0009], [1])))
  assert.not(passes(measureGap([1.0011], [1])))
  assert.ok(passes(measureGap([1e-7], [0])))
  assert.not(passes(measureGap([2e-7], [0])))
  for (const [actual, expected] of [[[NaN], [0]], [[0], [NaN]], [[Infinity], [-Infinity]], [[1], [1, 1]]]) {
    assert.not(passes(measureGap(actual, expected)), `${actual} for ${expected}`)
  }
})

const run = (model: Model, inputs: readonly Tensor[], expected: readonly Tensor[]) => runCase(model, inputs, expected, workspaces)
const model = (...args: Parameters<typeof modelOf>) => readModel(modelOf(...args), 'm')

test('operators by hand, each by all its ways, and a wrong expectation fails', () => {
  const e = Math.E, sum = 1 + e
  const a = tensor([2, 3], [1, 2, 3, 4, 5, 6]), b = tensor([3, 2], [1, 0, 0, 1, 1, 1]), ab = [4, 5, 10, 11]
  const int64 = (...values: readonly bigint[]) => readTensor(encodeTensor([values.length], INT64, BigInt64Array.from(values)), 'i')
  const cases: readonly [Model, readonly Tensor[], Tensor, ways: number][] = [
    [model('Add', 2), [a, tensor([3], [1, 1, 2])], tensor([2, 3], [2, 3, 5, 5, 6, 8]), 2],
    [model('MatMul', 2), [a, b], tensor([2, 2], ab), 3],
    [model('Gemm', 3), [a, b, tensor([2], [1, -1])], tensor([2, 2], [5, 4, 11, 10]), 4],
    [model('Gemm', 2, 1, [{ name: 'transA', value: 1 }, { name: 'alpha', value: 0.5, float: true }]),
      [tensor([3, 2], [1, 4, 2, 5, 3, 6]), b], tensor([2, 2], ab.map((value) => value / 2)), 3],
    [model('Softmax', 1, 1, [{ name: 'axis', value: 0 }]), [tensor([2, 1], [0, 1])], tensor([2, 1], [1 / sum, e / sum]), 1],
    [model('LogSoftmax', 1), [tensor([1, 2], [0, 1])], tensor([1, 2], [-Math.log(sum), 1 - Math.log(sum)]), 1],
    [model('SoftmaxCrossEntropyLoss', 2), [tensor([1, 2], [0, 1]), int64(1n)], tensor([], [Math.log(sum) - 1]), 2],
    [model('Gather', 2), [b, int64(-1n, 0n)], tensor([2, 2], [1, 1, 1, 0]), 2],
    [model('Gather', 2, 1, [{ name: 'axis', value: 1 }]), [a, int64(2n)], tensor([2, 1], [3, 6]), 1],
    [model('ReduceSum', 2), [a, int64(0n)], tensor([1, 3], [5, 7, 9]), 1],
    [model('Mean', 2), [a, tensor([1], [3])], tensor([2, 3], [2, 2.5, 3, 3.5, 4, 4.5]), 1],
  ]
  for (const [it, inputs, expected, count] of cases) {
    const ways = run(it, inputs, [expected])
    assert.is(ways.length, count, it.nodes[0].op)
    const wrong = tensor(expected.shape, Array.from(expected.values!, (value, i) => (i === 0 ? value * 1.01 + 0.01 : value)))
    const missed = run(it, inputs, [wrong])
    ways.forEach(({ by, strict, sameBits }, i) => {
      assert.ok(sameBits && strict.rtol < 1e-6, `${it.nodes[0].op} by ${by}: ${strict.rtol}`)
      assert.not(passes(missed[i].strict), `${it.nodes[0].op} by ${by}`)
    })
  }
})

test('a kernel that computes wrong, or SIMD that differs from scalar, is found', () => {
  const [scalar, simd] = workspaces
  const wrong = { ...simd, kernel: { ...simd.kernel, gelu: (...args: Parameters<typeof simd.kernel.gelu>) => {
    simd.kernel.gelu(...args)
    const [out] = args, first = new Float32Array(simd.buffer, out, 1)
    first[0] = Math.fround(first[0] * (1 + 2 ** -22))
  } } }
  const of = (all: typeof workspaces) => runCase(model('Gelu', 1), [tensor([2], [1, 2])], [tensor([2], [0.8413447, 1.9544997])], all)
  assert.is(of([scalar, simd])[0].sameBits, true)
  assert.is(of([scalar, wrong])[0].sameBits, false)
})

function lay(folder: string, name: string, bytes: Uint8Array, inputs: readonly Uint8Array[], outputs: readonly Uint8Array[]): void {
  const set = join(folder, 'node', name, 'test_data_set_0')
  mkdirSync(set, { recursive: true })
  writeFileSync(join(folder, 'node', name, 'model.onnx'), bytes)
  inputs.forEach((input, i) => writeFileSync(join(set, `input_${i}.pb`), input))
  outputs.forEach((output, i) => writeFileSync(join(set, `output_${i}.pb`), output))
}

test('a folder of cases: passed, failed, not run by its reason, damaged, without an operation, of several nodes', () => {
  const folder = mkdtempSync(join(tmpdir(), 'kerf-outside-'))
  try {
    for (const part of PARTS) mkdirSync(join(folder, part))
    const one = floats([1], [1]), two = floats([1], [2]), wide = encodeTensor([1], DOUBLE, Float64Array.of(1))
    const port = (name: string) => ({ name, type: 'float' as const, shape: [1] })
    lay(folder, 'a_right', modelOf('Add', 2), [one, one], [two])
    lay(folder, 'b_wrong', modelOf('Add', 2), [one, one], [one])
    lay(folder, 'c_double', modelOf('Add', 2), [wide, wide], [wide])
    lay(folder, 'd_damaged', modelOf('Add', 2), [one, two.slice(0, -1)], [two])
    lay(folder, 'e_fewer', modelOf('Add', 2), [one], [two])
    lay(folder, 'f_root', modelOf('Sqrt', 1), [one], [one])
    lay(folder, 'g_other', modelOf('Conv', 1), [one], [one])
    lay(folder, 'h_graph', encodeModel({
      nodes: [{ op: 'Exp', inputs: ['x'], outputs: ['y'] }, { op: 'Log', inputs: ['y'], outputs: ['z'] }],
      initializers: [], inputs: [port('x')], outputs: [port('z')],
    }), [one], [one])
    const { verdicts, elsewhere, graphs } = surveySuite(folder, workspaces)
    const told = verdicts.map((verdict) => [verdict.name, verdict.kind, 'reason' in verdict ? verdict.reason : ''].join(' '))
    assert.equal(told.slice(0, 3), [
      'node/a_right passed ', 'node/b_wrong failed by addTo', 'node/c_double not run double: the kernel computes in f32'])
    assert.match(told[3], /^node\/d_damaged failed input_1: expected a whole protobuf message/)
    assert.match(told[4], /^node\/e_fewer failed inputs: expected 2, got 1/)
    assert.match(told[5], /^node\/f_root not run the kernel takes roots only inside/)
    assert.is(told.length, 6)
    assert.equal([...elsewhere], [['Conv', 1]])
    assert.equal(graphs, ['node/h_graph'])
    rmSync(join(folder, 'simple'), { recursive: true })
    assert.match(refusal(() => surveySuite(folder, workspaces)).message, /simple: expected a folder of the suite, got "none"/)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test.run()
