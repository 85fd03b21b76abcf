/** Vectors compared by their bits: two short lines of difference instead of a thousand values. */
import * as assert from 'uvu/assert'

function countDifferent(actual: Float32Array, expected: Float32Array): string {
  const [a, b] = [actual, expected].map(({ buffer, byteOffset, length }) => new Int32Array(buffer, byteOffset, length))
  const different = [...b.keys()].filter((index) => a[index] !== b[index])
  if (different.length === 0) return ''
  const [first] = different
  return `${different.length} of ${b.length} values, the first at ${first}: expected ${expected[first]}, got ${actual[first]}`
}

/** Asserts the same bits; `what` names the case. */
export function expectBits(actual: Float32Array, expected: Float32Array, what = 'vector'): void {
  assert.is(actual.length, expected.length, `${what}: length`)
  const difference = countDifferent(actual, expected)
  assert.is(difference, '', `${what}: ${difference}`)
}

export function expectOtherBits(actual: Float32Array, expected: Float32Array, what = 'vector'): void {
  assert.ok(countDifferent(actual, expected) !== '', `${what}: expected other values, got the same`)
}
