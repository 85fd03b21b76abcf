/**
 * AdamW (Loshchilov & Hutter 2019) with PyTorch's order of operations:
 *   p −= lr·decay·p;  m = β₁m + (1−β₁)g;  v = β₂v + (1−β₂)g²;  p −= step·m / (√v/c + eps)
 * with step = lr / (1 − β₁ᵗ) and c = √(1 − β₂ᵗ), which the caller computes in f64.
 */
export function adamw(
  p: usize, m: usize, v: usize, g: usize, n: i32,
  keep: f32 /* 1 − lr·decay */, beta1: f32, rest1: f32 /* 1 − β₁ */, beta2: f32, rest2: f32 /* 1 − β₂ */,
  step: f32, correction: f32 /* c */, eps: f32
): void {
  const end = p + (usize(n) << 2)
  if (ASC_FEATURE_SIMD) {
    const b1 = f32x4.splat(beta1), r1 = f32x4.splat(rest1), b2 = f32x4.splat(beta2), r2 = f32x4.splat(rest2)
    const k = f32x4.splat(keep), s = f32x4.splat(step), c = f32x4.splat(correction), e = f32x4.splat(eps)
    for (const stop = p + (usize(n & ~3) << 2); p < stop; p += 16, m += 16, v += 16, g += 16) {
      const gradient = v128.load(g)
      const mean = f32x4.add(f32x4.mul(b1, v128.load(m)), f32x4.mul(r1, gradient))
      const square = f32x4.add(f32x4.mul(b2, v128.load(v)), f32x4.mul(r2, f32x4.mul(gradient, gradient)))
      v128.store(m, mean)
      v128.store(v, square)
      const denominator = f32x4.add(f32x4.div(f32x4.sqrt(square), c), e)
      v128.store(p, f32x4.sub(f32x4.mul(k, v128.load(p)), f32x4.mul(s, f32x4.div(mean, denominator))))
    }
  }
  for (; p < end; p += 4, m += 4, v += 4, g += 4) {
    const gradient = load<f32>(g)
    const mean = beta1 * load<f32>(m) + rest1 * gradient
    const square = beta2 * load<f32>(v) + rest2 * (gradient * gradient)
    store<f32>(m, mean)
    store<f32>(v, square)
    const denominator = sqrt<f32>(square) / correction + eps
    store<f32>(p, keep * load<f32>(p) - step * (mean / denominator))
  }
}
