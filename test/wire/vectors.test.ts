/** The vectors beside SPEC.md are up to date, small, and answered as their index says; the tests' CRC32C is the real one. */
import { createHmac, createPrivateKey, sign } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { KerfError } from '../../runtime/error.ts'
import type { Challenge } from '../../runtime/split/proof.ts'
import { isInvited, isSigned } from '../../runtime/split/proof.ts'
import { decodeTensor } from '../../runtime/wire/codec.ts'
import type { Codec } from '../../runtime/wire/codec.ts'
import { decodeFrame } from '../../runtime/wire/frame.ts'
import type { FrameExpectation, FrameHead } from '../../runtime/wire/frame.ts'
import type { TensorInput } from '../../runtime/wire/safetensors.ts'
import { buildVectors, VECTORS } from '../../scripts/vectors.ts'
import { crc32c } from './crc32c.ts'
import { hex } from './sample.ts'

type Hexed = Omit<TensorInput, 'data'> & { data: string }
type Valid = { file: string; code: null; head: FrameHead; metadata: Record<string, string>; tensors: Hexed[]; codec?: Codec; values?: string }
type Invalid = { file: string; code: string; title: string }
type Proof = { secret: string; challenge: Challenge; invitation: string; proof: { signature: string; invitation: string } }
type Index = { expectation: FrameExpectation; vectors: (Valid | Invalid)[] }

const read = (name: string) => new Uint8Array(readFileSync(new URL(name, VECTORS)))
const index = JSON.parse(new TextDecoder().decode(read('index.json'))) as Index

test('CRC32C of the check text', () => {
  assert.is(crc32c(new TextEncoder().encode('123456789')), 0xe3069283)
  assert.is(crc32c(new Uint8Array(32)), 0x8a9136aa)
})

test('the files are what scripts/vectors.ts writes, under 64 KB together', () => {
  const built = buildVectors()
  assert.equal(readdirSync(VECTORS).sort(), [...built.keys()].sort())
  for (const [name, bytes] of built) assert.is(hex(read(name)), hex(bytes), name)
  assert.ok([...built.values()].reduce((sum, bytes) => sum + bytes.length, 0) < 64 << 10)
})

test('the proof is what another implementation makes of the same', () => {
  const { secret, challenge, invitation, proof } = JSON.parse(new TextDecoder().decode(read('proof.json'))) as Proof
  const message = `kerf proof 1 ${challenge.run} ${challenge.nonce} ${challenge.key}`
  const key = createPrivateKey({ key: Buffer.from(`302e020100300506032b657004220420${secret}`, 'hex'), format: 'der', type: 'pkcs8' })
  assert.is(sign(null, Buffer.from(message), key).toString('hex'), proof.signature)
  assert.is(createHmac('sha256', invitation).update(message).digest('hex'), proof.invitation)
  assert.ok(isSigned(challenge, proof) && isInvited(challenge, proof, invitation))
})

for (const vector of index.vectors) {
  test(vector.file, () => {
    const decode = () => decodeFrame(read(vector.file), index.expectation, crc32c)
    if (vector.code !== null) {
      assert.throws(decode, (error: unknown) => error instanceof KerfError && error.code === vector.code)
      return
    }
    const { tensors, metadata, ...head } = decode()
    assert.equal(head, vector.head)
    assert.equal(metadata, vector.metadata)
    const hexed = [...tensors.values()].map(({ data, ...tensor }) => ({ ...tensor, data: hex(data) }))
    assert.equal(hexed, vector.tensors)
    if (vector.codec === undefined) return
    const { name, shape } = vector.tensors.filter((tensor) => tensor.shape.length === 2)[0]
    const values = decodeTensor(vector.codec, name, tensors, shape[0], shape[1])
    assert.is(hex(new Uint8Array(values.buffer)), vector.values)
  })
}

test.run()
