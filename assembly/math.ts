/**
 * The kernel's own exp, erf, tanh and log: IEEE add, mul, div, sqrt and bit
 * moves alone, so that every host gives the same bits. Each vector form does in
 * four lanes exactly what the scalar form beside it does.
 *
 * Bounds, measured against float64 over each function's range (test/kernel/math.test.ts):
 * exp32 1 ULP, tanh32 1.4 ULP, exp64 and log64 0.9 ULP, erf32 4.7e-7 absolute
 * (near ±4 it overshoots ±1 by up to 3.6e-7).
 */

import { madd } from './madd'

const EXP_MIN: f32 = -87.33654
const EXP_MAX: f32 = 88.72283
const LOG2E: f32 = 1.44269504
// ln 2 in two parts, the first short enough for k·LN2_HIGH to be exact.
const LN2_HIGH: f32 = 0.693359375
const LN2_LOW: f32 = -2.12194440e-4
// Adding 1.5·2²³ leaves the nearest integer in the low bits of the mantissa.
const ROUND: f32 = 12582912.0
const ROUND_BITS: i32 = 0x4B400000

// Minimax fit of (eʳ − 1 − r) / r² on |r| ≤ ln2 / 2 (Cephes expf).
const E0: f32 = 1.9875691500e-4
const E1: f32 = 1.3981999507e-3
const E2: f32 = 8.3334519073e-3
const E3: f32 = 4.1665795894e-2
const E4: f32 = 1.6666665459e-1
const E5: f32 = 5.0000001201e-1

// Rational fit x·A(x²)/B(x²) on |x| ≤ 4 (the coefficients of Eigen's erf for f32).
const A0: f32 = -2.72614225801306e-10
const A1: f32 = 2.77068142495902e-8
const A2: f32 = -2.10102402082508e-6
const A3: f32 = -5.69250639462346e-5
const A4: f32 = -7.34990630326855e-4
const A5: f32 = -2.95459980854025e-3
const A6: f32 = -1.60960333262415e-2
const B0: f32 = -1.45660718464996e-5
const B1: f32 = -2.13374055278905e-4
const B2: f32 = -1.68282697438203e-3
const B3: f32 = -7.37332916720468e-3
const B4: f32 = -1.42647390514189e-2

export const SQRT_HALF: f32 = 0.70710678
export const INV_SQRT_TWO_PI: f32 = 0.39894228

/**
 * The vector forms read their constants from a table in the caller's scratch: written in the code, V8 makes each anew
 * in every round of a loop, three instructions instead of one. Bounds are applied by pmin and pmax, which keep a NaN in
 * their first operand and take one instruction on x64, where min and max take eight.
 */
const ONE_AT: i32 = 0
const HALF_AT: i32 = 4
const EXP_MIN_AT: i32 = 8
const EXP_MAX_AT: i32 = 12
const LOG2E_AT: i32 = 16
const LN2_HIGH_AT: i32 = 20
const LN2_LOW_AT: i32 = 24
const ROUND_AT: i32 = 28
const BIAS_AT: i32 = 32
const E_AT: i32 = 36
const ERF_MIN_AT: i32 = 60
const ERF_MAX_AT: i32 = 64
const A_AT: i32 = 68
const B_AT: i32 = 96
const SQRT_HALF_AT: i32 = 116
const INV_SQRT_TWO_PI_AT: i32 = 120
const MINUS_HALF_AT: i32 = 124
const TABLE_BYTES: i32 = 128

/** Bytes of the table. */
export function tableScratchBytes(): i32 {
  return TABLE_BYTES
}

