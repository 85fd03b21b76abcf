/**
 * The bounds that the head of assembly/math.ts states, over dense grids and seeded
 * random points, and the edges. The true figures, from every f32 of the ranges and 16
 * million f64: exp32 0.991 ULP, erf32 4.69e-7, tanh32 1.331 ULP, exp64 0.877, log64 0.848,
 * gelu 1.25e-6, its slope 2.9e-7.
 */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { KernelExports } from '../../runtime/kernel/abi.ts'
import { createRandom } from '../../runtime/random.ts'
import { BUILDS } from '../kernels.ts'
import { erf, erfc, gelu } from '../oracle/bert.ts'
import { mapVector, openArena } from './arena.ts'
import { expUlps, logUlps } from './precise.ts'

const { fround } = Math
const LARGEST = 3.4028234663852886e38
const TINY = 1.401298464324817e-45
const EXP_MIN = fround(-87.33654), EXP_MAX = fround(88.72283)

const arenas = await Promise.all(BUILDS.map((build) => openArena(build)))
const kernels = arenas.map(({ kernel }) => kernel)
const random = createRandom(11, 'weights')

/** A grid of `count` points, as many random ones, and random ones of every magnitude down to 2⁻⁴⁰. */
function points(low: number, high: number, count: number): Float64Array {
  const near = Math.max(Math.abs(low), Math.abs(high))
  return Float64Array.from({ length: 3 * count }, (_, i) => {
    if (i < count) return low + ((high - low) * i) / (count - 1)
    if (i < 2 * count) return low + (high - low) * random.uniform()
    const small = (random.below(2) ? 1 : -1) * near * 2 ** (-40 * random.uniform())
    return Math.min(high, Math.max(low, small))
  })
}

/** One unit in the last place of an f32 near `value`. */
function lastPlace(value: number): number {
  return 2 ** Math.max(Math.floor(Math.log2(Math.abs(value))) - 23, -149)
}

/** The largest error over the points, by `error(x, result)`; every build must return the same number. */
function worst(operation: (kernel: KernelExports) => (x: number) => number, at: Float64Array, error: (x: number, actual: number) => number): number {
  const [scalar, ...others] = kernels.map(operation)
  let most = 0
  for (const x of at) {
    const actual = scalar(x)
    for (const other of others) if (!Object.is(other(x), actual)) assert.unreachable(`${x}: expected ${actual}, got ${other(x)}`)
    most = Math.max(most, Number.isNaN(actual) ? Infinity : error(x, actual))
  }
  return most
}

const within = (actual: number, bound: number) => assert.ok(actual <= bound, `expected at most ${bound}, got ${actual}`)
const inUlps = (f: (x: number) => number) => (x: number, actual: number) => Math.abs(actual - f(x)) / lastPlace(f(x))

test('exp32 within 1 ULP', () => {
  within(worst((kernel) => kernel.exp32, points(-87.3365, 88.7228, 60000).map(fround), inUlps(Math.exp)), 1)
})

test('exp32 at its edges', () => {
  for (const { exp32 } of kernels) {
    for (const x of [0, -0, TINY, -TINY, 1e-40, 1e-30]) assert.is(exp32(x), 1)
    assert.ok(exp32(EXP_MIN) >= 2 ** -126, 'the smallest result is normal')
    for (const x of [-87.34, -88, -104, -1000, -LARGEST, -Infinity]) assert.is(exp32(x), 0)
    assert.ok(Number.isFinite(exp32(EXP_MAX)))
    for (const x of [88.73, 89, 1000, LARGEST, Infinity]) assert.is(exp32(x), exp32(EXP_MAX))
  }
})

test('erf32 within 4.7e-7', () => {
  within(worst((kernel) => kernel.erf32, points(-5, 5, 20000).map(fround), (x, actual) => Math.abs(actual - erf(x))), 4.7e-7)
})

test('erf32 at its edges: odd, at most 3.6e-7 beyond ±1, exact from ±4 on', () => {
  for (const { erf32 } of kernels) {
    for (const x of points(-4.2, 4.2, 5000).map(fround)) {
      within(Math.abs(erf32(x)), 1 + 3.6e-7)
      assert.ok(Object.is(erf32(-x), -erf32(x)))
    }
    assert.ok(Object.is(erf32(0), 0))
    assert.ok(Object.is(erf32(-0), -0))
    for (const x of [4, 5, 100, LARGEST, Infinity]) assert.is(erf32(x), 1)
  }
})

test('tanh32 within 1.4 ULP', () => {
  within(worst((kernel) => kernel.tanh32, points(-10, 10, 40000).map(fround), inUlps(Math.tanh)), 1.4)
  within(worst((kernel) => kernel.tanh32, points(-0.63, 0.63, 40000).map(fround), inUlps(Math.tanh)), 1.4)
})

test('tanh32 at its edges: odd, itself near zero, ±1 far out', () => {
  for (const { tanh32 } of kernels) {
    for (const x of points(-10, 10, 5000).map(fround)) {
      assert.ok(Math.abs(tanh32(x)) <= 1)
      assert.ok(Object.is(tanh32(-x), -tanh32(x)))
    }
    for (const x of [0, TINY, -TINY, fround(1e-40), fround(1e-20)]) assert.is(tanh32(x), x)
    for (const x of [10, 44.4, 1000, LARGEST, Infinity]) assert.is(tanh32(x), 1)
  }
})

