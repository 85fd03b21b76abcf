/** Codecs: f16 exactly to the bit, error bounds of f16 and int8, extreme values, odd and empty sizes. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { CODECS, decodeTensor, encodeTensor, floatFromHalf, halfFromFloat, tensorExpectation } from '../../runtime/wire/codec.ts'
import type { Codec } from '../../runtime/wire/codec.ts'
import { checkTensors } from '../../runtime/wire/expectation.ts'
import { randomFrom } from './random.ts'

const LARGEST = 3.4028234663852886e38
const SIZES: [rows: number, width: number][] = [[0, 5], [5, 0], [1, 1], [1, 7], [3, 1], [7, 13], [31, 17]]

/** Finite values of all exponents: random f32 bits, or one exponent and random fractions. */
function randomValues(count: number, seed: number, exponent?: number): Float32Array {
  const random = randomFrom(seed, count)
  const bits = Uint32Array.from({ length: count }, () => {
    const sign = random(2) * 0x80000000
    return sign + (exponent ?? random(255)) * 2 ** 23 + random(2 ** 23)
  })
  return new Float32Array(bits.buffer)
}

function roundTrip(codec: Codec, rows: number, width: number, data: Float32Array): Float32Array {
  const tensors = new Map(encodeTensor(codec, 'x', rows, width, data).map((tensor) => [tensor.name, tensor]))
  checkTensors(tensors, tensorExpectation(codec, 'x', rows, width), 'test')
  return decodeTensor(codec, 'x', tensors, rows, width)
}

function nextFloat(value: number, direction: 1 | -1): number {
  const bits = new Int32Array(Float32Array.of(value).buffer)
  bits[0] += direction
  return new Float32Array(bits.buffer)[0]
}

test('f16: every finite half survives, midpoints go to even, their neighbours to the nearest', () => {
  for (let half = 0; half < 0x7c00; half++) {
    const value = floatFromHalf(half)
    assert.is(halfFromFloat(value), half)
    assert.is(halfFromFloat(-value), half | 0x8000)
    if (half === 0x7bff) break
    const middle = (value + floatFromHalf(half + 1)) / 2
    assert.is(halfFromFloat(middle), half + (half & 1))
    assert.is(halfFromFloat(nextFloat(middle, -1)), half)
    assert.is(halfFromFloat(nextFloat(middle, 1)), half + 1)
  }
  assert.is(floatFromHalf(0x3c00), 1)
  assert.is(floatFromHalf(0xc000), -2)
  assert.is(floatFromHalf(1), 2 ** -24)
  assert.is(halfFromFloat(LARGEST), 0x7bff)
})

test('f32 is exact, minus zero and subnormals too', () => {
  for (const [rows, width] of SIZES) {
    const data = randomValues(rows * width, 1)
    if (data.length > 2) data.set([-0, 1.4e-45])
    assert.equal(new Uint32Array(roundTrip('f32', rows, width, data).buffer), new Uint32Array(data.buffer))
  }
})

test('f16: error at most 2^-11 of the value, or 2^-39 of the largest magnitude', () => {
  for (const [rows, width] of SIZES) {
    for (const exponent of [100, 127, 140, undefined]) {
      const data = randomValues(rows * width, 2, exponent)
      const largest = data.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
      roundTrip('f16', rows, width, data).forEach((value, i) => {
        const bound = Math.max(Math.abs(data[i]) * 2 ** -11, largest * 2 ** -39, 2 ** -149)
        assert.ok(Math.abs(value - data[i]) <= bound, `${data[i]} became ${value}`)
      })
    }
  }
})

test('int8: error at most half a level', () => {
  for (const [rows, width] of SIZES) {
    const data = randomValues(rows * width, 3, 127)
    const decoded = roundTrip('int8', rows, width, data)
    for (let row = 0; row < rows; row++) {
      const values = data.subarray(row * width, (row + 1) * width)
      const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
      values.forEach((value, i) => {
        assert.ok(Math.abs(decoded[row * width + i] - value) <= (largest / 254) * 1.00001, `${value}`)
      })
    }
  }
})

test('ties of int8 go to even', () => {
  const data = Float32Array.of(127, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5)
  assert.equal([...roundTrip('int8', 1, 7, data)].map((value) => value + 0), [127, 0, 2, 2, 0, -2, -2])
})

test('extreme magnitudes stay finite and near', () => {
  for (const codec of CODECS) {
    for (const value of [LARGEST, -LARGEST, 2 ** 127, 2 ** -126, 1]) {
      const [decoded] = roundTrip(codec, 1, 1, Float32Array.of(value))
      assert.ok(Math.abs(decoded - value) <= Math.abs(value) * 2 ** -7, `${codec} ${value} became ${decoded}`)
    }
    for (const value of [0, 1.4e-45, -1e-42]) {
      const [decoded] = roundTrip(codec, 1, 1, Float32Array.of(value))
      assert.ok(Math.abs(decoded - value) <= 2 ** -127, `${codec} ${value} became ${decoded}`)
    }
  }
})

test('encoding what was decoded gives the same bytes', () => {
  for (const codec of CODECS) {
    const decoded = roundTrip(codec, 7, 13, randomValues(91, 4, 120))
    assert.equal(roundTrip(codec, 7, 13, decoded), decoded)
  }
})

test.run()
