/**
 * What the processor can do at most with this build's arithmetic: the instruction mix of
 * the product's inner tiles (`matmul.tile.ts`) with every operand in a register, no memory.
 * At 128 bits: a host that pairs vectors into wider ones (V8 14) may pass it.
 *
 *   per step   p = p·one of seven accumulators, s = s + one of seven others; fused: s = s·one + one of fourteen
 *
 * Seven of each hide a latency of three cycles on two pipes each, and with `one` take the 15 vector registers
 * that V8 has on x64. `one` is a value that the outer loop carries: computed before the loop, V8 moves it inside (37 → 53 GFLOP/s).
 *
 * One iteration is 3584 flops in every build: 64 steps of 7 × 4 lanes × 2, scalar four of 7 × 2 in each, fused 32 of 14 × 4 × 2.
 */

const STEPS: i32 = 64
const FUSED_STEPS: i32 = 32

/** Runs `iterations` of 3584 flops. Returns the additions made, 1792 in each (exact below 2²⁴), which hang on every value. */
export function peak(iterations: i32): f32 {
  if (ASC_FEATURE_RELAXED_SIMD) return peakFused(iterations)
  if (ASC_FEATURE_SIMD) return peakVector(iterations)
  return peakScalar(iterations)
}

function peakScalar(iterations: i32): f32 {
  let one: f32 = 1
  let p0: f32 = 1, p1: f32 = 1, p2: f32 = 1, p3: f32 = 1, p4: f32 = 1, p5: f32 = 1, p6: f32 = 1
  let s0: f32 = 0, s1: f32 = 0, s2: f32 = 0, s3: f32 = 0, s4: f32 = 0, s5: f32 = 0, s6: f32 = 0
  for (let i = 0; i < iterations; i++) {
    for (let step = 0; step < 4 * STEPS; step++) {
      p0 *= one; s0 += one
      p1 *= one; s1 += one
      p2 *= one; s2 += one
      p3 *= one; s3 += one
      p4 *= one; s4 += one
      p5 *= one; s5 += one
      p6 *= one; s6 += one
    }
    one *= one
  }
  return p0 * s0 + p1 * s1 + p2 * s2 + p3 * s3 + p4 * s4 + p5 * s5 + p6 * s6
}

function peakVector(iterations: i32): f32 {
  let one = f32x4.splat(1)
  let p0 = one, p1 = one, p2 = one, p3 = one, p4 = one, p5 = one, p6 = one
  let s0 = f32x4.splat(0), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0
  for (let i = 0; i < iterations; i++) {
    for (let step = 0; step < STEPS; step++) {
      p0 = f32x4.mul(p0, one); s0 = f32x4.add(s0, one)
      p1 = f32x4.mul(p1, one); s1 = f32x4.add(s1, one)
      p2 = f32x4.mul(p2, one); s2 = f32x4.add(s2, one)
      p3 = f32x4.mul(p3, one); s3 = f32x4.add(s3, one)
      p4 = f32x4.mul(p4, one); s4 = f32x4.add(s4, one)
      p5 = f32x4.mul(p5, one); s5 = f32x4.add(s5, one)
      p6 = f32x4.mul(p6, one); s6 = f32x4.add(s6, one)
    }
    one = f32x4.mul(one, one)
  }
  return sumLanes(f32x4.add(
    f32x4.add(f32x4.add(f32x4.mul(p0, s0), f32x4.mul(p1, s1)), f32x4.add(f32x4.mul(p2, s2), f32x4.mul(p3, s3))),
    f32x4.add(f32x4.add(f32x4.mul(p4, s4), f32x4.mul(p5, s5)), f32x4.mul(p6, s6))))
}

function peakFused(iterations: i32): f32 {
  let one = f32x4.splat(1)
  let s0 = f32x4.splat(0), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0
  let s7 = s0, s8 = s0, s9 = s0, s10 = s0, s11 = s0, s12 = s0, s13 = s0
  for (let i = 0; i < iterations; i++) {
    for (let step = 0; step < FUSED_STEPS; step++) {
      s0 = f32x4.relaxed_madd(s0, one, one); s1 = f32x4.relaxed_madd(s1, one, one)
      s2 = f32x4.relaxed_madd(s2, one, one); s3 = f32x4.relaxed_madd(s3, one, one)
      s4 = f32x4.relaxed_madd(s4, one, one); s5 = f32x4.relaxed_madd(s5, one, one)
      s6 = f32x4.relaxed_madd(s6, one, one); s7 = f32x4.relaxed_madd(s7, one, one)
      s8 = f32x4.relaxed_madd(s8, one, one); s9 = f32x4.relaxed_madd(s9, one, one)
      s10 = f32x4.relaxed_madd(s10, one, one); s11 = f32x4.relaxed_madd(s11, one, one)
      s12 = f32x4.relaxed_madd(s12, one, one); s13 = f32x4.relaxed_madd(s13, one, one)
    }
    one = f32x4.mul(one, one)
  }
  return sumLanes(f32x4.add(
    f32x4.add(f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)), f32x4.add(f32x4.add(s4, s5), f32x4.add(s6, s7))),
    f32x4.add(f32x4.add(f32x4.add(s8, s9), f32x4.add(s10, s11)), f32x4.add(s12, s13))))
}

@inline function sumLanes(x: v128): f32 {
  return (f32x4.extract_lane(x, 0) + f32x4.extract_lane(x, 1)) + (f32x4.extract_lane(x, 2) + f32x4.extract_lane(x, 3))
}
