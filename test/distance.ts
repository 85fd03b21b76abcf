/** The largest difference, relative to the largest expected magnitude or to `floor` where that is larger. */
export function distance(actual: ArrayLike<number>, expected: ArrayLike<number>, floor = 0): number {
  if (actual.length !== expected.length) return Infinity
  let gap = 0, top = floor
  for (let i = 0; i < expected.length; i++) {
    gap = Math.max(gap, Number.isNaN(actual[i]) ? Infinity : Math.abs(actual[i] - expected[i]))
    top = Math.max(top, Math.abs(expected[i]))
  }
  return top > 0 ? gap / top : gap
}
