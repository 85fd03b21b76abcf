/**
 * FedAvg (McMahan et al. 2017): out = Σ weight·x / Σ weight, summed in f64 in the
 * order of the calls. One participant gives back its own bits: weight·x is exact
 * in f64 for f32 x and weights below 2²⁹. (−0 needs a sum that starts at −0.)
 */

/** sum [n] f64 += weight·x [n] f32. */
export function averageAdd(sum: usize, x: usize, weight: f64, n: i32): void {
  for (const end = x + (usize(n) << 2); x < end; x += 4, sum += 8) {
    store<f64>(sum, load<f64>(sum) + weight * f64(load<f32>(x)))
  }
}

/** out [n] f32 = sum [n] f64 / total. */
export function averageFinish(out: usize, sum: usize, total: f64, n: i32): void {
  for (const end = out + (usize(n) << 2); out < end; out += 4, sum += 8) store<f32>(out, f32(load<f64>(sum) / total))
}
