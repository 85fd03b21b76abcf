/**
 * Writes runtime/wire/vectors: valid frames with what they hold, and for each
 * error code one small frame that must be refused with it. `index.json` lists
 * them, with the receiver's expectation; `proof.json` is a device's proof of its key. Run: node --import tsx scripts/vectors.ts
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { decodeTensor } from '../runtime/wire/codec.ts'
import type { Codec } from '../runtime/wire/codec.ts'
import { NONCE_BYTES, SECRET_BYTES, openKey, prove } from '../runtime/split/proof.ts'
import { decodeFrame } from '../runtime/wire/frame.ts'
import { FRAME_ATTACKS } from '../test/wire/attacks.ts'
import { crc32c } from '../test/wire/crc32c.ts'
import { EXPECTED, hex, ROWS, sampleBytes, SAMPLES, WIDTH } from '../test/wire/sample.ts'

export const VECTORS = new URL('../runtime/wire/vectors/', import.meta.url)
const FILE_BYTES_MAX = 2048

/** The codec and tensor that a sample exercises. */
const CODED: Readonly<Record<string, [Codec, string]>> = {
  activation: ['f32', 'activation'],
  gradient: ['f16', 'gradient'],
  state: ['int8', 'moment'],
}

/** File name → contents; the same on every run. */
export function buildVectors(): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>()
  const valid = (Object.keys(SAMPLES) as (keyof typeof SAMPLES)[]).map((type) => {
    const bytes = sampleBytes(type)
    files.set(`valid-${type}.bin`, bytes)
    return { file: `valid-${type}.bin`, code: null, ...describeFrame(bytes) }
  })
  const invalid = FRAME_ATTACKS.flatMap(({ code, title, build }) => {
    const file = `${code}.bin`
    const bytes = build()
    if (files.has(file) || bytes.length > FILE_BYTES_MAX) return []
    files.set(file, bytes)
    return [{ file, code, title }]
  })
  files.set('proof.json', new TextEncoder().encode(`${JSON.stringify(describeProof(), null, 2)}\n`))
  const index = { expectation: EXPECTED, vectors: [...valid, ...invalid] }
  files.set('index.json', new TextEncoder().encode(`${JSON.stringify(index, null, 2)}\n`))
  return files
}

/** Every field of a valid frame; tensor bytes, and the codec's f32 values as bytes, in hex. */
function describeFrame(bytes: Uint8Array) {
  const { tensors, metadata, ...head } = decodeFrame(bytes, EXPECTED, crc32c)
  const described = [...tensors.values()].map(({ data, ...tensor }) => ({ ...tensor, data: hex(data) }))
  if (!(head.type in CODED)) return { head, metadata, tensors: described }
  const [codec, name] = CODED[head.type]
  const values = decodeTensor(codec, name, tensors, ROWS, WIDTH)
  return { head, metadata, tensors: described, codec, values: hex(new Uint8Array(values.buffer)) }
}

/** A device's answer to a challenge, with all that it is made of. */
function describeProof() {
  const secret = Uint8Array.from({ length: SECRET_BYTES }, (_, at) => at)
  const key = openKey(secret)
  const challenge = { run: 77, nonce: 'a5'.repeat(NONCE_BYTES), key: key.public }
  const invitation = '0123456789abcdef'
  return { secret: hex(secret), challenge, invitation, proof: prove(challenge, key, invitation) }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  rmSync(VECTORS, { recursive: true, force: true })
  mkdirSync(VECTORS)
  for (const [name, bytes] of buildVectors()) writeFileSync(new URL(name, VECTORS), bytes)
}
