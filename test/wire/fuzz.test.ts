/** Damaged frames are refused with a KerfError or read as something that can be written again; nothing else happens. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { KerfError } from '../../runtime/error.ts'
import { decodeTensor } from '../../runtime/wire/codec.ts'
import type { Codec } from '../../runtime/wire/codec.ts'
import { decodeFrame, encodeFrame } from '../../runtime/wire/frame.ts'
import type { Frame } from '../../runtime/wire/frame.ts'
import { decodeSafetensors } from '../../runtime/wire/safetensors.ts'
import type { TensorInput } from '../../runtime/wire/safetensors.ts'
import { crc32c } from './crc32c.ts'
import { randomFrom } from './random.ts'
import type { Random } from './random.ts'
import { EXPECTED, ROWS, sampleBytes, SAMPLES, WIDTH, wrapBody } from './sample.ts'

const SEED = 0x6b657266
const TYPES = Object.keys(SAMPLES) as (keyof typeof SAMPLES)[]

/** Runs `cases` damages; returns how many were accepted. */
function fuzz(cases: number, run: (random: Random) => void): number {
  let accepted = 0
  for (let i = 0; i < cases; i++) {
    try {
      run(randomFrom(SEED, i))
      accepted++
    } catch (error) {
      if (!(error instanceof KerfError)) throw new Error(`seed ${SEED}, case ${i}: ${String(error)}`, { cause: error })
    }
  }
  return accepted
}

function pick(random: Random): keyof typeof SAMPLES {
  return TYPES[random(TYPES.length)]
}

function flipBits(bytes: Uint8Array, random: Random): Uint8Array {
  for (let flips = 1 + random(3); flips > 0; flips--) bytes[random(bytes.length)] ^= 1 << random(8)
  return bytes
}

/** What was accepted must survive being written and read again. */
function checkAgain(frame: Frame): void {
  const bytes = encodeFrame({ ...frame, tensors: [...frame.tensors.values()] }, crc32c)
  const again = decodeFrame(bytes, EXPECTED, crc32c)
  const sorted = (tensors: ReadonlyMap<string, TensorInput>) => [...tensors.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  assert.equal(sorted(again.tensors), sorted(frame.tensors))
  assert.equal(again.metadata, frame.metadata)
}

test('one to three flipped bits never pass the CRCs', () => {
  const accepted = fuzz(2000, (random) => {
    const type = pick(random)
    const bytes = flipBits(sampleBytes(type), random)
    const frame = decodeFrame(bytes, EXPECTED, crc32c)
    assert.equal(bytes, sampleBytes(type), 'two flips of one bit')
    checkAgain(frame)
  })
  assert.ok(accepted < 10)
})

test('every truncation is refused', () => {
  for (const type of TYPES) {
    const bytes = sampleBytes(type)
    assert.is(fuzz(bytes.length, (random) => decodeFrame(bytes.subarray(0, random(bytes.length)), EXPECTED, crc32c)), 0)
    for (let length = 8; length < bytes.length - 64; length++) {
      const cut = wrapBody(bytes.subarray(64, 64 + length), type)
      assert.is(fuzz(1, () => decodeFrame(cut, EXPECTED, crc32c)), 0, `${type} cut to ${length}`)
    }
  }
})

test('bodies damaged under true CRCs', () => {
  const accepted = fuzz(3000, (random) => {
    const type = pick(random)
    const body = flipBits(sampleBytes(type).slice(64), random)
    checkAgain(decodeFrame(wrapBody(body, type), EXPECTED, crc32c))
  })
  assert.ok(accepted > 100 && accepted < 2900, `${accepted} accepted`)
})

test('header lengths that lie', () => {
  const lies = [0, 1, 2, 7, 8, 63, 64, 0x7fffffff, 0x80000000, 0xffffffff]
  fuzz(500, (random) => {
    const body = sampleBytes(pick(random)).slice(64)
    const view = new DataView(body.buffer)
    const truth = view.getBigUint64(0, true)
    view.setUint32(random(2) * 4, random(2) ? lies[random(lies.length)] : random(body.length * 2), true)
    decodeSafetensors(body)
    assert.is(view.getBigUint64(0, true), truth, 'a lie was believed')
  })
})

test('headers with parts cut out, doubled or swapped for others', () => {
  const scraps = ['{', '}', '[', ']', '"', ',', ':', '\\', '\\u0061', 'null', '-1', '1e9', '9007199254740993', '"__proto__"', '"a":', '\ud800', '\0', ' ']
  fuzz(3000, (random) => {
    const type = pick(random)
    const body = sampleBytes(type).subarray(64)
    const length = new DataView(body.buffer, body.byteOffset).getUint32(0, true)
    let header = new TextDecoder().decode(body.subarray(8, 8 + length))
    for (let edits = 1 + random(3); edits > 0; edits--) {
      const at = random(header.length)
      const part = random(2) ? scraps[random(scraps.length)] : header.slice(at, at + random(20))
      header = header.slice(0, at) + part + header.slice(at + random(2) * random(20))
    }
    const text = new TextEncoder().encode(header)
    const damaged = new Uint8Array(8 + text.length + body.length - 8 - length)
    new DataView(damaged.buffer).setUint32(0, text.length, true)
    damaged.set(text, 8)
    damaged.set(body.subarray(8 + length), 8 + text.length)
    checkAgain(decodeFrame(wrapBody(damaged, type), EXPECTED, crc32c))
  })
})

test('random bytes are no file', () => {
  assert.is(fuzz(1000, (random) => decodeSafetensors(Uint8Array.from({ length: random(100) }, () => random(256)))), 0)
})

test('what a codec accepts decodes to finite values', () => {
  const coded: [keyof typeof SAMPLES, Codec, string][] = [['activation', 'f32', 'activation'], ['gradient', 'f16', 'gradient'], ['state', 'int8', 'moment']]
  const accepted = fuzz(3000, (random) => {
    const [type, codec, name] = coded[random(coded.length)]
    const tensors = new Map(SAMPLES[type].tensors.map((tensor) => [tensor.name, { ...tensor, data: tensor.data.slice() }]))
    const names = [...tensors.keys()]
    const { data } = tensors.get(names[random(names.length)]) as TensorInput
    for (let bytes = 1 + random(3); bytes > 0; bytes--) data[random(data.length)] = random(2) ? random(256) : [0, 0x7f, 0x80, 0xff][random(4)]
    const values = decodeTensor(codec, name, tensors, ROWS, WIDTH)
    assert.ok(values.every(Number.isFinite))
  })
  assert.ok(accepted > 300, `${accepted} accepted`)
})

test.run()
