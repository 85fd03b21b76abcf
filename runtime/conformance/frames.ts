/** The wire: every vector of runtime/wire/vectors decoded, and encoded again, and drawn tensors through every codec. */
import { KerfError } from '../error.ts'
import { CODECS, decodeTensor, encodeTensor } from '../wire/codec.ts'
import { decodeFrame, encodeFrame } from '../wire/frame.ts'
import type { Crc32c, FrameExpectation } from '../wire/frame.ts'
import { draw, writeSource } from '../cases/source.ts'
import type { Finding, Result } from '../cases/tally.ts'

/** runtime/wire/vectors: index.json's expectation, and each file's bytes and code (null: valid). */
export type FrameVectors = { expectation: FrameExpectation; files: readonly { file: string; code: string | null; bytes: Uint8Array }[] }

const ROWS = 7, WIDTH = 33

function encodeText(text: string): Result {
  return { element: 'u8', bytes: new TextEncoder().encode(text) }
}

function copyOf(bytes: Uint8Array): Result {
  return { element: 'u8', bytes: bytes.slice() }
}

/** `answer`: the refusal's code, or `valid`; of a valid frame its head and metadata, each tensor, and the frame encoded anew. */
function decodeVector(expectation: FrameExpectation, { file, code, bytes }: FrameVectors['files'][number], crc32c: Crc32c): Finding {
  const name = `frame ${file}`
  try {
    const { tensors, metadata, ...head } = decodeFrame(bytes, expectation, crc32c)
    const results: Record<string, Result> = { answer: encodeText('valid'), head: encodeText(JSON.stringify([head, metadata])) }
    tensors.forEach(({ data, dtype, shape }, tensor) => {
      results[`${tensor} shape`] = encodeText(`${dtype} ${shape.join(' ')}`)
      results[tensor] = copyOf(data)
    })
    results.encoded = copyOf(encodeFrame({ ...head, metadata, tensors: Array.from(tensors.values()) }, crc32c))
    return { name, results, damage: code === null ? null : `expected the refusal ${code}, got a valid frame` }
  } catch (error) {
    if (!(error instanceof KerfError)) throw error
    const damage = error.code === code ? null : `expected ${code ?? 'a valid frame'}, got ${error.code}`
    return { name, results: { answer: encodeText(error.code) }, damage }
  }
}

function passCodec(codec: (typeof CODECS)[number]): Finding {
  const values = new Float32Array(ROWS * WIDTH)
  writeSource({ kind: 'uniform', count: values.length, seed: 77, scale: 3, offset: 0.125, halvings: 11, zeros: WIDTH }, values)
  const encoded = encodeTensor(codec, 'x', ROWS, WIDTH, values)
  const results: Record<string, Result> = {}
  for (const { name, data } of encoded) results[`encoded ${name}`] = copyOf(data)
  const decoded = decodeTensor(codec, 'x', new Map(encoded.map((tensor) => [tensor.name, tensor])), ROWS, WIDTH)
  results.decoded = { element: 'f32', bytes: new Uint8Array(Float32Array.from(decoded).buffer) }
  return { name: `codec ${codec}`, results, damage: null }
}

/** Names every value that a codec scales by, so that a drawn tensor is what it was. */
export function runFrameCases(vectors: FrameVectors, crc32c: Crc32c, take: (finding: Finding) => void): void {
  for (const vector of vectors.files) take(decodeVector(vectors.expectation, vector, crc32c))
  for (const codec of CODECS) take(passCodec(codec))
  // The largest f32 that a draw gives, so that no codec's scale is at its lower bound alone.
  const large = new Float32Array(4)
  writeSource(draw(4, 'large', 3e38), large)
  const results: Record<string, Result> = {}
  for (const { name, data } of encodeTensor('f16', 'x', 1, 4, large)) results[name] = copyOf(data)
  take({ name: 'codec f16, large', results, damage: null })
}
