/** One step through each entry; a line of JSON that is the same on every host. */
import { crc32c } from 'kerf/wire'
import { trainDevice } from './device.mjs'
import { trainWithKernel } from './kernel.mjs'
import { trainRun } from './server.mjs'
import { trainEmbedded } from './embedded.mjs'
import { exchange } from './wire.mjs'

/**
 * @param {() => import('kerf/kernel').KernelSource} open a new source for each: a Response is read once
 * @param {string} script the text of kerf.embedded.js
 */
export async function trainAll(open, script) {
  const kernel = await trainWithKernel(open()), device = await trainDevice(open()), run = await trainRun(open())
  const embedded = await trainEmbedded(open(), script), wire = exchange()
  const [kernelCrc, deviceCrc, runCrc, embeddedCrc, wireCrc] = [kernel, device, run, embedded, wire].map(({ bytes }) => crc32c(bytes))
  return JSON.stringify({
    kernel: { before: kernel.before, after: kernel.after, crc: kernelCrc },
    device: { end: device.end, memoryBytes: device.memoryBytes, before: crc32c(device.before), crc: deviceCrc },
    server: { losses: run.losses, ended: run.ended, crc: runCrc },
    embedded: { done: embedded.done, crc: embeddedCrc },
    wire: { crc: wireCrc },
  })
}
