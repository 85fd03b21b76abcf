/**
 * AdamW (Loshchilov and Hutter, Decoupled Weight Decay Regularization) and the state that it keeps beside parameters.
 * g gradient, b1 and b2 betas, t steps since the moments were reset:
 *
 *   m ← b1·m + (1 − b1)·g      v ← b2·v + (1 − b2)·g²
 *   p ← p·(1 − lr·decay) − lr/(1 − b1^t) · m / (√v/√(1 − b2^t) + eps)
 *
 * Powers of the betas are products, one a step, kept with the moments: a set that is cut, sent or resumed goes on to the bit.
 */
import type { KernelExports } from '../kernel/abi.ts'
import { adamw } from '../kernel/calls.ts'
import type { Layout } from './layout.ts'

/** Hyperparameters (defaults: design, section 7). `gradientNorm`: see `clipGradients`. */
export type Optimizer = { learningRate: number; beta1: number; beta2: number; eps: number; weightDecay: number; gradientNorm: number }
export const ADAMW: Optimizer = { learningRate: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, gradientNorm: Infinity }

/** b1^t and b2^t. */
export type Powers = { power1: number; power2: number }
/** Before the first step. */
export const FRESH: Powers = { power1: 1, power2: 1 }

/** Powers after one more step. */
export function raisePowers({ power1, power2 }: Powers, { beta1, beta2 }: Pick<Optimizer, 'beta1' | 'beta2'>): Powers {
  return { power1: power1 * beta1, power2: power2 * beta2 }
}

/** Addresses of `count` parameters, their moments and gradients. */
export type Trained = { params: number; m: number; v: number; grads: number; count: number }

/** One step: overwrites parameters and moments, and gives the powers after it. */
export function stepAdamw(kernel: KernelExports, optimizer: Optimizer, before: Powers, { params, m, v, grads, count }: Trained): Powers {
  const { learningRate, beta1, beta2, eps, weightDecay } = optimizer
  const { power1, power2 } = raisePowers(before, optimizer)
  adamw(kernel, {
    p: params, m, v, g: grads, n: count, keep: 1 - learningRate * weightDecay, beta1, rest1: 1 - beta1, beta2, rest2: 1 - beta2,
    step: learningRate / (1 - power1), correction: Math.sqrt(1 - power2), eps,
  })
  return { power1, power2 }
}

/** Squares of what a gradient of f32 holds overflow; this factor is exact. */
const SHRINK = 1 / 2 ** 64

/**
 * Scales a gradient [count] at `address` down to a norm of `most`. By block and not over the whole model: a device has its own blocks'
 * gradients alone, and any cut must give the same bits.
 */
function clipGradient(kernel: KernelExports, address: number, count: number, most: number): void {
  let norm = Math.sqrt(kernel.dotRow(address, address, count))
  if (norm === Infinity) {
    kernel.scale(address, address, SHRINK, count)
    norm = Math.sqrt(kernel.dotRow(address, address, count))
    kernel.scale(address, address, most / norm, count)
  } else if (norm > most) kernel.scale(address, address, most / norm, count)
}

/** Clips the gradients at `address`, as a set's layout from its element `first` on has them, block by block; the head is one too. */
export function clipGradients(kernel: KernelExports, { entries, count }: Layout, address: number, first: number, most: number): void {
  if (most === Infinity) return
  const inside = entries.filter(({ offset }) => offset >= first)
  const begins = inside.filter(({ block }, at) => block !== inside[at - 1]?.block).map(({ offset }) => offset)
  begins.forEach((begin, at) => clipGradient(kernel, address + 4 * begin, (begins[at + 1] ?? count) - begin, most))
}

/** An adapter set with its optimiser: parameters and moments [P] and the powers of the betas. */
export type SetState = Powers & { params: Float32Array; m: Float32Array; v: Float32Array }

/** A set as it is after an aggregation: moments zero. */
export function freshState(params: Float32Array): SetState {
  return { params, m: new Float32Array(params.length), v: new Float32Array(params.length), ...FRESH }
}

/** The part [begin, end) of a state's vectors, as copies. */
export function sliceState(state: SetState, begin: number, end = state.params.length): SetState {
  const { params, m, v } = state
  return { ...state, params: params.slice(begin, end), m: m.slice(begin, end), v: v.slice(begin, end) }
}

/** A device's part and the server's as one full state; the betas' powers are equal in both. */
export function joinStates(first: SetState, second: SetState): SetState {
  const join = (a: Float32Array, b: Float32Array) => {
    const joined = new Float32Array(a.length + b.length)
    joined.set(a)
    joined.set(b, a.length)
    return joined
  }
  return { ...first, params: join(first.params, second.params), m: join(first.m, second.m), v: join(first.v, second.v) }
}
