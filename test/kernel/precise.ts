/**
 * exp and log of a float64 in 160-bit fixed point: far enough beyond float64 to count a
 * result's error in ULP, and free of the host's own Math.
 */
const BITS = 160
const ONE = 1n << BigInt(BITS)

/** x · 2^BITS, exact for what is tested here: the last bit of x at or above 2^−BITS. */
function fixed(x: number): bigint {
  let shift = BITS
  let integer = x
  while (!Number.isInteger(integer)) {
    integer *= 2
    shift--
  }
  return shift >= 0 ? BigInt(integer) << BigInt(shift) : BigInt(integer) >> BigInt(-shift)
}

const multiply = (a: bigint, b: bigint) => (a * b) >> BigInt(BITS)
const divide = (a: bigint, b: bigint) => (a << BigInt(BITS)) / b
const magnitude = (a: bigint) => (a < 0n ? -a : a)

/** Σ s^(2n+1) / (2n+1). */
function atanh(s: bigint): bigint {
  const square = multiply(s, s)
  let sum = 0n
  for (let power = s, n = 1n; magnitude(power) > 1n; power = multiply(power, square), n += 2n) sum += power / n
  return sum
}

/** ln 2 = 18 atanh(1/26) − 2 atanh(1/4801) + 8 atanh(1/8749) (a formula of Machin's kind). */
const LN2 = 18n * atanh(ONE / 26n) - 2n * atanh(ONE / 4801n) + 8n * atanh(ONE / 8749n)

/** |actual − expected| in units of the last place of `expected` as a float64 (53 bits). */
function ulps(actual: bigint, expected: bigint): number {
  const lastPlace = 1n << BigInt(magnitude(expected).toString(2).length - 53)
  return Number((magnitude(actual - expected) << 20n) / lastPlace) / 2 ** 20
}

/** The error of `actual` as eˣ, in ULP; results above 2^−1022. */
export function expUlps(x: number, actual: number): number {
  const k = Math.round(x * Math.LOG2E)
  const r = fixed(x) - BigInt(k) * LN2
  let sum = 0n
  for (let term = ONE, n = 1n; magnitude(term) > 0n; term = multiply(term, r) / n, n++) sum += term
  const half = Math.trunc(k / 2)
  return ulps(fixed((actual / 2 ** half) / 2 ** (k - half)), sum)
}

/** The error of `actual` as ln x, in ULP; x above 2^−1022. */
export function logUlps(x: number, actual: number): number {
  let k = 0
  let m = x
  for (; m >= Math.SQRT2; m /= 2) k++
  for (; m < Math.SQRT1_2; m *= 2) k--
  const expected = BigInt(k) * LN2 + 2n * atanh(divide(fixed(m) - ONE, fixed(m) + ONE))
  if (expected === 0n) return actual === 0 ? 0 : Infinity
  return ulps(fixed(actual), expected)
}