test('exp64 within 0.9 ULP', () => {
  within(worst((kernel) => kernel.exp64, points(-700, 700, 2000), expUlps), 0.9)
  within(worst((kernel) => kernel.exp64, points(-2, 2, 2000), expUlps), 0.9)
  for (const { exp64 } of kernels) for (const x of [0, -0, 5e-324, -5e-324, 1e-300]) assert.is(exp64(x), 1)
})

test('log64 within 0.9 ULP', () => {
  const everywhere = points(-700, 700, 1500).map(Math.exp)
  within(worst((kernel) => kernel.log64, everywhere, logUlps), 0.9)
  within(worst((kernel) => kernel.log64, points(0.5, 2, 1500), logUlps), 0.9)
  within(worst((kernel) => kernel.log64, points(-1e-3, 1e-3, 1500).map((x) => 1 + x), logUlps), 0.9)
  const edges = Float64Array.of(2 ** -1022, Number.MAX_VALUE, Math.SQRT2, Math.SQRT1_2, 2, 0.5, 1 + 2 ** -52, 1 - 2 ** -53)
  within(worst((kernel) => kernel.log64, edges, logUlps), 0.9)
  for (const { log64 } of kernels) assert.ok(Object.is(log64(1), 0))
})

test('the precise reference agrees with the host to 1 ULP', () => {
  for (const x of points(-300, 300, 200)) within(expUlps(x, Math.exp(x)), 1)
  for (const x of points(-300, 300, 200)) within(logUlps(Math.exp(x), Math.log(Math.exp(x))), 1)
})

/** Every magnitude, both signs, and the places where erf and exp clamp. */
function sweep(): Float32Array {
  const edges = [0, TINY, 2 ** -126, 1e-20, 4, 5.656854, 5.656855, 13.2, 1e3, 1e10, 1.8446743e19, 1.8446745e19, LARGEST]
  return Float32Array.from([...edges.flatMap((x) => [x, -x]), ...points(-8, 8, 20000), ...points(-100, 100, 5000), 1.5])
}

test('gelu in vectors: bits of scalar, error within 1.25e-6, ±large', () => {
  const x = sweep()
  const [scalar, ...others] = arenas.map((arena) => mapVector(arena, (kernel, out, from, n, table) => kernel.gelu(out, from, n, table), x, 'f32'))
  for (const other of others) assert.equal(new Uint32Array(other.buffer), new Uint32Array(scalar.buffer))
  const expected = gelu(Float64Array.from(x))
  scalar.forEach((value, i) => {
    if (Math.abs(x[i]) >= 5.66) assert.is(value + 0, Math.max(x[i], 0))
    else within(Math.abs(value - expected[i]), 1.25e-6)
  })
})

test('geluBackward in vectors: bits of scalar, error within 2.9e-7, ±large', () => {
  const x = sweep()
  const ones = new Float32Array(x.length).fill(1)
  const [scalar, ...others] = arenas.map((arena) => mapVector(arena, (kernel, out, from, n, table) => {
    new Float32Array(arena.memory.buffer, out, n).set(ones)
    kernel.geluBackward(out, out, from, n, table)
  }, x, 'f32'))
  for (const other of others) assert.equal(new Uint32Array(other.buffer), new Uint32Array(scalar.buffer))
  scalar.forEach((slope, i) => {
    if (Math.abs(x[i]) > 13.3) assert.is(slope + 0, x[i] > 0 ? 1 : 0)
    else within(Math.abs(slope - (erfc(-x[i] / Math.SQRT2) / 2 + (x[i] * Math.exp((-x[i] * x[i]) / 2)) / Math.sqrt(2 * Math.PI))), 2.9e-7)
  })
})

test('a NaN among numbers stays one, and alone', () => {
  for (const arena of arenas) {
    for (const where of [0, 5, 8, 10]) {
      const x = Float32Array.from({ length: 11 }, (_, i) => (i === where ? NaN : i - 5))
      const isNaNs = (values: Float32Array) => [...values].map(Number.isNaN)
      const only = [...x].map((_, i) => i === where)
      assert.equal(isNaNs(mapVector(arena, (kernel, out, from, n, table) => kernel.gelu(out, from, n, table), x, 'f32')), only)
      assert.equal(isNaNs(mapVector(arena, (kernel, out, from, n, table) => {
        new Float32Array(arena.memory.buffer, out, n).fill(1)
        kernel.geluBackward(out, out, from, n, table)
      }, x, 'f32')), only)
      const all = mapVector(arena, (kernel, out, from, n, table) => kernel.softmax(out, from, 1, n, table), x, 'f32')
      assert.ok(all.every(Number.isNaN), `${arena.build}: NaN at ${where} of a row`)
    }
  }
})

test('exp in vectors, through softmax: bits of scalar', () => {
  const K = 8, N = 4000
  const x = points(-110, 0, (N * K) / 4).map(fround).slice(0, N * K - K)
  const rows = Float32Array.from([...x, 0, -87.3, -87.4, EXP_MIN, -1000, -LARGEST, -0, TINY])
  const [scalar, ...others] = arenas.map((arena) => mapVector(arena, (kernel, out, from, n, table) => kernel.softmax(out, from, n / K, K, table), rows, 'f32'))
  for (const other of others) assert.equal(new Uint32Array(other.buffer), new Uint32Array(scalar.buffer))
  assert.ok(scalar.every((value) => value >= 0 && value <= 1))
})

test.run()
