/**
 * Exact GELU (Hendrycks & Gimpel 2016): gelu(x) = x·Φ(x), Φ(x) = (1 + erf(x/√2)) / 2.
 * Saved for backward: x.
 */
import { erf32, erf32x4, exp32, exp32x4 } from './math'

const SQRT_HALF: f32 = 0.70710678
const INV_SQRT_TWO_PI: f32 = 0.39894228

/** Φ in four lanes. */
@inline function normal4(v: v128): v128 {
  return f32x4.mul(f32x4.splat(0.5), f32x4.add(f32x4.splat(1), erf32x4(f32x4.mul(v, f32x4.splat(SQRT_HALF)))))
}

/** φ in four lanes. */
@inline function density4(v: v128): v128 {
  return f32x4.mul(f32x4.splat(INV_SQRT_TWO_PI), exp32x4(f32x4.mul(f32x4.mul(v, v), f32x4.splat(-0.5))))
}

/** out [n] = gelu(x). */
export function gelu(out: usize, x: usize, n: i32): void {
  const end = x + (usize(n) << 2)
  if (ASC_FEATURE_SIMD) {
    // Two vectors at a time: a compiler that pairs them into one of 256 bits needs them side by side.
    for (const stop = x + (usize(n & ~7) << 2); x < stop; x += 32, out += 32) {
      const v = v128.load(x), w = v128.load(x, 16)
      const phi = normal4(v), psi = normal4(w)
      v128.store(out, f32x4.mul(v, phi))
      v128.store(out, f32x4.mul(w, psi), 16)
    }
  }
  for (; x < end; x += 4, out += 4) {
    const v = load<f32>(x)
    store<f32>(out, v * (<f32>0.5 * (<f32>1 + erf32(v * SQRT_HALF))))
  }
}

/** dx [n] = dOut·(Φ(x) + x·φ(x)), φ(x) = exp(−x²/2) / √(2π); dx may be dOut. */
export function geluBackward(dx: usize, dOut: usize, x: usize, n: i32): void {
  const end = x + (usize(n) << 2)
  if (ASC_FEATURE_SIMD) {
    for (const stop = x + (usize(n & ~7) << 2); x < stop; x += 32, dOut += 32, dx += 32) {
      const v = v128.load(x), w = v128.load(x, 16)
      const slope = f32x4.add(normal4(v), f32x4.mul(v, density4(v)))
      const slope1 = f32x4.add(normal4(w), f32x4.mul(w, density4(w)))
      const d = v128.load(dOut), d1 = v128.load(dOut, 16)
      v128.store(dx, f32x4.mul(d, slope))
      v128.store(dx, f32x4.mul(d1, slope1), 16)
    }
  }
  for (; x < end; x += 4, dOut += 4, dx += 4) {
    const v = load<f32>(x)
    const phi = <f32>0.5 * (<f32>1 + erf32(v * SQRT_HALF))
    const density = INV_SQRT_TWO_PI * exp32(v * v * <f32>-0.5)
    store<f32>(dx, load<f32>(dOut) * (phi + v * density))
  }
}
