/** How far a result is from what a suite expects, by the rule of ONNX's own backend tests: |a − e| ≤ atol + rtol·|e|. */

export const TOLERANCE = { rtol: 1e-3, atol: 1e-7 } as const

/** `rtol`: the least with which it would pass at the same atol; infinite where nothing would do. */
export type Gap = { errorMax: number; rtol: number; equal: boolean }
export const NO_GAP: Gap = { errorMax: 0, rtol: 0, equal: true }

/** NaN equals NaN, and an infinity itself. */
export function measureGap(actual: ArrayLike<number>, expected: ArrayLike<number>): Gap {
  if (actual.length !== expected.length) return { errorMax: Infinity, rtol: Infinity, equal: false }
  let errorMax = 0, rtol = 0, equal = true
  for (let i = 0; i < expected.length; i++) {
    const a = actual[i], e = expected[i]
    if (a === e || (Number.isNaN(a) && Number.isNaN(e))) continue
    equal = false
    const error = Math.abs(a - e)
    if (!(error < Infinity)) return { errorMax: Infinity, rtol: Infinity, equal }
    errorMax = Math.max(errorMax, error)
    if (error > TOLERANCE.atol) rtol = Math.max(rtol, (error - TOLERANCE.atol) / Math.abs(e))
  }
  return { errorMax, rtol, equal }
}

export function worseOf(a: Gap, b: Gap): Gap {
  return { errorMax: Math.max(a.errorMax, b.errorMax), rtol: Math.max(a.rtol, b.rtol), equal: a.equal && b.equal }
}

export const passes = ({ rtol }: Gap): boolean => rtol <= TOLERANCE.rtol
