/** A whole run of one step: a server and two devices in one program, joined by pairs of links. Any transport that keeps order serves. */
import { createLinkPair, joinRun, loadKernel, openModel } from 'kerf/device'
import { openServer } from 'kerf/server'
import { clock } from './clock.mjs'
import { adapter, configText, data, weights } from './model.mjs'

/** @param {import('kerf/server').KernelSource} source */
export async function trainRun(source) {
  const kernel = await loadKernel(source)
  const model = await openModel(kernel, configText, weights)
  /** @type {number[]} */
  const losses = []
  const server = await openServer({
    kernel, model, clock, run: { cuts: [1, 1], labels: ['calm', 'angry'], adapter, steps: 1, batch: 2, maxLength: 8, learningRate: 0.01 },
    onStep: (client, step, loss) => { losses[client] = loss },
  })
  const devices = [0, 1].map((client) => {
    const [near, far] = createLinkPair()
    void server.attend(far)
    return joinRun({ kernel, model, data, link: near, clock, name: `device ${client}`, client })
  })
  const [{ adapterModel }, ...ended] = await Promise.all([server.result, ...devices])
  return { losses, ended, bytes: adapterModel }
}
