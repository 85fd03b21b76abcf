/** The self-test at load: a part of the published suite, the same digest in every strict build and tile, none in the fast build. */
import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { nameCase } from '../../runtime/cases/case.ts'
import { addDigest, createDigest } from '../../runtime/cases/digest.ts'
import { SELF_TEST_DIGEST, SELF_TEST_DIGESTS } from '../../runtime/cases/selftest.digests.ts'
import { digestSelfTest, expectSameBits, listSelfTest, testKernel } from '../../runtime/cases/selftest.ts'
import { isFusing } from '../../runtime/conformance/fast.ts'
import type { Kernel } from '../../runtime/kernel/load.ts'
import { TILES, createMemory, instantiate, openKernel, openPack, packKernel } from '../../runtime/kernel/load.ts'
import { numericsOf } from '../../runtime/split/half.stage.ts'
import { buildSelfTest } from '../../scripts/conform/publish.ts'
import { SELF_TEST_FILE, readExpected } from '../../scripts/conform/published.ts'
import { BUILDS, missingRelaxed, openKernelBuild } from '../kernels.ts'
import { refusal } from '../refusal.ts'
import { skipTest } from '../skip.ts'

test('each case is one of the suite, and its digest is that of what is published there', async () => {
  const published = readExpected()
  const digests = listSelfTest().map((it) => {
    const digest = createDigest()
    const tensors = published[nameCase(it)]
    assert.ok(tensors, nameCase(it))
    for (const name of Object.keys(tensors)) addDigest(digest, tensors[name])
    return digest.finish(8 * Object.keys(tensors).length)
  })
  assert.equal(digests, SELF_TEST_DIGESTS)
  assert.is(await buildSelfTest(), readFileSync(SELF_TEST_FILE, 'utf8'))
})

test('every operation that a step, a frame or an average uses has a case', () => {
  const operations = new Set(listSelfTest().map(({ operation }) => operation))
  for (const operation of [
    'embedding', 'blockForward', 'blockBackward', 'linear', 'linearBackward', 'matmul', 'attention', 'attentionBackward', 'gelu', 'geluBackward',
    'layerNorm', 'layerNormBackward', 'softmax', 'tanh', 'tanhBackward', 'crossEntropy', 'adamw', 'averageAdd', 'averageFinish', 'narrowF16', 'widenF16',
    'quantizeRows', 'dequantizeRows', 'crc32c', 'gatherRows', 'gatherRowsBackward',
  ] as const) assert.ok(operations.has(operation), operation)
})

for (const build of BUILDS) {
  test(`${build}: the same digest in each of its tiles, which comes through a thread's port`, async () => {
    const { module, exports } = await openKernelBuild(build)
    for (const tile of TILES.slice(0, exports.tileCount())) {
      const tested = await testKernel(await openKernel(module, build, { tile }))
      assert.equal(tested.selfTest, { digest: SELF_TEST_DIGEST, differs: null }, tile)
      expectSameBits(tested)
      const received = await openPack(structuredClone(packKernel(tested)), () => Promise.reject(new Error('one thread')))
      assert.equal(numericsOf(received, {}), { dtype: 'f32', profile: 'strict', bits: SELF_TEST_DIGEST })
    }
  })
}

test('the fast build promises no bits and is not tested; what it gives is another digest where this host fuses', async () => {
  const missing = missingRelaxed()
  if (missing !== undefined) return skipTest(missing)
  const fast = await openKernelBuild('relaxed')
  const memory = createMemory(1, false)
  if (!isFusing(await instantiate(fast.module, memory, fast.tile), memory.buffer)) return skipTest('this processor does not fuse')
  assert.is(await testKernel(fast), fast)
  assert.is(fast.selfTest, undefined)
  assert.equal(numericsOf(fast, {}), { dtype: 'f32', profile: 'fast' })
  const posing: Kernel = { ...fast, build: 'simd' }
  const tested = await testKernel(posing)
  assert.is.not((await digestSelfTest(posing)).digest, SELF_TEST_DIGEST)
  const { code, message } = refusal(() => expectSameBits(tested))
  assert.is(code, 'kernel-bits')
  assert.match(message, /^kernel\.simd: expected bits of digest [0-9a-f]{16}, as on every host, got "[0-9a-f]{16}, otherwise in \w+ .+"$/)
  assert.equal(numericsOf(tested, {}), { dtype: 'f32', profile: 'strict', bits: tested.selfTest!.digest, differs: tested.selfTest!.differs! })
})

test.run()
