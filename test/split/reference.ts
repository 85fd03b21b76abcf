/** The schemes by hand: plain loops over stages, with no server, link, frame or schedule. */
import { prefixCount } from '../../runtime/model/layout.ts'
import type { TokenizedDataset } from '../../runtime/data/dataset.ts'
import type { SetState } from '../../runtime/model/optimizer.ts'
import { ADAMW, freshState, joinStates, sliceState } from '../../runtime/model/optimizer.ts'
import { Stage } from '../../runtime/model/stage.ts'
import type { Contract } from '../../runtime/split/contract.ts'
import { createSampler, rowsMax } from '../../runtime/data/sampler.ts'
import { openKernelBuild } from '../kernels.ts'
import { LABELS, LAYERS, adapter, config, layout, weights } from './model.ts'

async function openStage(contract: Contract, shares: readonly TokenizedDataset[], from: number, to: number): Promise<Stage> {
  const rows = Math.max(...shares.map((share) => rowsMax(share, contract.batch)))
  return Stage.open(await openKernelBuild('simd'), {
    config, from, to, labels: LABELS.length, adapter, training: 'adapters', setsFrom: [from], rows, sequences: contract.batch, longest: contract.maxLength,
  }, weights)
}

/** Steps [begin, until) of one client on the whole model; returns the losses. */
export type WholeModel = (state: SetState, client: number, begin: number, until: number) => { state: SetState; losses: number[] }

export async function openWhole(contract: Contract, shares: readonly TokenizedDataset[]): Promise<WholeModel> {
  const stage = await openStage(contract, shares, 0, LAYERS)
  const samplers = shares.map((share, client) => createSampler(share, contract.batch, contract.seed, client, contract.shuffle))
  return (state, client, begin, until) => {
    stage.writeSet(0, state)
    const losses: number[] = []
    for (let step = begin; step < until; step++) {
      const { labels, ...batch } = samplers[client].batch(step)
      stage.forward(batch)
      losses.push(stage.loss(labels))
      stage.clearGradients()
      stage.backward()
      stage.update({ ...ADAMW, learningRate: contract.learningRate, weightDecay: contract.weightDecay })
    }
    return { state: stage.readSet(0), losses }
  }
}

/** FedAvg in f64, in the order given. */
export function averageByHand(vectors: readonly Float32Array[], samples: readonly number[]): Float32Array {
  const total = samples.reduce((sum, count) => sum + count, 0)
  return Float32Array.from(vectors[0], (_, index) => vectors.reduce((sum, vector, at) => sum + samples[at] * vector[index], 0) / total)
}

/** kerf, sfl and fl: each client by itself for an interval, then FedAvg over those `present` in it. */
export async function trainFederated(
  contract: Contract, shares: readonly TokenizedDataset[], initial: Float32Array, present: (client: number, begin: number) => boolean = () => true,
): Promise<Float32Array> {
  const model = await openWhole(contract, shares)
  let base = initial
  for (let begin = 0; begin < contract.steps; begin += contract.interval) {
    const clients = shares.map((_, client) => client).filter((client) => present(client, begin))
    const until = Math.min(begin + contract.interval, contract.steps)
    const vectors = clients.map((client) => model(freshState(base), client, begin, until).state.params)
    base = averageByHand(vectors, clients.map((client) => shares[client].sequences.length))
  }
  return base
}

/** sl: one set goes from device to device within each interval, its moments fresh in each hand. */
export async function trainInTurns(
  contract: Contract, shares: readonly TokenizedDataset[], initial: Float32Array, present: (client: number, begin: number) => boolean = () => true,
): Promise<Float32Array> {
  const model = await openWhole(contract, shares)
  let base = initial
  for (let begin = 0; begin < contract.steps; begin += contract.interval) {
    for (let client = 0; client < shares.length; client++) {
      if (present(client, begin)) base = model(freshState(base), client, begin, Math.min(begin + contract.interval, contract.steps)).state.params
    }
  }
  return base
}

/** splitlora: a stage for each device, one set for all at the server, which serves each round in the order of cuts, longest first. */
export async function trainShared(contract: Contract, shares: readonly TokenizedDataset[], initial: Float32Array): Promise<Float32Array> {
  const { cuts, batch, seed, shuffle } = contract
  const first = Math.min(...cuts)
  const server = await openStage(contract, shares, first, LAYERS)
  const devices = await Promise.all(cuts.map((cut) => openStage(contract, shares, 0, cut)))
  const samplers = shares.map((share, client) => createSampler(share, batch, seed, client, shuffle))
  const order = cuts.map((_, client) => client).sort((a, b) => cuts[b] - cuts[a] || a - b)
  const optimizer = { ...ADAMW, learningRate: contract.learningRate, weightDecay: contract.weightDecay }
  let base = initial
  for (let step = 0; step < contract.steps; step++) {
    if (step % contract.interval === 0) {
      server.writeSet(0, freshState(base.slice(prefixCount(layout, first))))
      devices.forEach((device, client) => device.writeSet(0, freshState(base.slice(0, prefixCount(layout, cuts[client])))))
    }
    for (const client of order) {
      const { labels, ...own } = samplers[client].batch(step)
      devices[client].forward(own)
      server.forward({ offsets: own.offsets, activation: devices[client].activation() }, cuts[client])
      server.loss(labels)
      server.clearGradients()
      const gradient = server.backward()!
      server.update(optimizer)
      devices[client].clearGradients()
      devices[client].backward(gradient)
      devices[client].update(optimizer)
    }
    if ((step + 1) % contract.interval === 0 || step + 1 === contract.steps) {
      const full = devices.map((device, client) => {
        const above = prefixCount(layout, cuts[client]) - prefixCount(layout, first)
        return joinStates(device.readSet(0), sliceState(server.readSet(0), above)).params
      })
      base = averageByHand(full, shares.map(({ sequences }) => sequences.length))
    }
  }
  return base
}
