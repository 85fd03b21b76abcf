/** One step through each entry; a line of JSON that is the same on every host. */
import { crc32c } from 'kerf/wire'
import { trainDevice } from './device.mjs'
import { trainWithKernel } from './kernel.mjs'
import { trainRun } from './server.mjs'
import { exchange } from './wire.mjs'

/** @param {() => import('kerf/kernel').KernelSource} open a new source for each: a Response is read once */
export async function trainAll(open) {
  const kernel = await trainWithKernel(open()), device = await trainDevice(open()), run = await trainRun(open()), wire = exchange()
  const [kernelCrc, deviceCrc, runCrc, wireCrc] = [kernel, device, run, wire].map(({ bytes }) => crc32c(bytes))
  return JSON.stringify({
    kernel: { before: kernel.before, after: kernel.after, crc: kernelCrc },
    device: { end: device.end, memoryBytes: device.memoryBytes, before: crc32c(device.before), crc: deviceCrc },
    server: { losses: run.losses, ended: run.ended, crc: runCrc },
    wire: { crc: wireCrc },
  })
}
