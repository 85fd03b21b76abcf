/** Attacks by hand: at least one for each error code of runtime/wire. Each frame is true but for the one lie. */
import { decodeTensor, encodeTensor, parseCodec } from '../../runtime/wire/codec.ts'
import { encodeFrame } from '../../runtime/wire/frame.ts'
import { BODY_BYTES_MAX, HEADER_BYTES_MAX, RANK_MAX, TENSOR_NAME_BYTES_MAX, TENSORS_MAX } from '../../runtime/wire/limits.ts'
import { encodeSafetensors } from '../../runtime/wire/safetensors.ts'
import type { TensorInput } from '../../runtime/wire/safetensors.ts'
import { crc32c } from './crc32c.ts'
import { head, labels, patchPrelude, rawFile, ROWS, sampleBytes, SAMPLES, VALUES, WIDTH, wrapBody } from './sample.ts'

export type FrameAttack = { code: string; title: string; build: () => Uint8Array }
export type CallAttack = { code: string; title: string; call: () => unknown }

const preludeAttack = (code: string, title: string, change: (view: DataView) => void): FrameAttack => ({
  code,
  title,
  build: () => patchPrelude(change),
})

const u32Attack = (code: string, title: string, at: number, value: number) =>
  preludeAttack(code, title, (view) => view.setUint32(at, value, true))

const fileAttack = (code: string, title: string, ...file: Parameters<typeof rawFile>): FrameAttack => ({
  code,
  title,
  build: () => wrapBody(rawFile(...file)),
})

/** A header with one tensor `a`. */
const entry = (dtype: unknown, shape: unknown, offsets: unknown) =>
  JSON.stringify({ a: { dtype, shape, data_offsets: offsets } })

/** Two tensors of two bytes each, at the places given. */
const pair = (a: number[], b: number[]) =>
  `{"a":{"dtype":"U8","shape":[2],"data_offsets":[${a}]},"b":{"dtype":"U8","shape":[2],"data_offsets":[${b}]}}`

const tensorAttack = (code: string, title: string, tensors: readonly TensorInput[]): FrameAttack => ({
  code,
  title,
  build: () => wrapBody(encodeSafetensors(tensors)),
})

const [activation] = SAMPLES.activation.tensors
const [gradient] = SAMPLES.gradient.tensors

function withFloat(bits: number): TensorInput {
  const data = activation.data.slice()
  new DataView(data.buffer).setUint32(4 * 6, bits, true)
  return { ...activation, data }
}