/** Fills the table. */
export function writeTable(table: usize): void {
  if (!ASC_FEATURE_SIMD) return
  store<f32>(table, 1, ONE_AT); store<f32>(table, 0.5, HALF_AT)
  store<f32>(table, EXP_MIN, EXP_MIN_AT); store<f32>(table, EXP_MAX, EXP_MAX_AT); store<f32>(table, LOG2E, LOG2E_AT)
  store<f32>(table, LN2_HIGH, LN2_HIGH_AT); store<f32>(table, LN2_LOW, LN2_LOW_AT)
  store<f32>(table, ROUND, ROUND_AT); store<i32>(table, 127, BIAS_AT)
  store<f32>(table, E0, E_AT); store<f32>(table, E1, E_AT + 4); store<f32>(table, E2, E_AT + 8)
  store<f32>(table, E3, E_AT + 12); store<f32>(table, E4, E_AT + 16); store<f32>(table, E5, E_AT + 20)
  store<f32>(table, -4, ERF_MIN_AT); store<f32>(table, 4, ERF_MAX_AT)
  store<f32>(table, A0, A_AT); store<f32>(table, A1, A_AT + 4); store<f32>(table, A2, A_AT + 8); store<f32>(table, A3, A_AT + 12)
  store<f32>(table, A4, A_AT + 16); store<f32>(table, A5, A_AT + 20); store<f32>(table, A6, A_AT + 24)
  store<f32>(table, B0, B_AT); store<f32>(table, B1, B_AT + 4); store<f32>(table, B2, B_AT + 8)
  store<f32>(table, B3, B_AT + 12); store<f32>(table, B4, B_AT + 16)
  store<f32>(table, SQRT_HALF, SQRT_HALF_AT); store<f32>(table, INV_SQRT_TWO_PI, INV_SQRT_TWO_PI_AT); store<f32>(table, -0.5, MINUS_HALF_AT)
}

/** Φ(x), the normal distribution's, in four lanes. */
@inline export function normal32x4(x: v128, table: usize): v128 {
  const erf = erf32x4(f32x4.mul(x, v128.load32_splat(table, SQRT_HALF_AT)), table)
  return f32x4.mul(v128.load32_splat(table, HALF_AT), f32x4.add(v128.load32_splat(table, ONE_AT), erf))
}

/** φ(x), its density, in four lanes. */
@inline export function density32x4(x: v128, table: usize): v128 {
  const square = f32x4.mul(f32x4.mul(x, x), v128.load32_splat(table, MINUS_HALF_AT))
  return f32x4.mul(v128.load32_splat(table, INV_SQRT_TWO_PI_AT), exp32x4(square, table))
}

/** eˣ; below −87.34 zero, above 88.72 the value at 88.72. */
@inline export function exp32(x: f32): f32 {
  const c = min<f32>(max<f32>(x, EXP_MIN), EXP_MAX)
  const biased = c * LOG2E + ROUND
  const k = biased - ROUND
  const r = c - k * LN2_HIGH - k * LN2_LOW
  let p = E0
  p = p * r + E1
  p = p * r + E2
  p = p * r + E3
  p = p * r + E4
  p = p * r + E5
  p = p * (r * r) + r + <f32>1
  // 2ᵏ in two factors: k reaches 128, one more than an exponent holds.
  const n = reinterpret<i32>(biased) - ROUND_BITS
  const half = n >> 1
  p = p * reinterpret<f32>((half + 127) << 23) * reinterpret<f32>((n - half + 127) << 23)
  return x < EXP_MIN ? 0 : p
}

@inline export function exp32x4(x: v128, table: usize): v128 {
  const c = f32x4.pmin(f32x4.pmax(x, v128.load32_splat(table, EXP_MIN_AT)), v128.load32_splat(table, EXP_MAX_AT))
  const biased = f32x4.add(f32x4.mul(c, v128.load32_splat(table, LOG2E_AT)), v128.load32_splat(table, ROUND_AT))
  const k = f32x4.sub(biased, v128.load32_splat(table, ROUND_AT))
  const r = f32x4.sub(f32x4.sub(c, f32x4.mul(k, v128.load32_splat(table, LN2_HIGH_AT))), f32x4.mul(k, v128.load32_splat(table, LN2_LOW_AT)))
  let p = v128.load32_splat(table, E_AT)
  p = madd(p, r, v128.load32_splat(table, E_AT + 4))
  p = madd(p, r, v128.load32_splat(table, E_AT + 8))
  p = madd(p, r, v128.load32_splat(table, E_AT + 12))
  p = madd(p, r, v128.load32_splat(table, E_AT + 16))
  p = madd(p, r, v128.load32_splat(table, E_AT + 20))
  p = f32x4.add(f32x4.add(f32x4.mul(p, f32x4.mul(r, r)), r), v128.load32_splat(table, ONE_AT))
  // ROUND's own bits are those that its addition leaves above the integer.
  const n = i32x4.sub(biased, v128.load32_splat(table, ROUND_AT))
  const half = i32x4.shr_s(n, 1)
  const bias = v128.load32_splat(table, BIAS_AT)
  p = f32x4.mul(p, i32x4.shl(i32x4.add(half, bias), 23))
  p = f32x4.mul(p, i32x4.shl(i32x4.add(i32x4.sub(n, half), bias), 23))
  return v128.andnot(p, f32x4.lt(x, v128.load32_splat(table, EXP_MIN_AT)))
}

