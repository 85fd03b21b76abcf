/** The server's benchmark, run small: all its cases come to their end. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { measureServer } from '../../scripts/server.ts'
import { openKernelBuild } from '../kernels.ts'

test('idle halves and stages: as many steps and frames as were asked for', async () => {
  const [devices, steps] = [3, 2]
  const rates = await measureServer(await openKernelBuild('simd'), devices, steps, 1)
  assert.equal(rates.map(({ server, device }) => `${server} ${device}`), ['idle idle', 'idle stage', 'stage stage'])
  for (const { stepsPerSecond, framesPerSecond } of rates) {
    assert.ok(stepsPerSecond > 0)
    // Activation and gradient of each step, an adapter down and up.
    const frames = Math.round((framesPerSecond / stepsPerSecond) * devices * steps)
    assert.is(frames, devices * (2 * steps + 2))
  }
})

test.run()