export const FRAME_ATTACKS: readonly FrameAttack[] = [
  { code: 'frame-short', title: 'nothing at all', build: () => new Uint8Array(0) },
  { code: 'frame-short', title: 'a prelude cut by one byte', build: () => sampleBytes().subarray(0, 63) },
  { code: 'frame-prelude-crc', title: 'one bit of the round flipped', build: () => flip(sampleBytes(), 28) },
  preludeAttack('frame-magic', 'another magic', (view) => view.setUint8(3, 0x66)),
  preludeAttack('frame-version', 'a later version', (view) => view.setUint8(4, 2)),
  preludeAttack('frame-type', 'type 0', (view) => view.setUint8(5, 0)),
  preludeAttack('frame-type', 'type 11', (view) => view.setUint8(5, 11)),
  preludeAttack('frame-flags', 'a flag nobody defined', (view) => view.setUint16(6, 0x8000, true)),
  preludeAttack('frame-reserved', 'first reserved byte set', (view) => view.setUint8(44, 1)),
  preludeAttack('frame-reserved', 'last reserved byte set', (view) => view.setUint8(55, 1)),
  preludeAttack('frame-type-unexpected', 'a known type that was not asked for', (view) => view.setUint8(5, 5)),
  u32Attack('frame-run', 'another run', 20, 8),
  u32Attack('frame-client', "another client's number", 24, 2),
  u32Attack('frame-epoch', 'a dead connection', 40, 1),
  u32Attack('frame-epoch', 'an epoch nobody granted', 40, 3),
  u32Attack('frame-round-past', 'a round already averaged', 28, 3),
  u32Attack('frame-round-future', 'a round not begun', 28, 6),
  u32Attack('frame-step-past', 'a step already done', 32, 9),
  u32Attack('frame-step-future', 'a step not begun', 32, 13),
  u32Attack('frame-sequence-replayed', 'the frame before, again', 36, 8),
  u32Attack('frame-sequence-future', 'a frame left out', 36, 10),
  u32Attack('frame-chunk', 'chunk 1 of 1', 12, 1),
  u32Attack('frame-chunk', 'chunk 0 of 2', 16, 2),
  u32Attack('frame-chunk', 'chunk 0 of 0', 16, 0),
  u32Attack('frame-limit', 'one byte over the declared limit', 8, 4097),
  u32Attack('frame-limit', 'four gigabytes', 8, 0xffffffff),
  u32Attack('frame-length', 'a body one byte longer than said', 8, sampleBytes().length - 65),
  { code: 'frame-length', title: 'a body cut by one byte', build: () => sampleBytes().subarray(0, sampleBytes().length - 1) },
  { code: 'frame-body-crc', title: 'one bit of the body flipped', build: () => flip(sampleBytes(), sampleBytes().length - 1) },

  { code: 'safetensors-short', title: 'an empty body', build: () => wrapBody(new Uint8Array(0)) },
  { code: 'safetensors-short', title: 'half a header length', build: () => wrapBody(new Uint8Array(7)) },
  fileAttack('safetensors-header-limit', 'header length one over the limit', '{}', 0, HEADER_BYTES_MAX + 1),
  fileAttack('safetensors-header-limit', 'header length 2^64 − 1', '{}', 0, 2n ** 64n - 1n),
  fileAttack('safetensors-header-cut', 'header length past the file', '{}', 0, 3),
  fileAttack('safetensors-utf8', 'an overlong slash', Uint8Array.of(0x7b, 0x22, 0xc0, 0xaf, 0x22, 0x3a, 0x31, 0x7d)),
  fileAttack('safetensors-utf8', 'a surrogate in UTF-8', Uint8Array.of(0x7b, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x3a, 0x31, 0x7d)),
  fileAttack('safetensors-json', 'an empty header', ''),
  fileAttack('safetensors-json', 'an array', '[]'),
  fileAttack('safetensors-json', 'a byte order mark', '\ufeff{}'),
  fileAttack('safetensors-json', 'a space before the brace', ' {}'),
  fileAttack('safetensors-json', 'an object cut short', '{"a":'),
  fileAttack('safetensors-json', 'a comma too many', '{"__metadata__":{},}'),
  fileAttack('safetensors-json', 'two objects', '{}{}'),
  fileAttack('safetensors-json', 'a NUL for padding', '{}\0'),
  fileAttack('safetensors-json', 'a line break in a string', '{"\n":1}'),
  fileAttack('safetensors-json', 'a string that ends in a backslash', '{"a\\'),
  fileAttack('safetensors-json', 'an escape JSON does not have', '{"\\x41":1}'),
  fileAttack('safetensors-json', 'half a surrogate pair, escaped', '{"__metadata__":{"a":"\\ud83d"}}'),
  fileAttack('safetensors-json', 'a leading zero', entry('U8', [7], [0, 7]).replaceAll('7', '07'), 7),
  fileAttack('safetensors-json', 'a number of 33 digits', entry('U8', ['#'], [0, 0]).replace('"#"', '1'.repeat(33))),
  fileAttack('safetensors-depth', 'five levels', '{"a":[[[[1]]]]}'),
  fileAttack('safetensors-depth', 'a thousand levels', `{"a":${'['.repeat(1000)}`),
  fileAttack('safetensors-duplicate', 'a tensor twice', pair([0, 2], [2, 4]).replace('"b"', '"a"'), 4),
  fileAttack('safetensors-duplicate', 'a tensor twice, once escaped', pair([0, 2], [2, 4]).replace('"b"', '"\\u0061"'), 4),
  fileAttack('safetensors-duplicate', 'two dtypes', '{"a":{"dtype":"U8","dtype":"I8","shape":[],"data_offsets":[0,1]}}', 1),
  fileAttack('safetensors-duplicate', 'a metadata key twice', '{"__metadata__":{"k":"1","k":"2"}}'),
  fileAttack('safetensors-metadata', 'metadata that is a string', '{"__metadata__":"x"}'),
  fileAttack('safetensors-metadata', 'a number as a value', '{"__metadata__":{"rank":16}}'),
  { code: 'safetensors-count', title: 'one tensor over the limit', build: () => wrapBody(rawFile(manyTensors()), 'state') },
  fileAttack('safetensors-name', 'a name of 257 bytes', entry('U8', [0], [0, 0]).replace('a', 'é'.repeat(TENSOR_NAME_BYTES_MAX / 2) + 'a')),
  fileAttack('safetensors-entry', 'an entry that is null', '{"a":null}'),
  fileAttack('safetensors-entry', 'no offsets', '{"a":{"dtype":"U8","shape":[]}}'),
  fileAttack('safetensors-entry', 'a fourth key', '{"a":{"dtype":"U8","shape":[],"data_offsets":[0,1],"x":1}}', 1),
  fileAttack('safetensors-entry', 'a key misspelt', '{"a":{"dtype":"U8","shape":[],"offsets":[0,1]}}', 1),
  fileAttack('safetensors-entry', '__proto__ as an entry', '{"__proto__":{"dtype":"U8"}}'),
  fileAttack('safetensors-dtype', 'F128', entry('F128', [1], [0, 16]), 16),
  fileAttack('safetensors-dtype', 'toString', entry('toString', [1], [0, 1]), 1),
  fileAttack('safetensors-shape', 'a negative size', entry('U8', [-1], [0, 1]), 1),
  fileAttack('safetensors-shape', 'a fraction', entry('U8', [1.5], [0, 1]), 1),
  fileAttack('safetensors-shape', 'an exponent', entry('U8', ['#'], [0, 1]).replace('"#"', '1e0'), 1),
  fileAttack('safetensors-shape', '2^53', entry('U8', [2 ** 53], [0, 1]), 1),
  fileAttack('safetensors-shape', 'a size in quotes', entry('U8', ['1'], [0, 1]), 1),
  fileAttack('safetensors-shape', 'no array', entry('U8', 1, [0, 1]), 1),
  fileAttack('safetensors-rank', 'nine dimensions', entry('U8', Array(RANK_MAX + 1).fill(1), [0, 1]), 1),
  fileAttack('safetensors-product', '2^32 × 2^32 elements, 0 when cut to 32 or 64 bits', entry('U8', [2 ** 32, 2 ** 32], [0, 0])),
  fileAttack('safetensors-product', '2^32 × 2^32 × 0 elements: the product overflows on the way', entry('U8', [2 ** 32, 2 ** 32, 0], [0, 0])),
  fileAttack('safetensors-product', '2^51 elements of 8 bytes', entry('F64', [2 ** 51], [0, 0])),
  fileAttack('safetensors-offsets', 'end before begin', entry('U8', [1], [1, 0]), 1),
  fileAttack('safetensors-offsets', 'three offsets', entry('U8', [1], [0, 1, 1]), 1),
  fileAttack('safetensors-offsets', 'a negative begin', entry('U8', [1], [-1, 0]), 1),
  fileAttack('safetensors-bytes', 'more elements than bytes', entry('F32', [2], [0, 4]), 4),
  fileAttack('safetensors-bytes', 'fewer elements than bytes', entry('F32', [], [0, 8]), 8),
  fileAttack('safetensors-overlap', 'two tensors on one place', pair([0, 2], [0, 2]), 2),
  fileAttack('safetensors-overlap', 'tensors that share a byte', pair([0, 2], [1, 3]), 3),
  fileAttack('safetensors-hole', 'a hole at the start', entry('U8', [1], [1, 2]), 2),
  fileAttack('safetensors-hole', 'a hole between', pair([0, 2], [3, 5]), 5),
  fileAttack('safetensors-cut', 'the last tensor cut by a byte', pair([0, 2], [2, 4]), 3),
  fileAttack('safetensors-cut', 'the last tensor missing', pair([0, 2], [2, 4]), 2),
  fileAttack('safetensors-trailing', 'a byte after the last tensor', pair([0, 2], [2, 4]), 5),
  fileAttack('safetensors-trailing', 'data without tensors', '{}', 1),

  tensorAttack('frame-missing-tensor', 'no labels', [activation]),
  tensorAttack('frame-extra-tensor', 'a stowaway', [activation, labels(1), { ...labels(1), name: 'stowaway' }]),
  { code: 'frame-extra-tensor', title: 'a tensor in a hello', build: () => wrapBody(encodeSafetensors([labels(1)]), 'hello') },
  tensorAttack('frame-dtype', 'U8 labels', [activation, { ...labels(), dtype: 'U8' }]),
  tensorAttack('frame-shape', 'one row too many', [activation, labels(...Array<number>(9).fill(0))]),
  tensorAttack('frame-shape', 'another width', [{ ...activation, shape: [WIDTH, ROWS] }, labels(1)]),
  tensorAttack('frame-shape', 'another rank', [{ ...activation, shape: [ROWS * WIDTH] }, labels(1)]),
  tensorAttack('frame-not-finite', 'a NaN', [withFloat(0x7fc00000), labels(1)]),
  tensorAttack('frame-not-finite', 'a signalling NaN with a payload', [withFloat(0xff800001), labels(1)]),
  tensorAttack('frame-not-finite', 'an infinity', [withFloat(0x7f800000), labels(1)]),
  { code: 'frame-not-finite', title: 'an f16 infinity', build: halfInfinity },
]

