/**
 * CRC32C (Castagnoli polynomial 0x1EDC6F41, reflected; RFC 3720 appendix B.4),
 * four bytes a step by tables [4][256] u32 that the caller keeps.
 */

export const CRC_TABLE_BYTES: i32 = 4096

/** Fills the caller's table of CRC_TABLE_BYTES. */
export function crc32cTable(table: usize): void {
  for (let i: u32 = 0; i < 256; i++) {
    let crc = i
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >> 1) ^ 0x82F63B78 : crc >> 1
    store<u32>(table + (usize(i) << 2), crc)
  }
  for (let i: u32 = 0; i < 256; i++) {
    let crc = load<u32>(table + (usize(i) << 2))
    for (let slice: usize = 1; slice < 4; slice++) {
      crc = load<u32>(table + (usize(crc & 255) << 2)) ^ (crc >> 8)
      store<u32>(table + (slice << 10) + (usize(i) << 2), crc)
    }
  }
}

/** CRC of n bytes at x, continuing `crc` (0 at the start). */
export function crc32c(table: usize, x: usize, n: i32, crc: u32): u32 {
  crc = ~crc
  const end = x + usize(n)
  for (; x + 4 <= end; x += 4) {
    crc ^= load<u32>(x)
    crc = load<u32>(table + 3072 + (usize(crc & 255) << 2))
      ^ load<u32>(table + 2048 + (usize((crc >> 8) & 255) << 2))
      ^ load<u32>(table + 1024 + (usize((crc >> 16) & 255) << 2))
      ^ load<u32>(table + (usize(crc >> 24) << 2))
  }
  for (; x < end; x++) crc = load<u32>(table + (usize((crc ^ load<u8>(x)) & 255) << 2)) ^ (crc >> 8)
  return ~crc
}
