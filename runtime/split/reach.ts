/**
 * How far honest steps can take a set, whatever data a device has: what goes beyond is no result of training and is refused
 * by name, so that one absurd value costs nobody but its sender. Nothing here is estimated: the bounds follow from AdamW.
 *
 * g_i gradients since the moments were zero, b1 and b2 betas, t steps. By Cauchy and Schwarz
 *
 *   |m_t| = (1 − b1)·|Σ b1^(t−i)·g_i| ≤ (1 − b1)·√(Σ (b1²/b2)^(t−i)) · √(v_t/(1 − b2))
 *
 * so that a parameter's t-th step is at most lr·c_t with c_t = √(1 − b2^t)/(1 − b1^t) · (that factor): 1 for the first step,
 * 7.3 at the end of time. Weight decay adds lr·decay of the parameter itself.
 */
import { refuse } from '../error.ts'
import type { Layout } from '../model/layout.ts'
import type { Optimizer, SetState } from '../model/optimizer.ts'
import { FRESH, raisePowers } from '../model/optimizer.ts'

/** |parameter − where it began| is at most free + share·|where it began|. */
export type Reach = { steps: number; free: number; share: number }

/** For the roundings of the formula's own parts, of which each is below 1e-6. */
const SLACK = 1.01
/** Two roundings of the parameter itself, a step. */
const ROUNDING = 1.2e-7
/** Squares of gradients below 1e-19 lose their bits, and moments with them. */
const UNDERFLOW = 1e-18

/** |m| ≤ this · √v after `steps` steps from zero moments. */
function momentsRatio({ beta1, beta2 }: Optimizer, steps: number): number {
  const ratio = (beta1 * beta1) / beta2
  let sum = 0, term = 1
  for (let step = 0; step < steps && term > 1e-9; step++, term *= ratio) sum += term
  return (1 - beta1) * Math.sqrt(sum / (1 - beta2))
}

export function reachOf(optimizer: Optimizer, steps: number): Reach {
  const { learningRate, weightDecay } = optimizer
  const shrink = learningRate * weightDecay
  let powers = FRESH, free = 0, share = 0
  for (let step = 1; step <= steps; step++) {
    powers = raisePowers(powers, optimizer)
    const stepMax = (learningRate * momentsRatio(optimizer, step) * Math.sqrt(1 - powers.power2)) / (1 - powers.power1)
    free = free * (1 + shrink) + SLACK * stepMax
    share = share * (1 + shrink) + SLACK * shrink + ROUNDING
  }
  return { steps, free, share }
}

function entryAt({ entries }: Layout, index: number): string {
  return entries.find(({ offset, count }) => index < offset + count)!.name
}

/** Refuses `adapter-reach` by the first parameter that is further from `base` than the steps can have taken it. `base` may be longer. */
export function checkReach(layout: Layout, params: Float32Array, base: Float32Array, { steps, free, share }: Reach): void {
  for (let i = 0; i < params.length; i++) {
    const limit = free + share * Math.abs(base[i])
    // Written so that no comparison with NaN passes.
    if (Math.abs(params[i] - base[i]) <= limit) continue
    refuse('adapter-reach', entryAt(layout, i), `at most ${limit} from ${base[i]} after ${steps} steps`, params[i])
  }
}

/**
 * Refuses `state-power` and `state-moments` for an optimiser's state that no gradients can have led to in `steps` steps; with
 * `atMost`, in fewer either: a device that goes on beside a shared set has its own moments of an older step.
 */
export function checkMoments(layout: Layout, { m, v, power1, power2 }: SetState, optimizer: Optimizer, steps: number, atMost: boolean): void {
  let powers = FRESH
  const isTold = () => power1 === powers.power1 && power2 === powers.power2
  for (let step = 0; step < steps && !(atMost && isTold()); step++) powers = raisePowers(powers, optimizer)
  if (!isTold()) refuse('state-power', 'state.power', `the betas' powers after ${steps} steps`, `${power1} and ${power2}`)
  const ratio = SLACK * momentsRatio(optimizer, steps)
  for (let i = 0; i < m.length; i++) {
    if (v[i] >= 0 && Math.abs(m[i]) <= ratio * Math.sqrt(v[i]) + UNDERFLOW) continue
    refuse('state-moments', `m.${entryAt(layout, i)}`, `at most ${ratio} times the root of v, which is ${v[i]}`, m[i])
  }
}
