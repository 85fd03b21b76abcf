/** CRC32C of host bytes by the kernel, through a window of its one-page instance. */
import type { Kernel } from './load.ts'
import { PAGE_BYTES } from './load.ts'

const TABLE = 64
const TABLE_BYTES = 4096
const WINDOW = TABLE + TABLE_BYTES
const WINDOW_BYTES = PAGE_BYTES - WINDOW

/** The checksum that frames carry (RFC 3720, appendix B.4), for any length. */
export function createChecksum(kernel: Kernel): (bytes: Uint8Array) => number {
  kernel.exports.crc32cTable(TABLE)
  const window = new Uint8Array(kernel.memory.buffer, WINDOW, WINDOW_BYTES)
  return (bytes) => {
    let crc = 0
    for (let begin = 0; begin < bytes.length; begin += WINDOW_BYTES) {
      const part = bytes.subarray(begin, begin + WINDOW_BYTES)
      window.set(part)
      crc = kernel.exports.crc32c(TABLE, WINDOW, part.length, crc) >>> 0
    }
    return crc
  }
}
