/**
 * The fast profile, whose bits are each host's own: held to the strict ones by a tolerance. Integers and bytes must be equal;
 * floats may be as far from the strict result as FAST_TOLERANCE of the largest magnitude in their tensor, or of 1.
 */
import type { KernelExports } from '../kernel/abi.ts'
import type { Failure, Finding, Result } from '../cases/tally.ts'

/** Of one operation or block. */
export const FAST_TOLERANCE = 1e-5
/**
 * Of a model after three steps: AdamW's first steps move a parameter by the rate of 1e-3 however small its gradient is, so
 * where that is rounding alone, two hosts may go opposite ways in each.
 */
export const FAST_TOLERANCE_MODEL = 6e-3

function floatsOf({ element, bytes }: Result): Float32Array | Float64Array | null {
  if (element === 'f32') return new Float32Array(bytes.slice().buffer)
  return element === 'f64' ? new Float64Array(bytes.slice().buffer) : null
}

/** The largest difference, relative to the largest magnitude or to 1; Infinity where anything else than a rounding differs. */
export function gapOf(fast: Result, strict: Result): number {
  const a = floatsOf(fast), b = floatsOf(strict)
  if (fast.bytes.length !== strict.bytes.length) return Infinity
  if (a === null || b === null) {
    for (let i = 0; i < fast.bytes.length; i++) if (fast.bytes[i] !== strict.bytes[i]) return Infinity
    return 0
  }
  let gap = 0, top = 1
  for (let i = 0; i < a.length; i++) {
    if (a[i] === b[i] || (a[i] !== a[i] && b[i] !== b[i])) continue
    const difference = Math.abs(a[i] - b[i])
    if (!(difference < Infinity)) return Infinity
    gap = Math.max(gap, difference)
  }
  for (let i = 0; i < b.length; i++) if (Math.abs(b[i]) < Infinity) top = Math.max(top, Math.abs(b[i]))
  return gap / top
}

/** The worst tensor beyond the tolerance, or null; `gap` the largest of all. */
export function checkFast(fast: Finding, strict: Finding, tolerance: number): { gap: number; failure: Failure | null } {
  let gap = 0
  let failure: Failure | null = fast.damage === null ? null : { case: fast.name, tensor: '', element: null, expected: 'nothing else written', got: fast.damage }
  for (const tensor of Object.keys(strict.results)) {
    const { element } = strict.results[tensor]
    const got = fast.results[tensor]
    const distance = got === undefined ? Infinity : gapOf(got, strict.results[tensor])
    gap = Math.max(gap, distance)
    if (failure === null && distance > tolerance) {
      failure = { case: fast.name, tensor, element, expected: `within ${tolerance} of strict`, got: String(distance) }
    }
  }
  return { gap, failure }
}

/**
 * Whether this host fuses: (1 + 2⁻¹²)² − (1 + 2⁻¹¹) is 2⁻²⁴ where the product is not rounded, else 0. Needs 4096 bytes of
 * memory from 64 on, and a tile's rows and columns.
 */
export function isFusing(kernel: KernelExports, buffer: ArrayBufferLike): boolean {
  const N = 8, O = 16
  const out = 64, x = out + 4 * N * O, w = x + 4 * N, scratch = w + 4 * O
  new Float32Array(buffer, out, N * O).fill(-1 - 1 / 2048)
  new Float32Array(buffer, x, N + O).fill(1 + 1 / 4096)
  kernel.matmul(out, x, w, N, O, 1, 1, scratch)
  return new Float32Array(buffer, out, 1)[0] !== 0
}
