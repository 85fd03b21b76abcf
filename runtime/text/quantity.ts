/** Numbers for people: three significant digits and a unit. A number that is not finite shows as a dash, never as `NaN`. */

const ABSENT = '–'
const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

/** Three significant digits, no exponent: 0.123, 4.57, 12.3, 1235. Below 0.001 two significant digits. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return ABSENT
  const size = Math.abs(value)
  if (size >= 99.95) return value.toFixed(0)
  if (size >= 9.995) return value.toFixed(1)
  if (size >= 0.9995) return value.toFixed(2)
  if (size >= 0.001) return value.toFixed(3)
  return size === 0 ? '0' : value.toPrecision(2)
}

/** Bytes in the largest unit of 1024 that keeps the number at or above 1 (or close below): `999 B`, `0.98 MiB`, `12.3 MiB`. */
export function formatBytes(bytes: number): string {
  if (!Number.isFinite(bytes)) return ABSENT
  let unit = 0
  let amount = bytes
  while (amount >= 999.5 && unit < BYTE_UNITS.length - 1) {
    amount /= 1024
    unit++
  }
  return `${unit === 0 ? amount.toFixed(0) : amount < 9.995 ? amount.toFixed(2) : formatNumber(amount)} ${BYTE_UNITS[unit]}`
}

/** Milliseconds in, seconds out: always seconds, so that a column compares at a glance. */
export function formatSeconds(ms: number): string {
  return Number.isFinite(ms) ? `${formatNumber(ms / 1000)} s` : ABSENT
}

/** A fraction of 1 as per cent with one decimal, without the sign. */
export function formatHundredths(fraction: number): string {
  return Number.isFinite(fraction) ? (fraction * 100).toFixed(1) : ABSENT
}

/** A fraction of 1 as per cent: `91.2 %`. */
export function formatPercent(fraction: number): string {
  return Number.isFinite(fraction) ? `${formatHundredths(fraction)} %` : ABSENT
}

/** A whole number in groups of three, parted by narrow no-break spaces: `109 482 240`. */
export function formatCount(count: number): string {
  return Number.isFinite(count) ? count.toFixed(0).replace(/\B(?=(\d{3})+$)/g, '\u202f') : ABSENT
}

/** A count with its noun: `1 device`, `24 devices`. */
export function formatItems(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`
}
