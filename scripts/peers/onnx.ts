/**
 * ONNX models as protobuf bytes (onnx.proto, IR version 10): only the messages and fields that the comparison's graphs
 * need. A field is its number and wire type in one varint, then a varint, four bytes, or a length and bytes.
 */

/** Bytes in order, not joined yet, so that hundreds of megabytes of weights are copied once. */
type Parts = { bytes: readonly Uint8Array[]; length: number }

export type Attribute = { name: string; value: number | string | readonly number[]; float?: boolean }
export type Node = { op: string; inputs: readonly string[]; outputs: readonly string[]; domain?: string; attributes?: readonly Attribute[] }
export type Values = Float32Array | BigInt64Array | Int32Array
export type Initializer = { name: string; shape: readonly number[]; values: Values }
export type Port = { name: string; type: 'float' | 'int64'; shape: readonly number[] }
export type Graph = { nodes: readonly Node[]; initializers: readonly Initializer[]; inputs: readonly Port[]; outputs: readonly Port[] }

const VARINT = 0, BYTES = 2, FOUR_BYTES = 5
const IR_VERSION = 10
/** Gelu came with 20. */
const OPSET = 20
const MICROSOFT = 'com.microsoft'
const FLOAT = 1, INT32 = 6, INT64 = 7
const ATTRIBUTE_FLOAT = 1, ATTRIBUTE_INT = 2, ATTRIBUTE_STRING = 3, ATTRIBUTE_INTS = 7

const text = new TextEncoder()

function varint(value: number): number[] {
  const bytes: number[] = []
  let rest = value
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) | 0x80)
    rest = Math.floor(rest / 0x80)
  }
  return [...bytes, rest]
}

function join(...parts: readonly Parts[]): Parts {
  return { bytes: parts.flatMap(({ bytes }) => bytes), length: parts.reduce((sum, { length }) => sum + length, 0) }
}

function raw(bytes: Uint8Array): Parts {
  return { bytes: [bytes], length: bytes.length }
}

const tag = (field: number, type: number) => varint((field << 3) | type)

/** A whole number of at least 0. */
export function integerField(field: number, value: number): Parts {
  return raw(Uint8Array.from([...tag(field, VARINT), ...varint(value)]))
}

function floatField(field: number, value: number): Parts {
  return raw(Uint8Array.from([...tag(field, FOUR_BYTES), ...new Uint8Array(Float32Array.of(value).buffer)]))
}

/** A string, bytes or a message. */
export function lengthField(field: number, content: string | Uint8Array | Parts): Parts {
  const inner = typeof content === 'string' ? raw(text.encode(content)) : content instanceof Uint8Array ? raw(content) : content
  return join(raw(Uint8Array.from([...tag(field, BYTES), ...varint(inner.length)])), inner)
}

export function joinBytes({ bytes, length }: Parts): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(length)
  let at = 0
  for (const part of bytes) {
    joined.set(part, at)
    at += part.length
  }
  return joined
}

function encodeAttribute({ name, value, float }: Attribute): Parts {
  const head = lengthField(1, name)
  if (typeof value === 'string') return join(head, lengthField(4, value), integerField(20, ATTRIBUTE_STRING))
  if (typeof value !== 'number') return join(head, ...value.map((item) => integerField(8, item)), integerField(20, ATTRIBUTE_INTS))
  if (float) return join(head, floatField(2, value), integerField(20, ATTRIBUTE_FLOAT))
  // A negative axis is a 64-bit two's complement, which nothing here needs.
  return join(head, integerField(3, value), integerField(20, ATTRIBUTE_INT))
}

function encodeNode({ op, inputs, outputs, domain, attributes = [] }: Node): Parts {
  return join(
    ...inputs.map((name) => lengthField(1, name)), ...outputs.map((name) => lengthField(2, name)),
    lengthField(3, `${op} ${outputs[0]}`), lengthField(4, op),
    ...attributes.map((attribute) => lengthField(5, encodeAttribute(attribute))),
    ...(domain === undefined ? [] : [lengthField(7, domain)]),
  )
}

function encodeInitializer({ name, shape, values }: Initializer): Parts {
  const type = values instanceof Float32Array ? FLOAT : values instanceof Int32Array ? INT32 : INT64
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  return join(...shape.map((size) => integerField(1, size)), integerField(2, type), lengthField(8, name), lengthField(9, bytes))
}

function encodePort({ name, type, shape }: Port): Parts {
  const sizes = join(...shape.map((size) => lengthField(1, integerField(1, size))))
  const tensor = join(integerField(1, type === 'float' ? FLOAT : INT64), lengthField(2, sizes))
  return join(lengthField(1, name), lengthField(2, lengthField(1, tensor)))
}

/** The bytes of a model file. */
export function encodeModel({ nodes, initializers, inputs, outputs }: Graph): Uint8Array<ArrayBuffer> {
  const graph = join(
    ...nodes.map((node) => lengthField(1, encodeNode(node))), lengthField(2, 'graph'),
    ...initializers.map((tensor) => lengthField(5, encodeInitializer(tensor))),
    ...inputs.map((port) => lengthField(11, encodePort(port))), ...outputs.map((port) => lengthField(12, encodePort(port))),
  )
  const opset = (domain: string, version: number) => lengthField(8, join(lengthField(1, domain), integerField(2, version)))
  return joinBytes(join(integerField(1, IR_VERSION), lengthField(7, graph), opset('', OPSET), opset(MICROSOFT, 1)))
}
