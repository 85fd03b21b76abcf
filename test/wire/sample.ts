/** Sample frames, one receiver's expectation, and the tools to damage a frame; shared by the wire's tests and vectors. */
import { encodeTensor, tensorExpectation } from '../../runtime/wire/codec.ts'
import { encodeFrame } from '../../runtime/wire/frame.ts'
import type { FrameExpectation, FrameHead, FrameInput, FrameType } from '../../runtime/wire/frame.ts'
import type { TensorInput } from '../../runtime/wire/safetensors.ts'
import { crc32c } from './crc32c.ts'

export const ROWS = 3
export const WIDTH = 5
const ROWS_MAX = 8

export const VALUES = Float32Array.from({ length: ROWS * WIDTH }, (_, i) => (i - 7) * 0.37 * (i % 3 === 0 ? 1000 : 0.001))

/** Each data type of frame carries another codec, so that one expectation covers all. */
export const EXPECTED: FrameExpectation = {
  types: {
    hello: { tensors: [] },
    activation: {
      bodyBytesMax: 4096,
      tensors: [
        ...tensorExpectation('f32', 'activation', ROWS_MAX, WIDTH),
        { name: 'labels', dtypes: ['I32'], shape: [{ max: ROWS_MAX }], finite: false },
      ],
    },
    gradient: { tensors: tensorExpectation('f16', 'gradient', ROWS_MAX, WIDTH) },
    state: { tensors: tensorExpectation('int8', 'moment', ROWS_MAX, WIDTH) },
  },
  run: 7,
  client: 3,
  epoch: 2,
  round: { min: 4, max: 5 },
  step: { min: 10, max: 12 },
  sequence: 9,
}

export function head(type: FrameType): FrameHead {
  return { type, run: 7, client: 3, round: 4, step: 11, sequence: 9, epoch: 2 }
}

export function labels(...values: number[]): TensorInput {
  return { name: 'labels', dtype: 'I32', shape: [values.length], data: new Uint8Array(Int32Array.from(values).buffer) }
}

export const SAMPLES: Readonly<Record<'hello' | 'activation' | 'gradient' | 'state', FrameInput>> = {
  hello: { ...head('hello'), tensors: [], metadata: { 'blocks': '2', '__proto__x': 'é "quoted" \u{1f600}' } },
  activation: { ...head('activation'), tensors: [...encodeTensor('f32', 'activation', ROWS, WIDTH, VALUES), labels(0, 5)], metadata: { cut: '2' } },
  gradient: { ...head('gradient'), tensors: encodeTensor('f16', 'gradient', ROWS, WIDTH, VALUES) },
  state: { ...head('state'), tensors: encodeTensor('int8', 'moment', ROWS, WIDTH, VALUES) },
}

export function sampleBytes(type: keyof typeof SAMPLES = 'activation'): Uint8Array {
  return encodeFrame(SAMPLES[type], crc32c)
}

/** Puts right the prelude's CRC after `change`, so that the lie gets past the first check. */
export function patchPrelude(change: (view: DataView) => void, bytes = sampleBytes()): Uint8Array {
  const view = new DataView(bytes.buffer)
  change(view)
  view.setUint32(60, crc32c(bytes.subarray(0, 60)), true)
  return bytes
}

/** A frame around any body, with true length and CRCs. */
export function wrapBody(body: Uint8Array, type: keyof typeof SAMPLES = 'activation'): Uint8Array {
  const bytes = new Uint8Array(64 + body.length)
  bytes.set(sampleBytes(type).subarray(0, 64))
  bytes.set(body, 64)
  return patchPrelude((view) => {
    view.setUint32(8, body.length, true)
    view.setUint32(56, crc32c(body), true)
  }, bytes)
}

/** A safetensors file with any header, true or not, and `dataBytes` zero bytes of data. */
export function rawFile(header: string | Uint8Array, dataBytes = 0, headerLength?: number | bigint): Uint8Array {
  const text = typeof header === 'string' ? new TextEncoder().encode(header) : header
  const bytes = new Uint8Array(8 + text.length + dataBytes)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerLength ?? text.length), true)
  bytes.set(text, 8)
  return bytes
}

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
