/**
 * safetensors: u64 header length, JSON header, data. Written byte for byte as
 * the reference library writes it (huggingface/safetensors, `serialize`): larger
 * dtypes first, then names, so that every tensor is aligned to its dtype.
 * Read strictly: rules and error codes in SPEC.md, section 4.
 */
import { refuse } from '../error.ts'
import { compareUtf8 } from '../order.ts'
import { describeJson, isWellFormed, JsonNumber, parseJsonObject } from './json.ts'
import type { Json, JsonObject } from './json.ts'
import { HEADER_BYTES_MAX, RANK_MAX, TENSOR_NAME_BYTES_MAX, TENSORS_MAX } from './limits.ts'

/** Bytes of one element; the order is the order of writing. */
export const DTYPE_BYTES = {
  I64: 8,
  F64: 8,
  F32: 4,
  I32: 4,
  BF16: 2,
  F16: 2,
  I16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
} as const

export type Dtype = keyof typeof DTYPE_BYTES

/** One tensor's place: bytes [begin, end) of the data part. */
export type TensorView = { name: string; dtype: Dtype; shape: readonly number[]; begin: number; end: number }

export type SafetensorsHeader = {
  /** In the order of their bytes. */
  tensors: ReadonlyMap<string, TensorView>
  metadata: Readonly<Record<string, string>>
  /** Byte offset of the data part in the file. */
  dataBegin: number
  dataBytes: number
}

/** A tensor with its little-endian bytes. */
export type TensorInput = { name: string; dtype: Dtype; shape: readonly number[]; data: Uint8Array }

const DTYPES = Object.keys(DTYPE_BYTES) as Dtype[]
const METADATA = '__metadata__'
const LENGTH_BYTES = 8

/**
 * Bytes of the file that parseHeader needs: 8 + header length. `first8` is the file's start.
 * Refuses with `safetensors-short`, `safetensors-header-limit`, `safetensors-header-cut`.
 */
export function headerBytes(first8: Uint8Array, fileBytes: number, field = 'safetensors'): number {
  if (first8.length < LENGTH_BYTES || fileBytes < LENGTH_BYTES) {
    refuse('safetensors-short', field, `at least ${LENGTH_BYTES} bytes`, Math.min(first8.length, fileBytes))
  }
  const view = new DataView(first8.buffer, first8.byteOffset, LENGTH_BYTES)
  const length = view.getUint32(0, true) + view.getUint32(4, true) * 4294967296
  if (length > HEADER_BYTES_MAX) {
    refuse('safetensors-header-limit', `${field}.header`, `at most ${HEADER_BYTES_MAX} bytes`, length)
  }
  if (LENGTH_BYTES + length > fileBytes) {
    refuse('safetensors-header-cut', `${field}.header`, `${length} bytes`, fileBytes - LENGTH_BYTES)
  }
  return LENGTH_BYTES + length
}

/**
 * Reads and checks a header against the file's length; the data is not touched.
 * `bytes` holds at least the first `headerBytes` bytes of a file of `fileBytes`.
 * Refuses with the `safetensors-…` codes of SPEC.md, section 4, in that order.
 */
export function parseHeader(bytes: Uint8Array, fileBytes: number, field = 'safetensors'): SafetensorsHeader {
  const dataBegin = headerBytes(bytes, fileBytes, field)
  if (bytes.length < dataBegin) refuse('safetensors-header-cut', `${field}.header`, `${dataBegin} bytes`, bytes.length)
  const root = parseJsonObject(decodeUtf8(bytes.subarray(LENGTH_BYTES, dataBegin), `${field}.header`), `${field}.header`)
  const metadata = parseMetadata(root.get(METADATA), `${field}.${METADATA}`)
  const names = [...root.keys()].filter((name) => name !== METADATA)
  if (names.length > TENSORS_MAX) refuse('safetensors-count', field, `at most ${TENSORS_MAX} tensors`, names.length)
  const views = names.map((name) => parseTensor(name, root.get(name), tensorField(field, name)))
  const dataBytes = fileBytes - dataBegin
  const tensors = orderTensors(views, dataBytes, field)
  return { tensors, metadata, dataBegin, dataBytes }
}

/** Reads a whole file. The tensors' data are views of `bytes`, not copies, and may be unaligned. Errors of parseHeader. */
export function decodeSafetensors(
  bytes: Uint8Array,
  field = 'safetensors',
): { tensors: Map<string, TensorInput>; metadata: Readonly<Record<string, string>> } {
  const { tensors: views, metadata, dataBegin } = parseHeader(bytes, bytes.length, field)
  const tensors = new Map<string, TensorInput>()
  for (const { name, dtype, shape, begin, end } of views.values()) {
    // A plain Uint8Array even over a host's subclass, whose slice() may not copy.
    const data = new Uint8Array(bytes.buffer, bytes.byteOffset + dataBegin + begin, end - begin)
    tensors.set(name, { name, dtype, shape, data })
  }
  return { tensors, metadata }
}

