/** safetensors: round trips, one byte form, files read by their header alone, harmless names. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { decodeSafetensors, DTYPE_BYTES, encodeSafetensors, headerBytes, parseHeader } from '../../runtime/wire/safetensors.ts'
import type { Dtype, TensorInput } from '../../runtime/wire/safetensors.ts'
import { randomFrom } from './random.ts'
import { hex, rawFile } from './sample.ts'

const DTYPES = Object.keys(DTYPE_BYTES) as Dtype[]

function randomTensors(seed: number): TensorInput[] {
  const random = randomFrom(seed, 0)
  return Array.from({ length: random(9) }, (_, i) => {
    const dtype = DTYPES[random(DTYPES.length)]
    const shape = Array.from({ length: random(4) }, () => [0, 1, 2, 3, 5, 7][random(6)])
    const bytes = shape.reduce((product, size) => product * size, DTYPE_BYTES[dtype])
    const name = `${['a.', 'é', '\u{1f600}', '"\\'][random(4)]}${i}`
    return { name, dtype, shape, data: Uint8Array.from({ length: bytes }, () => random(256)) }
  })
}

test('round trips of any dtypes, ranks and sizes, empty ones too', () => {
  for (let seed = 0; seed < 300; seed++) {
    const tensors = randomTensors(seed)
    const metadata: Record<string, string> = seed % 2 ? { format: 'pt', seed: `${seed}\n` } : {}
    const decoded = decodeSafetensors(encodeSafetensors(tensors, metadata))
    for (const tensor of tensors) assert.equal(decoded.tensors.get(tensor.name), tensor)
    assert.is(decoded.tensors.size, tensors.length)
    assert.equal(decoded.metadata, metadata)
  }
})

test('the order of arguments does not show, and every tensor is aligned', () => {
  for (let seed = 0; seed < 100; seed++) {
    const tensors = randomTensors(seed)
    const bytes = encodeSafetensors(tensors, { b: '1', a: '2' })
    assert.is(hex(encodeSafetensors([...tensors].reverse(), { a: '2', b: '1' })), hex(bytes))
    const { tensors: views, dataBegin } = parseHeader(bytes, bytes.length)
    for (const { dtype, begin } of views.values()) assert.is((dataBegin + begin) % DTYPE_BYTES[dtype], 0)
  }
})

test('the bytes are those of the reference library', () => {
  // safetensors 0.8.0 for Python: save({'a': i8 [3], 'b': f32 [1, 2], 'c': f16 1}, {'format': 'pt'}).
  const header =
    '{"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},' +
    '"c":{"dtype":"F16","shape":[],"data_offsets":[8,10]},"a":{"dtype":"I8","shape":[1],"data_offsets":[10,11]}}'
  const bytes = encodeSafetensors(
    [
      { name: 'a', dtype: 'I8', shape: [1], data: Uint8Array.of(3) },
      { name: 'b', dtype: 'F32', shape: [2], data: new Uint8Array(Float32Array.of(1, 2).buffer) },
      { name: 'c', dtype: 'F16', shape: [], data: Uint8Array.of(0, 0x3c) },
    ],
    { format: 'pt' },
  )
  const padded = header.padEnd(Math.ceil(header.length / 8) * 8)
  const data = Uint8Array.of(0, 0, 0x80, 0x3f, 0, 0, 0, 0x40, 0, 0x3c, 3)
  const expected = rawFile(padded, data.length)
  expected.set(data, 8 + padded.length)
  assert.is(hex(bytes), hex(expected))
})

test('a header is read without the data', () => {
  const bytes = encodeSafetensors([{ name: 'a', dtype: 'F32', shape: [100], data: new Uint8Array(400) }])
  const need = headerBytes(bytes.subarray(0, 8), bytes.length)
  const { tensors, dataBegin, dataBytes } = parseHeader(bytes.subarray(0, need), bytes.length)
  assert.equal([tensors.get('a')?.end, dataBegin, dataBytes], [400, need, 400])
})

test('the header may list tensors in another order than their bytes', () => {
  const file = rawFile('{"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}} \n', 2)
  assert.equal([...decodeSafetensors(file).tensors.keys()], ['a', 'b'])
})

test('a file cut short names the tensor, the bytes expected and the bytes there', () => {
  const bytes = encodeSafetensors([{ name: 'layer.weight', dtype: 'F32', shape: [4], data: new Uint8Array(16) }])
  assert.throws(
    () => decodeSafetensors(bytes.subarray(0, bytes.length - 5), 'model.safetensors'),
    (error: Error) => error.message === 'model.safetensors["layer.weight"]: expected 16 bytes (the file is cut short), got 11',
  )
})

test('names of the language itself are only names', () => {
  const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', '']
  const tensors = names.map((name): TensorInput => ({ name, dtype: 'U8', shape: [1], data: Uint8Array.of(7) }))
  const metadata = Object.fromEntries(names.map((name) => [name, 'x']))
  const decoded = decodeSafetensors(encodeSafetensors(tensors, metadata))
  assert.equal([...decoded.tensors.keys()].sort(), [...names].sort())
  assert.equal(Object.keys(decoded.metadata).sort(), [...names].sort())
  assert.is(Object.getPrototypeOf(decoded.metadata), Object.prototype)
  assert.is(({} as Record<string, unknown>).x, undefined)
})

test.run()
