/** One training step of a small classifier with the kernel alone: forward, loss, backward, AdamW, in a memory of one's own. */
import { LINEAR_BYTES, adamw, createMemory, createPlanner, instantiateKernel, loadKernel, writeLinear } from 'kerf/kernel'

const N = 4, C = 8, K = 3

/** @param {import('kerf/kernel').KernelSource} source the bytes of kerf.simd.wasm, its Response, or a compiled module */
export async function trainWithKernel(source) {
  const kernel = await loadKernel(source)
  const { linearScratchBytes } = kernel.exports
  const planner = createPlanner()
  /** @param {string} name @param {number} count of 4 bytes each */
  const place = (name, count) => planner.place(name, 'weights', 'run', 4 * count)
  const at = {
    x: place('x', N * C), weight: place('weight', K * C), dWeight: place('dWeight', K * C), m: place('m', K * C), v: place('v', K * C),
    logits: place('logits', N * K), losses: place('losses', N), labels: place('labels', N),
    record: planner.place('record', 'records', 'run', LINEAR_BYTES),
    scratch: planner.place('scratch', 'scratch', 'call', linearScratchBytes(N, C, K, 0)),
  }
  const memory = createMemory(planner.finish().bytes)
  const operations = await instantiateKernel(kernel, memory)
  const floats = new Float32Array(memory.buffer), integers = new Int32Array(memory.buffer)
  for (let i = 0; i < N * C; i++) floats[at.x / 4 + i] = ((i * 7) % 11) / 8 - 0.5
  for (let i = 0; i < K * C; i++) floats[at.weight / 4 + i] = ((i * 5) % 13) / 16 - 0.375
  integers.set([0, 2, 1, 2], at.labels / 4)
  writeLinear(memory.buffer, at.record, {
    weight: at.weight, bias: 0, loraA: 0, loraB: 0, dWeight: at.dWeight, dBias: 0, dLoraA: 0, dLoraB: 0,
    inputs: C, outputs: K, rank: 0, scale: 0, format: 0, scales: 0,
  })
  const forward = () => {
    operations.linear(at.logits, 0, at.x, at.record, N, at.scratch)
    return operations.crossEntropy(at.losses, at.logits, at.logits, at.labels, N, K)
  }
  const before = forward()
  operations.linearBackward(0, at.logits, at.x, 0, at.record, N, 0, at.scratch)
  adamw(operations, {
    p: at.weight, m: at.m, v: at.v, g: at.dWeight, n: K * C, keep: 1, beta1: 0.9, rest1: 0.1, beta2: 0.999, rest2: 0.001,
    step: 0.01 / 0.1, correction: Math.sqrt(0.001), eps: 1e-8,
  })
  return { before, after: forward(), bytes: new Uint8Array(memory.buffer, at.weight, 4 * K * C).slice() }
}
