/**
 * ONNX's models and tensors, read by protobufjs with the fields of onnx.proto. What is damaged is refused as
 * `onnx.protobuf`, what does not fit together as `onnx.tensor`, before anything of a stated size is made.
 */
import { readFileSync } from 'node:fs'
import protobuf from 'protobufjs'
import { KerfError, refuse } from '../../runtime/error.ts'

/** Of one tensor; the suite's largest has 151,875. */
const ELEMENTS_MAX = 2 ** 24
const RANK_MAX = 16

/** ONNX's names of element types, by their numbers. */
const TYPES = [
  'undefined', 'float', 'uint8', 'int8', 'uint16', 'int16', 'int32', 'int64', 'string', 'bool', 'float16', 'double', 'uint32', 'uint64',
  'complex64', 'complex128', 'bfloat16', 'float8e4m3fn', 'float8e4m3fnuz', 'float8e5m2', 'float8e5m2fnuz', 'uint4', 'int4', 'float4e2m1',
  'float8e8m0', 'uint2', 'int2',
] as const
export type ElementType = (typeof TYPES)[number]

/** float16 and bfloat16 as their bits; int64 as the numbers that they are; undefined for types that nothing here works on. */
export type Values = Float32Array | Float64Array | Int32Array | Int8Array | Uint16Array
export type Tensor = { name: string; type: ElementType; shape: readonly number[]; values: Values | undefined }
export type Attribute = number | string | readonly number[] | Tensor
export type Node = {
  op: string; domain: string; inputs: readonly string[]; outputs: readonly string[]; attributes: ReadonlyMap<string, Attribute>
}
/** `opset` is that of the first node's domain. */
export type Model = {
  opset: number; nodes: readonly Node[]; initializers: readonly Tensor[]; inputs: readonly string[]; outputs: readonly string[]
}

type Whole = number | { toNumber(): number }
type TensorMessage = {
  dims: Whole[]; data_type: number; float_data: number[]; int32_data: number[]; int64_data: Whole[]; double_data: number[]
  name: string; raw_data: Uint8Array; data_location: number
}
type AttributeMessage = {
  name: string; type: number; f: number; i: Whole; s: Uint8Array; t: TensorMessage | null; floats: number[]; ints: Whole[]
}
type NodeMessage = { input: string[]; output: string[]; op_type: string; domain: string; attribute: AttributeMessage[] }
type ModelMessage = {
  graph: { node: NodeMessage[]; initializer: TensorMessage[]; input: { name: string }[]; output: { name: string }[] } | null
  opset_import: { domain: string; version: Whole }[]
}

const { root } = protobuf.parse(readFileSync(new URL('onnx.proto', import.meta.url), 'utf8'), { keepCase: true })
root.resolveAll()
const PACKED = 2

/** protobufjs passes over a field whose wire type is not its own, as it does over fields that it does not know. */
function checkWire(type: protobuf.Type, reader: protobuf.Reader, end: number, what: string): void {
  while (reader.pos < end) {
    const at = reader.pos, tag = reader.uint32(), wire = tag & 7
    const field = type.fieldsById[tag >>> 3]
    if (field === undefined) {
      reader.skipType(wire)
      continue
    }
    const own = protobuf.types.basic[field.type as keyof typeof protobuf.types.basic] ?? PACKED
    const packable = field.repeated && field.type in protobuf.types.packed
    if (wire !== own && !(packable && wire === PACKED)) {
      refuse('onnx.protobuf', `${what}.${field.name}`, `wire type ${own}`, `${wire} at byte ${at}`)
    }
    if (!(field.resolvedType instanceof protobuf.Type)) reader.skipType(wire)
    else {
      const bytes = reader.uint32(), stop = reader.pos + bytes
      if (stop > end) refuse('onnx.protobuf', `${what}.${field.name}`, `at most ${end - reader.pos} bytes`, bytes)
      checkWire(field.resolvedType, reader, stop, `${what}.${field.name}`)
    }
  }
  if (reader.pos !== end) refuse('onnx.protobuf', what, `an end at byte ${end}`, reader.pos)
}

function decode<Message>(name: string, bytes: Uint8Array, what: string): Message {
  const type = root.lookupType(`onnx.${name}`)
  try {
    checkWire(type, protobuf.Reader.create(bytes), bytes.length, what)
    return type.toObject(type.decode(bytes), { defaults: true, arrays: true }) as Message
  } catch (error) {
    if (error instanceof KerfError) throw error
    return refuse('onnx.protobuf', what, 'a whole protobuf message', error instanceof Error ? error.message : error)
  }
}

/** An integer that a number holds exactly. */
function readWhole(value: Whole, what: string): number {
  const number = typeof value === 'number' ? value : value.toNumber()
  return Number.isSafeInteger(number) ? number : refuse('onnx.tensor', what, 'an integer within ±2^53', number)
}