/** erf(x) = 2/√π ∫₀ˣ exp(−t²) dt. */
@inline export function erf32(x: f32): f32 {
  const c = min<f32>(max<f32>(x, -4), 4)
  const s = c * c
  let a = A0
  a = a * s + A1
  a = a * s + A2
  a = a * s + A3
  a = a * s + A4
  a = a * s + A5
  a = a * s + A6
  let b = B0
  b = b * s + B1
  b = b * s + B2
  b = b * s + B3
  b = b * s + B4
  return c * a / b
}

@inline export function erf32x4(x: v128, table: usize): v128 {
  const c = f32x4.pmin(f32x4.pmax(x, v128.load32_splat(table, ERF_MIN_AT)), v128.load32_splat(table, ERF_MAX_AT))
  const s = f32x4.mul(c, c)
  let a = v128.load32_splat(table, A_AT)
  a = madd(a, s, v128.load32_splat(table, A_AT + 4))
  a = madd(a, s, v128.load32_splat(table, A_AT + 8))
  a = madd(a, s, v128.load32_splat(table, A_AT + 12))
  a = madd(a, s, v128.load32_splat(table, A_AT + 16))
  a = madd(a, s, v128.load32_splat(table, A_AT + 20))
  a = madd(a, s, v128.load32_splat(table, A_AT + 24))
  let b = v128.load32_splat(table, B_AT)
  b = madd(b, s, v128.load32_splat(table, B_AT + 4))
  b = madd(b, s, v128.load32_splat(table, B_AT + 8))
  b = madd(b, s, v128.load32_splat(table, B_AT + 12))
  b = madd(b, s, v128.load32_splat(table, B_AT + 16))
  return f32x4.div(f32x4.mul(c, a), b)
}

/** tanh(x); a polynomial below 0.625, where 1 − 2/(e²ˣ + 1) would cancel (Cephes tanhf). */
export function tanh32(x: f32): f32 {
  const z = abs<f32>(x)
  if (z < <f32>0.625) {
    const s = x * x
    let p: f32 = -5.70498872745e-3
    p = p * s + <f32>2.06390887954e-2
    p = p * s - <f32>5.37397155531e-2
    p = p * s + <f32>1.33314422036e-1
    p = p * s - <f32>3.33332819422e-1
    return p * s * x + x
  }
  const t = <f32>1 - <f32>2 / (exp32(z + z) + <f32>1)
  return x < 0 ? -t : t
}

const LN2_HIGH64: f64 = 6.93147180369123816490e-01
const LN2_LOW64: f64 = 1.90821492927058770002e-10

/** Natural logarithm of a positive normal f64 (the reduction and series of fdlibm's e_log). */
export function log64(x: f64): f64 {
  const bits = reinterpret<i64>(x)
  let k = <i32>(bits >> 52) - 1023
  let m = reinterpret<f64>((bits & 0x000FFFFFFFFFFFFF) | 0x3FF0000000000000)
  if (m > 1.4142135623730951) {
    m *= 0.5
    k += 1
  }
  const f = m - 1
  const s = f / (2 + f)
  const z = s * s
  let r: f64 = 1.479819860511658591e-01
  r = r * z + 1.531383769920937332e-01
  r = r * z + 1.818357216161805012e-01
  r = r * z + 2.222219843214978396e-01
  r = r * z + 2.857142874366239149e-01
  r = r * z + 3.999999999940941908e-01
  r = r * z + 6.666666666666735130e-01
  r = r * z
  const h = 0.5 * f * f
  const e = <f64>k
  return e * LN2_HIGH64 - ((h - (s * (h + r) + e * LN2_LOW64)) - f)
}

/** eˣ for |x| ≤ 700 (fdlibm's e_exp). */
export function exp64(x: f64): f64 {
  const k = nearest(x * 1.44269504088896338700)
  const high = x - k * LN2_HIGH64
  const low = k * LN2_LOW64
  const r = high - low
  const t = r * r
  let c: f64 = 4.13813679705723846039e-08
  c = c * t - 1.65339022054652515390e-06
  c = c * t + 6.61375632143793436117e-05
  c = c * t - 2.77777777770155933842e-03
  c = c * t + 1.66666666666666019037e-01
  c = r - t * c
  const y = 1 - ((low - (r * c) / (2 - c)) - high)
  const n = <i64>k
  const half = n >> 1
  return y * reinterpret<f64>((half + 1023) << 52) * reinterpret<f64>((n - half + 1023) << 52)
}
