/** How often an activation and a gradient are copied on their way from one kernel to the other. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { PAGE_BYTES } from '../../runtime/kernel/load.ts'
import { decodeSafetensors } from '../../runtime/wire/safetensors.ts'
import { PRELUDE_BYTES } from '../../runtime/wire/limits.ts'
import { copiesOf, recordCopies } from '../copies.ts'
import { train } from './harness.ts'
import type { Passage } from './harness.ts'
import { makeContract, makeSamples } from './model.ts'

/** Into the frame, and out of it into the other kernel. */
const COPIES = 2
const STEPS = 2
/** A batch whose activation is many times any adapter's tensor. */
const SAMPLES = 40

function payloadOf({ bytes, type }: Passage): Uint8Array {
  return decodeSafetensors(bytes.subarray(PRELUDE_BYTES)).tensors.get(type)!.data
}

for (const cuts of [[1], [1, 3]]) {
  test(`f32, cuts ${cuts}: ${COPIES} copies of each activation and of each gradient`, async () => {
    const contract = makeContract({ cuts, steps: STEPS, interval: STEPS, batch: SAMPLES })
    const shares = cuts.map((_, client) => makeSamples(SAMPLES, 11 + client))
    const { result: { passages, endings }, copies } = await recordCopies(SAMPLES, () => train({ contract, shares }))
    assert.equal(endings, cuts.map(() => 'done'))
    const carriers = passages.filter(({ type }) => type === 'activation' || type === 'gradient')
    assert.is(carriers.length, 2 * STEPS * cuts.length)
    for (const passage of carriers) {
      const payload = payloadOf(passage)
      assert.ok(payload.length > 16 << 10)
      // The checksum reads a frame through the window of its one-page kernel, once at either end: no copy that anybody keeps.
      const all = copiesOf(payload, copies)
      const kept = all.filter(({ target }) => target.byteLength !== PAGE_BYTES)
      const what = `${passage.type} of client ${passage.client}, step ${passage.step}`
      assert.is(kept.length, COPIES, what)
      const frames = kept.reduce((sum, { bytes }) => sum + bytes.length, 0)
      assert.ok(frames <= COPIES * passage.bytes.length, `${what}: ${frames} bytes`)
      assert.is(all.length - kept.length, 2, `${what}: checksum windows`)
    }
  })
}

test.run()