type Reading = {
  bytes: number; raw: (view: DataView, at: number) => number; list: keyof TensorMessage; make: (length: number) => Values
}
const READINGS: { readonly [type in ElementType]?: Reading } = {
  float: { bytes: 4, raw: (view, at) => view.getFloat32(at, true), list: 'float_data', make: (length) => new Float32Array(length) },
  double: { bytes: 8, raw: (view, at) => view.getFloat64(at, true), list: 'double_data', make: (length) => new Float64Array(length) },
  int32: { bytes: 4, raw: (view, at) => view.getInt32(at, true), list: 'int32_data', make: (length) => new Int32Array(length) },
  int64: {
    bytes: 8, raw: (view, at) => Number(view.getBigInt64(at, true)), list: 'int64_data', make: (length) => new Float64Array(length),
  },
  int8: { bytes: 1, raw: (view, at) => view.getInt8(at), list: 'int32_data', make: (length) => new Int8Array(length) },
  float16: { bytes: 2, raw: (view, at) => view.getUint16(at, true), list: 'int32_data', make: (length) => new Uint16Array(length) },
  bfloat16: { bytes: 2, raw: (view, at) => view.getUint16(at, true), list: 'int32_data', make: (length) => new Uint16Array(length) },
}

function readValues(message: TensorMessage, type: ElementType, count: number, what: string): Values | undefined {
  const reading = READINGS[type]
  if (reading === undefined) return undefined
  const { raw_data: raw } = message
  const list = message[reading.list] as Whole[]
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength)
  const inRaw = raw.length > 0 || list.length === 0
  const [field, unit, got, expected] = inRaw
    ? ['raw_data', 'bytes', raw.length, count * reading.bytes] as const
    : [reading.list, 'values', list.length, count] as const
  if (got !== expected) refuse('onnx.tensor', `${what}.${field}`, `${expected} ${unit}`, got)
  const values = reading.make(count)
  for (let i = 0; i < count; i++) {
    const value = inRaw ? reading.raw(view, i * reading.bytes) : list[i]
    values[i] = type === 'int64' ? readWhole(value, what) : Number(value)
  }
  return values
}

function toTensor(message: TensorMessage, what: string): Tensor {
  const { dims, data_type: code, data_location: location, name } = message
  const type = TYPES[code]
  if (type === undefined || code === 0) refuse('onnx.tensor', `${what}.data_type`, `1 to ${TYPES.length - 1}`, code)
  if (location !== 0) refuse('onnx.tensor', `${what}.data_location`, '0, in the message', location)
  if (dims.length > RANK_MAX) refuse('onnx.tensor', `${what}.dims`, `at most ${RANK_MAX}`, dims.length)
  const shape = dims.map((size) => readWhole(size, `${what}.dims`))
  const negative = shape.find((size) => size < 0)
  if (negative !== undefined) refuse('onnx.tensor', `${what}.dims`, 'no negative size', negative)
  const count = shape.reduce((product, size) => product * size, 1)
  if (!(count <= ELEMENTS_MAX)) refuse('onnx.tensor', `${what}.dims`, `at most ${ELEMENTS_MAX} elements`, count)
  return { name, type, shape, values: readValues(message, type, count, what) }
}

/** ONNX's AttributeProto.AttributeType; others, such as graphs, are no concern of an operation of Kerf's and stay undefined. */
function toAttribute(message: AttributeMessage, what: string): Attribute | undefined {
  switch (message.type) {
    case 1: return message.f
    case 2: return readWhole(message.i, what)
    case 3: return new TextDecoder().decode(message.s)
    case 4: return message.t ? toTensor(message.t, what) : refuse('onnx.tensor', what, 'a tensor', 'none')
    case 6: return message.floats
    case 7: return message.ints.map((value) => readWhole(value, what))
    default: return undefined
  }
}

function toNode({ input, output, op_type: op, domain, attribute }: NodeMessage, what: string): Node {
  const attributes = attribute.flatMap((one) => {
    const value = toAttribute(one, `${what}.${op}.${one.name}`)
    return value === undefined ? [] : [[one.name, value] as const]
  })
  return { op, domain, inputs: input, outputs: output, attributes: new Map(attributes) }
}

/** @param what how errors call it, such as the file's name */
export function readModel(bytes: Uint8Array, what: string): Model {
  const { graph, opset_import: opsets } = decode<ModelMessage>('ModelProto', bytes, what)
  if (!graph || graph.node.length === 0) return refuse('onnx.protobuf', `${what}.graph`, 'a graph with nodes', 'none')
  const nodes = graph.node.map((node) => toNode(node, what))
  const names = (ports: readonly { name: string }[]) => ports.map(({ name }) => name)
  const [{ domain: own }] = nodes
  const opset = opsets.find(({ domain }) => domain === own || (domain === 'ai.onnx' && own === ''))
  if (!opset) refuse('onnx.protobuf', `${what}.opset_import`, own || 'ai.onnx', 'none')
  return {
    opset: readWhole(opset.version, `${what}.opset_import`), nodes,
    initializers: graph.initializer.map((tensor) => toTensor(tensor, `${what}.${tensor.name}`)),
    inputs: names(graph.input), outputs: names(graph.output),
  }
}

/** @param what as in readModel */
export function readTensor(bytes: Uint8Array, what: string): Tensor {
  return toTensor(decode<TensorMessage>('TensorProto', bytes, what), what)
}
