/** A tensor is copied once into a frame and not at all out of it, and its values are looked at once. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { KerfError } from '../../runtime/error.ts'
import { CODECS, decodeTensor, encodeTensor, tensorExpectation } from '../../runtime/wire/codec.ts'
import { checkTensors } from '../../runtime/wire/expectation.ts'
import { findNonFinite } from '../../runtime/wire/finite.ts'
import type { FrameExpectation } from '../../runtime/wire/frame.ts'
import { decodeFrame, encodeFrame } from '../../runtime/wire/frame.ts'
import type { Dtype, TensorInput } from '../../runtime/wire/safetensors.ts'
import { DTYPE_BYTES } from '../../runtime/wire/safetensors.ts'
import { copiesOf, recordCopies } from '../copies.ts'
import { crc32c } from './crc32c.ts'
import { EXPECTED, head } from './sample.ts'

const ROWS = 64, WIDTH = 96
const VALUES = Float32Array.from({ length: ROWS * WIDTH }, (_, i) => Math.fround((i - 3000) * 0.37))
const BYTES = new Uint8Array(VALUES.buffer)
const SMALL = 1024

const expected: FrameExpectation = { ...EXPECTED, types: { activation: { tensors: tensorExpectation('f32', 'activation', ROWS, WIDTH) } } }

function encode(): Uint8Array {
  return encodeFrame({ ...head('activation'), tensors: encodeTensor('f32', 'activation', ROWS, WIDTH, VALUES) }, crc32c)
}

function decode(frame: Uint8Array): Float32Array {
  return decodeTensor('f32', 'activation', decodeFrame(frame, expected, crc32c).tensors, ROWS, WIDTH)
}

/** The same bytes, `by` bytes further on in their buffer. */
function shift(bytes: Uint8Array, by: number): Uint8Array {
  const shifted = new Uint8Array(bytes.length + by).subarray(by)
  shifted.set(bytes)
  return shifted
}

test('f32 is copied once into a frame', async () => {
  const { result: frame, copies } = await recordCopies(SMALL, encode)
  assert.is(copies.length, 1)
  assert.is(copiesOf(BYTES, copies).length, 1)
  assert.ok(copies[0].target === frame.buffer && copies[0].bytes.length === BYTES.length)
})

test('f32 of an aligned frame is not copied at all, of a misaligned one once', async () => {
  const frame = encode()
  for (const by of [0, 1, 2, 3, 4, 8]) {
    const received = shift(frame, by)
    const { result: values, copies } = await recordCopies(SMALL, () => decode(received))
    assert.is(copies.length, by % 4 === 0 ? 0 : 1, `shifted by ${by}`)
    assert.is(values.buffer === received.buffer, by % 4 === 0)
    assert.equal(values, VALUES)
  }
})

test('a small part of a large buffer is copied out of it, so that it does not keep it', () => {
  const received = shift(encode(), 8 * ROWS * WIDTH)
  const values = decode(received)
  assert.is(values.buffer.byteLength, BYTES.length)
  assert.equal(values, VALUES)
})

test('whatever the codec, what it made is copied once into the frame, and decoding copies nothing first', async () => {
  for (const codec of CODECS) {
    const tensors = encodeTensor(codec, 'x', ROWS, WIDTH, VALUES)
    const { copies } = await recordCopies(SMALL, () => encodeFrame({ ...head('activation'), tensors }, crc32c))
    assert.is(copies.length, 1, codec)
    const given = new Map(tensors.map((tensor) => [tensor.name, tensor]))
    checkTensors(given, tensorExpectation(codec, 'x', ROWS, WIDTH), 'test')
    const { copies: decoded } = await recordCopies(SMALL, () => decodeTensor(codec, 'x', given, ROWS, WIDTH))
    assert.is(decoded.length, 0, codec)
  }
})

const NOT_FINITE: Readonly<Partial<Record<Dtype, readonly string[]>>> = {
  F64: ['000000000000f07f', '010000000000f0ff'], F32: ['0000807f', '010080ff', 'ffffff7f'], BF16: ['807f', 'c0ff'], F16: ['007c', '01fc'],
}
const FINITE: Readonly<Partial<Record<Dtype, string>>> = { F64: 'ffffffffffffefff', F32: 'ffff7fff', BF16: '7fff', F16: 'fffb' }

test('NaN and infinity are found at any place, alignment and length; the largest finite values pass', () => {
  for (const [dtype, patterns] of Object.entries(NOT_FINITE) as [Dtype, readonly string[]][]) {
    const size = DTYPE_BYTES[dtype]
    for (const by of [0, 1, 2, 4]) {
      for (const count of [1, 2, 7, 8, 9, 17]) {
        const tensor = (): TensorInput => ({ name: 'x', dtype, shape: [count], data: shift(Buffer.from(FINITE[dtype]!.repeat(count), 'hex'), by) })
        assert.is(findNonFinite(tensor()), -1)
        for (const pattern of patterns) {
          for (let at = 0; at < count; at++) {
            const strange = tensor()
            strange.data.set(Buffer.from(pattern, 'hex'), at * size)
            assert.is(findNonFinite(strange), at, `${dtype} ${pattern} at ${at} of ${count}, shifted by ${by}`)
          }
        }
      }
    }
  }
})

test('what a frame check has passed is not scanned again, anything else is', () => {
  const frame = encode()
  const { tensors } = decodeFrame(frame, expected, crc32c)
  const tensor = tensors.get('activation')!
  tensor.data.fill(0xff)
  assert.ok(decodeTensor('f32', 'activation', tensors, ROWS, WIDTH).every(Number.isNaN))
  const copy = new Map([['activation', { ...tensor }]])
  assert.throws(() => decodeTensor('f32', 'activation', copy, ROWS, WIDTH), (error: unknown) => error instanceof KerfError && error.code === 'codec-not-finite')
})

test.run()
