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

/** x between two bounds that are not zero; a NaN stays one. One instruction a bound on x64, where min and max take eight. */
@inline function clamp4(x: v128, low: f32, high: f32): v128 {
  return f32x4.pmin(f32x4.pmax(x, f32x4.splat(low)), f32x4.splat(high))
}

@inline export function exp32x4(x: v128): v128 {
  const c = clamp4(x, EXP_MIN, EXP_MAX)
  const biased = f32x4.add(f32x4.mul(c, f32x4.splat(LOG2E)), f32x4.splat(ROUND))
  const k = f32x4.sub(biased, f32x4.splat(ROUND))
  const r = f32x4.sub(f32x4.sub(c, f32x4.mul(k, f32x4.splat(LN2_HIGH))), f32x4.mul(k, f32x4.splat(LN2_LOW)))
  let p = f32x4.splat(E0)
  p = madd(p, r, f32x4.splat(E1))
  p = madd(p, r, f32x4.splat(E2))
  p = madd(p, r, f32x4.splat(E3))
  p = madd(p, r, f32x4.splat(E4))
  p = madd(p, r, f32x4.splat(E5))
  p = f32x4.add(f32x4.add(f32x4.mul(p, f32x4.mul(r, r)), r), f32x4.splat(1))
  const n = i32x4.sub(biased, i32x4.splat(ROUND_BITS))
  const half = i32x4.shr_s(n, 1)
  const bias = i32x4.splat(127)
  p = f32x4.mul(p, i32x4.shl(i32x4.add(half, bias), 23))
  p = f32x4.mul(p, i32x4.shl(i32x4.add(i32x4.sub(n, half), bias), 23))
  return v128.andnot(p, f32x4.lt(x, f32x4.splat(EXP_MIN)))
}

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

@inline export function erf32x4(x: v128): v128 {
  const c = clamp4(x, -4, 4)
  const s = f32x4.mul(c, c)
  let a = f32x4.splat(A0)
  a = madd(a, s, f32x4.splat(A1))
  a = madd(a, s, f32x4.splat(A2))
  a = madd(a, s, f32x4.splat(A3))
  a = madd(a, s, f32x4.splat(A4))
  a = madd(a, s, f32x4.splat(A5))
  a = madd(a, s, f32x4.splat(A6))
  let b = f32x4.splat(B0)
  b = madd(b, s, f32x4.splat(B1))
  b = madd(b, s, f32x4.splat(B2))
  b = madd(b, s, f32x4.splat(B3))
  b = madd(b, s, f32x4.splat(B4))
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