/** A file that is not written yet: its header, padded, and the tensors in the order of their bytes. */
export type SafetensorsPlan = { header: Uint8Array; tensors: readonly TensorInput[]; bytes: number }

/**
 * Lays a file out, so that whoever embeds it can make room for all at once; no data is touched.
 * Refuses what parseHeader would refuse, with the same codes.
 */
export function planSafetensors(tensors: readonly TensorInput[], metadata: Readonly<Record<string, string>> = {}): SafetensorsPlan {
  if (tensors.length > TENSORS_MAX) refuse('safetensors-count', 'safetensors', `at most ${TENSORS_MAX} tensors`, tensors.length)
  const ordered = sortTensors(tensors)
  const parts = encodeMetadata(metadata)
  let dataBytes = 0
  for (const { name, dtype, shape, data } of ordered) {
    const offsets = [dataBytes, (dataBytes += data.length)]
    parts.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: offsets })}`)
  }
  const text = new TextEncoder().encode(`{${parts.join(',')}}`)
  const length = Math.floor((text.length + 7) / 8) * 8
  if (length > HEADER_BYTES_MAX) {
    refuse('safetensors-header-limit', 'safetensors.header', `at most ${HEADER_BYTES_MAX} bytes`, length)
  }
  const header = new Uint8Array(LENGTH_BYTES + length).fill(0x20)
  const view = new DataView(header.buffer)
  view.setUint32(0, length, true)
  // The upper half of a u64 that is never that long.
  view.setUint32(4, 0, true)
  header.set(text, LENGTH_BYTES)
  return { header, tensors: ordered, bytes: header.length + dataBytes }
}

/** Writes a planned file into `target` from byte `at` on: the one copy that each tensor's data gets. */
export function writeSafetensors({ header, tensors }: SafetensorsPlan, target: Uint8Array, at: number): void {
  target.set(header, at)
  let end = at + header.length
  for (const { data } of tensors) {
    target.set(data, end)
    end += data.length
  }
}

/**
 * Writes a file; the same tensors and metadata give the same bytes in any order of arguments.
 * Refuses what parseHeader would refuse, with the same codes.
 */
export function encodeSafetensors(tensors: readonly TensorInput[], metadata: Readonly<Record<string, string>> = {}): Uint8Array {
  const plan = planSafetensors(tensors, metadata)
  const bytes = new Uint8Array(plan.bytes)
  writeSafetensors(plan, bytes, 0)
  return bytes
}

/** A tensor's name in an error: quoted and short, since a stranger may have chosen it. */
export function tensorField(field: string, name: string): string {
  return `${field}[${JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name)}]`
}

function decodeUtf8(bytes: Uint8Array, field: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return refuse('safetensors-utf8', field, 'valid UTF-8', 'other bytes')
  }
}

function parseMetadata(value: Json | undefined, field: string): Record<string, string> {
  if (value === undefined) return {}
  if (!(value instanceof Map)) return refuse('safetensors-metadata', field, 'an object of strings', describeJson(value))
  for (const [key, text] of value as JsonObject) {
    if (typeof text !== 'string') refuse('safetensors-metadata', tensorField(field, key), 'a string', describeJson(text))
  }
  // fromEntries defines own properties: a key `__proto__` stays a key.
  return Object.fromEntries(value as ReadonlyMap<string, string>)
}

function parseTensor(name: string, value: Json | undefined, field: string): TensorView {
  checkName(name, field)
  if (!(value instanceof Map) || value.size !== 3) refuse('safetensors-entry', field, 'dtype, shape and data_offsets', describeJson(value))
  const entry = value as JsonObject
  const dtype = entry.get('dtype')
  const shape = entry.get('shape')
  const offsets = entry.get('data_offsets')
  if (dtype === undefined || shape === undefined || offsets === undefined) {
    refuse('safetensors-entry', field, 'dtype, shape and data_offsets', [...entry.keys()].join(', '))
  }
  const knownDtype = parseDtype(dtype, field)
  const sizes = parseIntegers(shape)
  if (sizes === undefined) refuse('safetensors-shape', `${field}.shape`, 'an array of integers from 0 to 2^53 − 1', describeJson(shape))
  checkRank(sizes, field)
  const bytes = countBytes(knownDtype, sizes, field)
  const range = parseIntegers(offsets)
  if (range === undefined || range.length !== 2 || range[0] > range[1]) {
    refuse('safetensors-offsets', `${field}.data_offsets`, '[begin, end] with begin ≤ end', describeJson(offsets))
  }
  const [begin, end] = range
  if (end - begin !== bytes) refuse('safetensors-bytes', `${field}.data_offsets`, `${bytes} bytes for ${knownDtype} [${sizes}]`, end - begin)
  return { name, dtype: knownDtype, shape: sizes, begin, end }
}

function parseDtype(value: Json, field: string): Dtype {
  const dtype = DTYPES.find((known) => known === value)
  return dtype ?? refuse('safetensors-dtype', `${field}.dtype`, `one of ${DTYPES.join(', ')}`, describeJson(value))
}

/** Plain digits only: no sign, fraction, exponent or leading zero. */
function parseIntegers(value: Json): number[] | undefined {
  if (!Array.isArray(value)) return undefined
  const numbers = value.map((item: Json) => (item instanceof JsonNumber && /^[0-9]+$/.test(item.text) ? Number(item.text) : -1))
  return numbers.every((number) => Number.isSafeInteger(number) && number >= 0) ? numbers : undefined
}

/** Checks that the tensors fill the data part exactly: no overlap, no hole, nothing missing, nothing after them. */
function orderTensors(views: TensorView[], dataBytes: number, field: string): Map<string, TensorView> {
  views.sort((a, b) => a.begin - b.begin || a.end - b.end)
  let position = 0
  for (const { name, begin, end } of views) {
    const where = tensorField(field, name)
    if (begin < position) refuse('safetensors-overlap', where, `bytes from ${position} on`, begin)
    if (begin > position) refuse('safetensors-hole', where, `bytes from ${position} on`, begin)
    if (end > dataBytes) {
      refuse('safetensors-cut', where, `${end - begin} bytes (the file is cut short)`, Math.max(0, dataBytes - begin))
    }
    position = end
  }
  if (position < dataBytes) refuse('safetensors-trailing', field, `${position} bytes of data`, dataBytes)
  return new Map(views.map((view) => [view.name, view]))
}

function sortTensors(tensors: readonly TensorInput[]): TensorInput[] {
  const seen = new Set<string>()
  for (const { name, dtype, shape, data } of tensors) {
    const field = tensorField('safetensors', name)
    checkName(name, field)
    if (seen.has(name)) refuse('safetensors-duplicate', 'safetensors', 'every name once', name)
    seen.add(name)
    parseDtype(dtype, field)
    if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0)) {
      refuse('safetensors-shape', `${field}.shape`, 'an array of integers from 0 to 2^53 − 1', shape.join(', '))
    }
    checkRank(shape, field)
    const bytes = countBytes(dtype, shape, field)
    if (data.length !== bytes) refuse('safetensors-bytes', field, `${bytes} bytes for ${dtype} [${shape}]`, data.length)
  }
  const rank = (tensor: TensorInput) => DTYPES.indexOf(tensor.dtype)
  return [...tensors].sort((a, b) => rank(a) - rank(b) || compareUtf8(a.name, b.name))
}

function encodeMetadata(metadata: Readonly<Record<string, string>>): string[] {
  const keys = Object.keys(metadata).sort(compareUtf8)
  if (keys.length === 0) return []
  const pairs = keys.map((key) => {
    const text = metadata[key]
    if (typeof text !== 'string' || !isWellFormed(text) || !isWellFormed(key)) {
      refuse('safetensors-metadata', tensorField(`safetensors.${METADATA}`, key), 'well-formed text', text)
    }
    return `${JSON.stringify(key)}:${JSON.stringify(text)}`
  })
  return [`"${METADATA}":{${pairs.join(',')}}`]
}

function checkName(name: string, field: string): void {
  // A UTF-16 unit takes one to three bytes: only a doubtful name is encoded to be measured.
  const long = name.length * 3 > TENSOR_NAME_BYTES_MAX && new TextEncoder().encode(name).length > TENSOR_NAME_BYTES_MAX
  if (long || name === METADATA || !isWellFormed(name)) {
    refuse('safetensors-name', field, `a name of at most ${TENSOR_NAME_BYTES_MAX} UTF-8 bytes, not ${METADATA}`, name)
  }
}

function checkRank(shape: readonly number[], field: string): void {
  if (shape.length > RANK_MAX) refuse('safetensors-rank', `${field}.shape`, `at most ${RANK_MAX} dimensions`, shape.length)
}

/** The product is checked at every factor, from the left: a later zero hides no overflow. */
function countBytes(dtype: Dtype, shape: readonly number[], field: string): number {
  return [...shape, DTYPE_BYTES[dtype]].reduce((product, size) => {
    const bytes = product * size
    if (!Number.isSafeInteger(bytes)) refuse('safetensors-product', `${field}.shape`, 'fewer than 2^53 bytes', shape.join('×'))
    return bytes
  }, 1)
}
