/** CRC32C: the known answers of RFC 3720 appendix B.4, every short length, every split, and the runtime's checksum across its window. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createChecksum } from '../../runtime/kernel/checksum.ts'
import { BUILDS, openKernelBuild } from '../kernels.ts'
import { crc32c as reference } from '../wire/crc32c.ts'
import { drawnIntegers } from './arena.ts'

const READ_COMMAND = `
  01c00000 00000000 00000000 00000000 14000000 00000400 00000014 00000018 28000000 00000000 02000000 00000000`
const hex = (text: string) => Uint8Array.from(text.replace(/\s/g, '').match(/../g) ?? [], (byte) => parseInt(byte, 16))

const KNOWN: [bytes: Uint8Array, crc: number][] = [
  [new Uint8Array(32), 0x8a9136aa],
  [new Uint8Array(32).fill(0xff), 0x62a8ab43],
  [Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
  [Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113fdb5c],
  [hex(READ_COMMAND), 0xd9963a56],
  [new TextEncoder().encode('123456789'), 0xe3069283],
  [new Uint8Array(0), 0],
]

const LENGTH_MAX = 70
const noise = (count: number) => Uint8Array.from(drawnIntegers(count, 256, 'noise'))

for (const build of BUILDS) {
  const kernel = await openKernelBuild(build)
  const { exports, memory } = kernel

  test(`${build}: known answers`, () => {
    const checksum = createChecksum(kernel)
    for (const [bytes, crc] of KNOWN) {
      assert.is(checksum(bytes), crc)
      assert.is(reference(bytes), crc)
    }
  })

  test(`${build}: every length to ${LENGTH_MAX}, split everywhere, at any address`, () => {
    const table = 64, address = table + 4096
    exports.crc32cTable(table)
    for (let length = 0; length <= LENGTH_MAX; length++) {
      const bytes = noise(length)
      const expected = reference(bytes)
      const at = address + (length % 5)
      new Uint8Array(memory.buffer, at, length).set(bytes)
      for (let split = 0; split <= length; split++) {
        const first = exports.crc32c(table, at, split, 0)
        assert.is(exports.crc32c(table, at + split, length - split, first) >>> 0, expected, `${length} bytes split at ${split}`)
      }
    }
  })

  test(`${build}: the runtime's checksum over its window and beyond`, () => {
    const checksum = createChecksum(kernel)
    const window = 65536 - 64 - 4096
    for (const length of [window - 1, window, window + 1, 65536, 2 * window, 200003]) {
      const bytes = noise(length)
      assert.is(checksum(bytes), reference(bytes), `${length} bytes`)
    }
    const inside = noise(1000).subarray(3, 996)
    assert.is(checksum(inside), reference(inside), 'a view into a larger buffer')
  })
}

test.run()