export const CALL_ATTACKS: readonly CallAttack[] = [
  { code: 'frame-number', title: 'round −1', call: () => encodeFrame({ ...SAMPLES.hello, round: -1 }, crc32c) },
  { code: 'frame-number', title: 'step 0.5', call: () => encodeFrame({ ...SAMPLES.hello, step: 0.5 }, crc32c) },
  { code: 'frame-number', title: 'sequence 2^32', call: () => encodeFrame({ ...SAMPLES.hello, sequence: 2 ** 32 }, crc32c) },
  { code: 'frame-extra-tensor', title: 'sending a hello with a tensor', call: () => encodeFrame({ ...head('hello'), tensors: [labels(1)] }, crc32c) },
  {
    code: 'frame-limit',
    title: 'sending an error too long',
    call: () => encodeFrame({ ...head('error'), tensors: [], metadata: { message: 'x'.repeat(BODY_BYTES_MAX.error) } }, crc32c),
  },
  { code: 'safetensors-duplicate', title: 'writing a name twice', call: () => encodeSafetensors([labels(1), labels(2)]) },
  { code: 'safetensors-name', title: 'writing a tensor __metadata__', call: () => encodeSafetensors([{ ...labels(1), name: '__metadata__' }]) },
  { code: 'safetensors-bytes', title: 'writing data of another size', call: () => encodeSafetensors([{ ...labels(1), shape: [2] }]) },
  { code: 'safetensors-metadata', title: 'writing half a surrogate pair', call: () => encodeSafetensors([], { a: '\ud83d' }) },
  { code: 'safetensors-header-limit', title: 'writing too much metadata', call: () => encodeSafetensors([], { a: 'x'.repeat(HEADER_BYTES_MAX) }) },
  { code: 'codec-name', title: 'bf16', call: () => parseCodec('bf16') },
  { code: 'codec-shape', title: 'encoding one value short', call: () => encodeTensor('f32', 'x', ROWS, WIDTH, VALUES.subarray(1)) },
  { code: 'codec-shape', title: 'decoding without a scale', call: () => decode('f16', [gradient]) },
  { code: 'codec-shape', title: 'decoding other rows', call: () => decodeTensor('f32', 'activation', new Map([['activation', activation]]), 2, WIDTH) },
  { code: 'codec-not-finite', title: 'encoding a NaN', call: () => encodeTensor('int8', 'x', 1, 1, Float32Array.of(NaN)) },
  { code: 'codec-not-finite', title: 'decoding an f16 infinity', call: () => decode('f16', [u16('x', 0x7c00), scale(1)]) },
  { code: 'codec-not-finite', title: 'decoding an f32 infinity', call: () => decode('f32', [{ ...scale(Infinity), name: 'x', shape: [1, 1] }]) },
  ...[0, -1, 3, 2 ** 113, 2 ** -127, NaN, Infinity].map((value) => ({
    code: 'codec-scale',
    title: `f16 scale ${value}`,
    call: () => decode('f16', [u16('x', 1), scale(value)]),
  })),
  ...[0, -1, 2 ** -127, 2.6793887059314005e36, NaN].map((value) => ({
    code: 'codec-scale',
    title: `int8 scale ${value}`,
    call: () => decode('int8', [i8('x', 1), scale(value)]),
  })),
  { code: 'codec-level', title: 'int8 −128', call: () => decode('int8', [i8('x', -128), scale(1)]) },
]

