/**
 * Softmax attention over ragged sequences (Vaswani et al. 2017, section 3.2.1),
 * one sequence and head at a time:
 *   P = softmax(q·kᵀ / √D),  out = P·v
 * q, k, v, out are [N, C] with C = H·D; sequence s owns rows offsets[s] … offsets[s+1].
 * Nothing but q, k, v is saved: backward computes P again, so that no score matrix
 * outlives the head it belongs to.
 */
import { product, productScratchBytes } from './matmul'
import { softmaxRow } from './softmax'
import { dotRow } from './lanes'
import { writeTable } from './math'
import { nextUnit } from './team'

/** Scratch: two [T, T] matrices (T the longest sequence), one [T, D], and a product's own. */
export function attentionScratchBytes(T: i32, D: i32): i32 {
  return 8 * T * T + 4 * T * D + productScratchBytes(max(T, D))
}

@inline function headScale(D: i32): f32 {
  return <f32>1 / sqrt<f32>(f32(D))
}

/** P [T, T] of one head of one sequence. */
function probabilities(P: usize, q: usize, k: usize, T: i32, C: i32, D: i32, scratch: usize): void {
  product(P, T, q, C, 1, k, 1, C, T, T, D, 0, scratch)
  const rowBytes = usize(T) << 2
  writeTable(scratch)
  for (let row = 0; row < T; row++, P += rowBytes) softmaxRow(P, P, headScale(D), T, scratch)
}

export function attention(
  out: usize, q: usize, k: usize, v: usize, offsets: usize, S: i32, H: i32, D: i32, T: i32, scratch: usize
): void {
  attentionTeam(out, q, k, v, offsets, S, H, D, T, false, scratch)
}

/** With `team`, each of a team's threads takes head after head, between two barriers. */
export function attentionTeam(
  out: usize, q: usize, k: usize, v: usize, offsets: usize, S: i32, H: i32, D: i32, T: i32, team: bool, scratch: usize
): void {
  const C = H * D
  const P = scratch
  const rest = scratch + (usize(T * T) << 2)
  for (let head = nextUnit(team, -1); head < S * H; head = nextUnit(team, head)) {
    const bounds = offsets + (usize(head / H) << 2)
    const first = load<i32>(bounds), rows = load<i32>(bounds, 4) - first
    const at = usize(first * C + head % H * D) << 2
    probabilities(P, q + at, k + at, rows, C, D, rest)
    product(out + at, C, P, rows, 1, v + at, C, 1, rows, D, rows, 0, rest)
  }
}

/**
 * With dP = dOut·vᵀ and dS = P∘(dP − rowsum(dP∘P)):
 *   dv = Pᵀ·dOut,  dq = dS·k / √D,  dk = dSᵀ·q / √D.
 * All three are overwritten; each may be its input: dq q, dk k, dv v.
 */
export function attentionBackward(
  dq: usize, dk: usize, dv: usize, dOut: usize, q: usize, k: usize, v: usize,
  offsets: usize, S: i32, H: i32, D: i32, T: i32, scratch: usize
): void {
  attentionBackwardTeam(dq, dk, dv, dOut, q, k, v, offsets, S, H, D, T, false, scratch)
}

/** With `team` as attentionTeam. */
export function attentionBackwardTeam(
  dq: usize, dk: usize, dv: usize, dOut: usize, q: usize, k: usize, v: usize,
  offsets: usize, S: i32, H: i32, D: i32, T: i32, team: bool, scratch: usize
): void {
  const C = H * D
  const P = scratch
  const dP = P + (usize(T * T) << 2)
  const own = dP + (usize(T * T) << 2)
  const rest = own + (usize(T * D) << 2)
  for (let head = nextUnit(team, -1); head < S * H; head = nextUnit(team, head)) {
    const bounds = offsets + (usize(head / H) << 2)
    const first = load<i32>(bounds), rows = load<i32>(bounds, 4) - first
    const at = usize(first * C + head % H * D) << 2
    probabilities(P, q + at, k + at, rows, C, D, rest)
    product(dP, rows, dOut + at, C, 1, v + at, 1, C, rows, rows, D, 0, rest)
    product(dv + at, C, P, 1, rows, dOut + at, C, 1, rows, D, rows, 0, rest)
    scoresBackward(dP, P, rows, headScale(D))
    // dq waits aside, for dk still reads q, in whose place it may go.
    product(own, D, dP, rows, 1, k + at, C, 1, rows, D, rows, 0, rest)
    product(dk + at, C, dP, 1, rows, q + at, C, 1, rows, D, rows, 0, rest)
    copyRows(dq + at, usize(C) << 2, own, usize(D) << 2, rows)
  }
}

function copyRows(out: usize, outRow: usize, x: usize, rowBytes: usize, rows: i32): void {
  for (let row = 0; row < rows; row++, out += outRow, x += rowBytes) memory.copy(out, x, rowBytes)
}

/** dP [T, T] becomes factor·P∘(dP − rowsum(dP∘P)). */
function scoresBackward(dP: usize, P: usize, T: i32, factor: f32): void {
  const rowBytes = usize(T) << 2
  for (let row = 0; row < T; row++, dP += rowBytes, P += rowBytes) {
    const dot = dotRow(dP, P, T)
    let i: usize = 0
    if (ASC_FEATURE_SIMD) {
      const d = f32x4.splat(dot), f = f32x4.splat(factor)
      for (const stop = usize(T & ~3) << 2; i < stop; i += 16) {
        v128.store(dP + i, f32x4.mul(f, f32x4.mul(v128.load(P + i), f32x4.sub(v128.load(dP + i), d))))
      }
    }
    for (; i < rowBytes; i += 4) store<f32>(dP + i, factor * (load<f32>(P + i) * (load<f32>(dP + i) - dot)))
  }
}
