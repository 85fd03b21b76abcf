/** One training step of a device by itself: activation out, gradient in, adapters handed out and taken. The server is the caller's. */
import { loadKernel, openDevice, openModel } from 'kerf/device'
import { adapter, batch, configText, weights } from './model.mjs'

/** @param {import('kerf/device').KernelSource} source */
export async function trainDevice(source) {
  const kernel = await loadKernel(source)
  const model = await openModel(kernel, configText, weights)
  const device = await openDevice(kernel, model, { cut: 1, adapter, rows: 8, sequences: 2, longest: 4, optimizer: { learningRate: 0.01 } })
  const before = await device.handOut()
  await device.take(before)
  const activation = await device.forward(batch)
  // Of half the sum of squares; a server would send that of its loss.
  const gradient = activation.slice()
  const end = await device.update(gradient)
  const adapters = await device.handOut()
  device.close()
  return { end, memoryBytes: device.memoryBytes, before, bytes: adapters }
}
