/** FedAvg (McMahan et al. 2017, algorithm 1) over adapter vectors, on a kernel instance of its own. */
import { refuse } from '../error.ts'
import type { Kernel } from '../kernel/load.ts'
import { createMemory, instantiate } from '../kernel/load.ts'
import { createPlanner } from '../kernel/plan.ts'

/** A participant's vector [P] and its sample count. */
export type Contribution = { vector: Float32Array; samples: number }

export type Average = (contributions: readonly Contribution[]) => Float32Array

/** Averages vectors of `count` values weighted by samples, in the order given; refuses an empty list. */
export async function openAverage(kernel: Kernel, count: number): Promise<Average> {
  const planner = createPlanner()
  const sum = planner.place('sum', 'scratch', 'call', 8 * count)
  const input = planner.place('input', 'scratch', 'call', 4 * count)
  const { pages } = planner.finish()
  const memory = createMemory(pages, false)
  const exports = await instantiate(kernel.module, memory, kernel.tile)
  const place = new Float32Array(memory.buffer, input, count)
  const sums = new Float64Array(memory.buffer, sum, count)
  return (contributions) => {
    if (contributions.length === 0) refuse('average-empty', 'average', 'at least one participant', 'none')
    // −0 is the sum of nothing that leaves every value its sign.
    sums.fill(-0)
    let total = 0
    for (const { vector, samples } of contributions) {
      if (vector.length !== count) refuse('average-count', 'average', `${count} values`, vector.length)
      place.set(vector)
      exports.averageAdd(sum, input, samples, count)
      total += samples
    }
    exports.averageFinish(input, sum, total, count)
    return place.slice()
  }
}
