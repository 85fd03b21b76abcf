/**
 * Exact GELU (Hendrycks & Gimpel 2016): gelu(x) = x·Φ(x), Φ(x) = (1 + erf(x/√2)) / 2.
 * Saved for backward: x.
 */
import { INV_SQRT_TWO_PI, SQRT_HALF, density32x4, erf32, exp32, normal32x4, writeTable } from './math'

/** out [n] = gelu(x); scratch: tableScratchBytes. */
export function gelu(out: usize, x: usize, n: i32, scratch: usize): void {
  writeTable(scratch)
  const end = x + (usize(n) << 2)
  if (ASC_FEATURE_SIMD) {
    // Two vectors at a time: a compiler that pairs them into one of 256 bits needs them side by side.
    for (const stop = x + (usize(n & ~7) << 2); x < stop; x += 32, out += 32) {
      const v = v128.load(x), w = v128.load(x, 16)
      const phi = normal32x4(v, scratch), psi = normal32x4(w, scratch)
      v128.store(out, f32x4.mul(v, phi))
      v128.store(out, f32x4.mul(w, psi), 16)
    }
  }
  for (; x < end; x += 4, out += 4) {
    const v = load<f32>(x)
    store<f32>(out, v * (<f32>0.5 * (<f32>1 + erf32(v * SQRT_HALF))))
  }
}

/** dx [n] = dOut·(Φ(x) + x·φ(x)), φ(x) = exp(−x²/2) / √(2π); dx may be dOut; scratch: tableScratchBytes. */
export function geluBackward(dx: usize, dOut: usize, x: usize, n: i32, scratch: usize): void {
  writeTable(scratch)
  const end = x + (usize(n) << 2)
  if (ASC_FEATURE_SIMD) {
    for (const stop = x + (usize(n & ~7) << 2); x < stop; x += 32, dOut += 32, dx += 32) {
      const v = v128.load(x), w = v128.load(x, 16)
      const slope = f32x4.add(normal32x4(v, scratch), f32x4.mul(v, density32x4(v, scratch)))
      const slope1 = f32x4.add(normal32x4(w, scratch), f32x4.mul(w, density32x4(w, scratch)))
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
