/** CRC32C by table, the tests' reference: held to RFC 3720's vectors in test/kernel/crc32c.test.ts. */
export { crc32c } from '../../runtime/wire/crc32c.ts'