function decode(codec: 'f32' | 'f16' | 'int8', tensors: readonly TensorInput[]): Float32Array {
  return decodeTensor(codec, 'x', new Map(tensors.map((tensor) => [tensor.name, tensor])), 1, 1)
}

function scale(value: number): TensorInput {
  return { name: 'x.scale', dtype: 'F32', shape: [1], data: new Uint8Array(Float32Array.of(value).buffer) }
}

function u16(name: string, value: number): TensorInput {
  return { name, dtype: 'F16', shape: [1, 1], data: new Uint8Array(Uint16Array.of(value).buffer) }
}

function i8(name: string, value: number): TensorInput {
  return { name, dtype: 'I8', shape: [1, 1], data: Uint8Array.of(value) }
}

function flip(bytes: Uint8Array, at: number): Uint8Array {
  bytes[at] ^= 1
  return bytes
}

function manyTensors(): string {
  const entries = Array.from({ length: TENSORS_MAX + 1 }, (_, i) => `"${i}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`)
  return `{${entries.join(',')}}`
}

function halfInfinity(): Uint8Array {
  const [half, halfScale] = SAMPLES.gradient.tensors
  const data = half.data.slice()
  new DataView(data.buffer).setUint16(2 * 7, 0xfc00, true)
  return wrapBody(encodeSafetensors([{ ...half, data }, halfScale]), 'gradient')
}
