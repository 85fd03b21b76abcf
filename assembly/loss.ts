/**
 * Mean cross-entropy over N rows of K logits:
 *   loss = (1/N) Σ −log softmax(logits)[label],  dLogits = (softmax − onehot) / N.
 * losses [N] takes each row's own loss; their mean is returned, summed in f64 in row order.
 */
import { exp32, log64 } from './math'
import { maxRow, sumRow } from './lanes'

/** dLogits [N, K] may be logits, or 0 when no gradient is wanted; then logits are overwritten all the same. */
export function crossEntropy(losses: usize, dLogits: usize, logits: usize, labels: usize, N: i32, K: i32): f64 {
  const rowBytes = usize(K) << 2
  const wanted = dLogits != 0
  const share = <f32>1 / f32(N)
  let sum: f64 = 0
  for (let row = 0; row < N; row++, logits += rowBytes, labels += 4, losses += 4) {
    const largest = maxRow(logits, K)
    const label = usize(load<u32>(labels)) << 2
    const target = load<f32>(logits + label) - largest
    const out = wanted ? dLogits : logits
    for (let i: usize = 0; i < rowBytes; i += 4) store<f32>(out + i, exp32(load<f32>(logits + i) - largest))
    const total = sumRow(out, K)
    const loss = log64(f64(total)) - f64(target)
    store<f32>(losses, f32(loss))
    sum += loss
    if (wanted) {
      const factor = share / total
      for (let i: usize = 0; i < rowBytes; i += 4) store<f32>(out + i, load<f32>(out + i) * factor)
      store<f32>(out + label, load<f32>(out + label) - share)
      dLogits += rowBytes
    }
  }
  return N > 0 ? sum / f64(N) : 0
}
