/**
 * The learning rate over a run: warm-up, then constant or down to nothing. A factor on the contract's rate, from a step's number
 * alone, so that both halves of a model take the same step whatever the cut, and a run goes on to the bit.
 */

export const RATE_SCHEDULES = ['constant', 'linear', 'cosine'] as const
export type RateSchedule = (typeof RATE_SCHEDULES)[number]

/** A rate over `steps`, of which `warmup` raise it; `constant` and 0 unless given. */
export type Rate = { schedule?: RateSchedule; warmup?: number; steps: number }

/** cos(π·x) for x in [0, 1], to 1e-15: sums and products alone, which no host computes otherwise. */
export function cosPi(x: number): number {
  if (x > 0.5) return -cosPi(1 - x)
  const square = Math.PI * Math.PI * x * x
  let term = 1, sum = 1
  for (let n = 2; n <= 24; n += 2) {
    term *= -square / (n * (n - 1))
    sum += term
  }
  return sum
}

/**
 * The factor of step `step` = 0 … steps − 1: (step + 1)/(warmup + 1) while it warms up; then with r = (steps − step)/(steps − warmup),
 * which falls from 1 to nothing, 1, r or (1 − cos πr)/2.
 */
export function rateAt({ schedule = 'constant', warmup = 0, steps }: Rate, step: number): number {
  if (step < warmup) return (step + 1) / (warmup + 1)
  if (schedule === 'constant') return 1
  const left = (steps - step) / (steps - warmup)
  return schedule === 'linear' ? left : (1 - cosPi(left)) / 2
}
