/** Bytes as lowercase hexadecimal digits. */

export function formatHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** The bytes of exactly `count` pairs of digits, else null. */
export function parseHex(text: string, count: number): Uint8Array | null {
  if (text.length !== 2 * count || !/^[0-9a-f]*$/.test(text)) return null
  return Uint8Array.from({ length: count }, (_, at) => Number(`0x${text.slice(2 * at, 2 * at + 2)}`))
}
