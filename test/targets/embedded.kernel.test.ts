/** The kernel as ES5, against the scalar build it is made of: every case of every operation, to the bit. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { PAGE_BYTES } from '../../runtime/kernel/load.ts'
import { nameCase } from '../../runtime/cases/case.ts'
import { CASES } from '../../runtime/cases/table.ts'
import { checkOracle, openArena, runCase, sameBytes } from '../kernel/arena.ts'
import type { Arena } from '../kernel/arena.ts'
import { openKernelBuild } from '../kernels.ts'
import { openEmbedded } from './embedded.script.ts'

const scalar = await openArena('scalar')
const { openKernel } = openEmbedded()
const buffer = new ArrayBuffer(scalar.memory.buffer.byteLength)
const embedded: Arena = { build: 'scalar', kernel: openKernel(buffer), buffer, memory: { buffer } as unknown as WebAssembly.Memory }
const operations = [...new Set(CASES.map(({ operation }) => operation))]

for (const operation of operations) {
  test(operation, () => {
    for (const it of CASES) {
      if (it.operation !== operation) continue
      const expected = runCase(scalar, it), actual = runCase(embedded, it)
      checkOracle(it, actual)
      assert.ok(Object.is(actual.result, expected.result), `${nameCase(it)}: expected ${expected.result}, got ${actual.result}`)
      for (const [tensor, bytes] of expected.bytes) {
        assert.ok(sameBytes(actual.bytes.get(tensor)!, bytes), `${nameCase(it)}: expected the scalar build's bits in ${tensor}`)
      }
    }
  })
}

test('the same functions', async () => {
  const { module } = await openKernelBuild('scalar')
  const exported = WebAssembly.Module.exports(module).map(({ name }) => name)
  assert.equal(Object.keys(embedded.kernel).sort(), exported.sort())
  assert.is(buffer.byteLength % PAGE_BYTES, 0)
})

test.run()
