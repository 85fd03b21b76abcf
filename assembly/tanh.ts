/** tanh, as in BERT's pooler: out = tanh(x), dx = dOut·(1 − out²). Saved: out. */
import { tanh32 } from './math'

/** out [n] = tanh(x); out may be x. */
export function tanh(out: usize, x: usize, n: i32): void {
  const end = x + (usize(n) << 2)
  for (; x < end; x += 4, out += 4) store<f32>(out, tanh32(load<f32>(x)))
}

/** dx [n] = dOut·(1 − out²); dx may be dOut. */
export function tanhBackward(dx: usize, dOut: usize, out: usize, n: i32): void {
  const end = out + (usize(n) << 2)
  for (; out < end; out += 4, dOut += 4, dx += 4) {
    const t = load<f32>(out)
    store<f32>(dx, load<f32>(dOut) * (<f32>1 - t * t))
  }
}
