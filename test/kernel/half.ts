/** IEEE binary16 in plain words: the reference that the kernel's conversions are tested against. */

/** The value of a half's 16 bits. */
export function halfValue(half: number): number {
  const sign = half & 0x8000 ? -1 : 1
  const exponent = (half >> 10) & 31, fraction = half & 1023
  if (exponent === 31) return fraction ? NaN : sign * Infinity
  return sign * (exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24)
}

/** The magnitudes of halves 0 … 0x7c00, with 65536 in infinity's place: what rounds up to it overflows. */
const LADDER = Float64Array.from({ length: 0x7c01 }, (_, half) => (half === 0x7c00 ? 65536 : halfValue(half)))

/** The half nearest to a number that is not NaN, of two equally near ones the even. */
export function nearestHalf(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0
  const magnitude = Math.min(Math.abs(value), 65536)
  let below = 0, above = 0x7c00
  while (above - below > 1) {
    const middle = (below + above) >> 1
    if (LADDER[middle] <= magnitude) below = middle
    else above = middle
  }
  const down = magnitude - LADDER[below], up = LADDER[above] - magnitude
  return sign | (down < up || (down === up && below % 2 === 0) ? below : above)
}
