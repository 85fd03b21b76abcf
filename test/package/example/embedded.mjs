/** The embedded script, for engines without WebAssembly: evaluated, it declares `kerf`; frames go in and come out by calls. */
import { createLinkPair, loadKernel, openModel } from 'kerf/device'
import { openServer } from 'kerf/server'
import { clock } from './clock.mjs'
import { adapter, configText, data, weights } from './model.mjs'

/**
 * One step of a run whose device is the script's.
 *
 * @param {import('kerf/server').KernelSource} source the server's kernel
 * @param {string} script
 */
export async function trainEmbedded(source, script) {
  const kerf = /** @type {import('kerf/kerf.embedded.js').Kerf} */ (new Function(`${script}; return kerf`)())
  const kernel = await loadKernel(source)
  const model = await openModel(kernel, configText, weights)
  const server = await openServer({
    kernel, model, clock, run: { cuts: [1], labels: ['calm', 'angry'], adapter, steps: 1, batch: 2, maxLength: 8, learningRate: 0.01 },
  })
  const [near, far] = createLinkPair()
  void server.attend(far)
  const device = kerf.openDevice({
    config: configText, weights: /** @type {ArrayBuffer} */ (weights.slice().buffer), sequences: data.sequences, labels: data.labels, name: 'script',
  })
  device.begin().forEach((frame) => near.send(frame))
  while (!device.isDone()) {
    const frame = await near.receive()
    if (!frame) throw new Error(`the server's frames: expected a goodbye, got ${near.why()}`)
    device.takeFrame(frame).forEach((answer) => near.send(answer))
  }
  return { done: device.isDone(), bytes: (await server.result).adapterModel }
}
