/**
 * LayerNorm (Ba et al. 2016) over rows of C:
 *   out = (x − mean)·rstd·gain + bias,  rstd = 1/√(variance + eps), biased variance.
 * Saved for backward: x itself and stats [N, 2] = mean, rstd.
 */
import { add } from './elementwise'
import { sumRow, squaresRow } from './lanes'

/** out may be x where no backward follows. */
export function layerNorm(out: usize, stats: usize, x: usize, gain: usize, bias: usize, N: i32, C: i32, eps: f32): void {
  const rowBytes = usize(C) << 2
  for (let row = 0; row < N; row++, out += rowBytes, x += rowBytes, stats += 8) {
    const mean = sumRow(x, C) / f32(C)
    const rstd = <f32>1 / sqrt<f32>(squaresRow(x, mean, C) / f32(C) + eps)
    store<f32>(stats, mean)
    store<f32>(stats, rstd, 4)
    let i: usize = 0
    if (ASC_FEATURE_SIMD) {
      const m = f32x4.splat(mean), r = f32x4.splat(rstd)
      for (const stop = usize(C & ~3) << 2; i < stop; i += 16) {
        const normal = f32x4.mul(f32x4.sub(v128.load(x + i), m), r)
        v128.store(out + i, f32x4.add(f32x4.mul(normal, v128.load(gain + i)), v128.load(bias + i)))
      }
    }
    for (; i < rowBytes; i += 4) {
      const normal = (load<f32>(x + i) - mean) * rstd
      store<f32>(out + i, normal * load<f32>(gain + i) + load<f32>(bias + i))
    }
  }
}

/**
 * With n = (x − mean)·rstd and g = dOut·gain:
 *   dx = rstd·(g − mean(g) − n·mean(g·n)),  dGain += Σ dOut·n,  dBias += Σ dOut.
 * dGain and dBias may be 0 (not wanted); dx may be dOut. `row` is scratch for C f32.
 */
export function layerNormBackward(
  dx: usize, dGain: usize, dBias: usize, dOut: usize, stats: usize, x: usize, gain: usize, N: i32, C: i32, row: usize
): void {
  layerNormBackwardParameters(dGain, dBias, dOut, stats, x, N, C, 0, C)
  layerNormBackwardRows(dx, dOut, stats, x, gain, N, C, row)
}

/** dGain and dBias of columns [begin, end), over all rows. */
export function layerNormBackwardParameters(
  dGain: usize, dBias: usize, dOut: usize, stats: usize, x: usize, N: i32, C: i32, begin: i32, end: i32
): void {
  if (!dGain && !dBias) return
  const rowBytes = usize(C) << 2, first = usize(begin) << 2, count = end - begin
  dOut += first
  x += first
  for (let n = 0; n < N; n++, dOut += rowBytes, x += rowBytes, stats += 8) {
    if (dBias) add(dBias + first, dOut, count)
    if (dGain) addNormalProduct(dGain + first, dOut, x, load<f32>(stats), load<f32>(stats, 4), count)
  }
}

/** dx of these rows; it may be dOut. */
export function layerNormBackwardRows(dx: usize, dOut: usize, stats: usize, x: usize, gain: usize, N: i32, C: i32, row: usize): void {
  const rowBytes = usize(C) << 2
  for (let n = 0; n < N; n++, dx += rowBytes, dOut += rowBytes, x += rowBytes, stats += 8) {
    const mean = load<f32>(stats), rstd = load<f32>(stats, 4)
    let g0: f32 = 0, g1: f32 = 0, g2: f32 = 0, g3: f32 = 0
    let h0: f32 = 0, h1: f32 = 0, h2: f32 = 0, h3: f32 = 0
    let i: usize = 0
    if (ASC_FEATURE_SIMD) {
      const m = f32x4.splat(mean), r = f32x4.splat(rstd)
      let g = f32x4.splat(0), h = g
      for (const stop = usize(C & ~3) << 2; i < stop; i += 16) {
        const v = f32x4.mul(v128.load(dOut + i), v128.load(gain + i))
        v128.store(row + i, v)
        g = f32x4.add(g, v)
        h = f32x4.add(h, f32x4.mul(v, f32x4.mul(f32x4.sub(v128.load(x + i), m), r)))
      }
      g0 = f32x4.extract_lane(g, 0); g1 = f32x4.extract_lane(g, 1); g2 = f32x4.extract_lane(g, 2); g3 = f32x4.extract_lane(g, 3)
      h0 = f32x4.extract_lane(h, 0); h1 = f32x4.extract_lane(h, 1); h2 = f32x4.extract_lane(h, 2); h3 = f32x4.extract_lane(h, 3)
    }
    for (; i < rowBytes; i += 4) {
      const v = load<f32>(dOut + i) * load<f32>(gain + i)
      const w = v * ((load<f32>(x + i) - mean) * rstd)
      store<f32>(row + i, v)
      switch (i32(i >> 2) & 3) {
        case 0: { g0 += v; h0 += w; break }
        case 1: { g1 += v; h1 += w; break }
        case 2: { g2 += v; h2 += w; break }
        default: { g3 += v; h3 += w }
      }
    }
    const meanG = ((g0 + g1) + (g2 + g3)) / f32(C)
    const meanH = ((h0 + h1) + (h2 + h3)) / f32(C)
    i = 0
    if (ASC_FEATURE_SIMD) {
      const m = f32x4.splat(mean), r = f32x4.splat(rstd), mg = f32x4.splat(meanG), mh = f32x4.splat(meanH)
      for (const stop = usize(C & ~3) << 2; i < stop; i += 16) {
        const normal = f32x4.mul(f32x4.sub(v128.load(x + i), m), r)
        const v = f32x4.sub(f32x4.sub(v128.load(row + i), mg), f32x4.mul(normal, mh))
        v128.store(dx + i, f32x4.mul(r, v))
      }
    }
    for (; i < rowBytes; i += 4) {
      const normal = (load<f32>(x + i) - mean) * rstd
      store<f32>(dx + i, rstd * ((load<f32>(row + i) - meanG) - normal * meanH))
    }
  }
}

function addNormalProduct(dGain: usize, dOut: usize, x: usize, mean: f32, rstd: f32, C: i32): void {
  for (let i: usize = 0, rowBytes = usize(C) << 2; i < rowBytes; i += 4) {
    const normal = (load<f32>(x + i) - mean) * rstd
    store<f32>(dGain + i, load<f32>(dGain + i) + load<f32>(dOut + i) * normal)
  }
}
