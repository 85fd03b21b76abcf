/** Choosing a tile: every tile of the build is measured, the fastest comes first, and one that multiplies wrongly is refused. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { calibrate } from '../../runtime/kernel/calibrate.ts'
import { TILES, loadKernel } from '../../runtime/kernel/load.ts'
import { binaryOf, missingRelaxed, openKernelBuild } from '../kernels.ts'
import { refusalOf } from '../refusal.ts'
import { skipTest } from '../skip.ts'

/** A clock on which every reading is a millisecond after the one before, but for `lag`: that reading comes so much later. */
function createClock(lag = -1, lagMs = 0): () => number {
  let ms = 0, readings = 0
  return () => (ms += readings++ === lag ? lagMs : 1)
}

for (const build of ['scalar', 'simd', 'relaxed'] as const) {
  test(`${build}: every tile, the fastest first`, async () => {
    const lacks = build === 'relaxed' ? missingRelaxed() : undefined
    if (lacks) return skipTest(lacks)
    const { module, exports } = await openKernelBuild(build)
    const rates = await calibrate(module, exports, build !== 'relaxed', () => performance.now())
    assert.equal(rates.map(({ tile }) => tile).sort(), [...TILES.slice(0, build === 'scalar' ? 1 : TILES.length)].sort())
    rates.forEach(({ gflops }, index) => assert.ok(gflops > 0 && gflops <= (rates[index - 1]?.gflops ?? Infinity), String(gflops)))
  })
}

test('a rate is that of the best sample', async () => {
  const { module, exports } = await openKernelBuild('simd')
  // 2 · 60 · 256 · 512 operations in a millisecond; one slow sample, or one slow turn of the warm-up, changes nothing.
  const expected = 2 * 60 * 256 * 512 / 1e6
  for (const lag of [-1, 3, 300]) {
    const rates = await calibrate(module, exports, true, createClock(lag, 1000))
    assert.equal(rates.map(({ gflops }) => gflops), TILES.map(() => expected), `reading ${lag}`)
  }
})

test('a clock of whole milliseconds gives rates, and one that stands still is refused', async () => {
  const { module, exports } = await openKernelBuild('simd')
  const fine = await calibrate(module, exports, true, () => performance.now())
  const coarse = await calibrate(module, exports, true, () => Math.floor(performance.now()))
  for (const { tile, gflops } of coarse) {
    const real = fine.find((rate) => rate.tile === tile)!.gflops
    assert.ok(gflops > real / 5 && gflops < real * 5, `${tile}: ${gflops}, ${real}`)
  }
  assert.is((await refusalOf(calibrate(module, exports, true, () => 7))).code, 'bench-clock')
})

const F32X4_ADD = [0xfd, 0xe4, 0x01], F32X4_SUB = [0xfd, 0xe5, 0x01]

test('a host that multiplies wrongly is refused by the name of the tile', async () => {
  const binary = Uint8Array.from(binaryOf('simd'))
  let changed = 0
  for (let at = 0; at < binary.length - 2; at++) {
    if (!F32X4_ADD.every((byte, i) => binary[at + i] === byte)) continue
    binary.set(F32X4_SUB, at)
    changed++
  }
  assert.ok(changed > 49, 'additions of every tile')
  const { module, exports } = await loadKernel(binary, 'simd')
  for (const exact of [true, false]) {
    const { code, message } = await refusalOf(calibrate(module, exports, exact, createClock()))
    assert.is(code, 'kernel.tile')
    assert.match(message, /^kernel\.tile 4x8: expected \S+ in output 0, got \S+$/)
  }
})

test.run()
