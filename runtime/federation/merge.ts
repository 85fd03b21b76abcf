/**
 * From the sets of those who finished to the next base: bounded weights, clipped updates, the average, and a trial on data
 * before anybody gets it. What is held against a device is told by its number.
 */
import type { Average } from './average.ts'
import { clipLimit, clipUpdate, normOf } from './clip.ts'

/** `samples` as the device claims them. */
export type Given = { client: number; vector: Float32Array; samples: number }

export type MergeOptions = {
  average: Average
  /** Times the median norm; 0: nobody is clipped. */
  clip: number
  /** What the run can show of one device's samples at most: nobody weighs more. */
  samplesMax: number
  /** The loss of a full set on a few texts. */
  trial(vector: Float32Array): Promise<number>
  tell(client: number, what: string): void
}

/** Whose share is not to be had is left out, the furthest from the base first; the base itself where nothing is left. */
export type Merge = (base: Float32Array, given: readonly Given[]) => Promise<Float32Array>

export function createMerge({ average, clip, samplesMax, trial, tell }: MergeOptions): Merge {
  /** Those whose claim has been told of. */
  const bounded = new Set<number>()
  const weigh = ({ client, samples }: Given): number => {
    if (samples > samplesMax && !bounded.has(client)) {
      bounded.add(client)
      tell(client, `claims ${samples} samples: counts as ${samplesMax}, the most that this run can show`)
    }
    return Math.min(samples, samplesMax)
  }
  return async (base, given) => {
    const norms = given.map(({ vector }) => normOf(vector, base))
    const limit = clipLimit(norms, clip)
    let left = given.map(({ client, vector, samples }, index) => {
      const norm = norms[index]
      if (norm > limit) tell(client, `clipped: its update of norm ${norm.toPrecision(3)} counts as ${limit.toPrecision(3)}, ${clip} times the median`)
      return { client, norm, vector: clipUpdate(vector, base, norm, limit), samples: weigh({ client, vector, samples }) }
    })
    while (left.length > 0) {
      const vector = left.length === 1 ? left[0].vector : average(left)
      const loss = await trial(vector)
      if (Number.isFinite(loss)) return vector
      const furthest = left.reduce((most, one) => (one.norm > most.norm ? one : most))
      tell(furthest.client, `left out of the average: with it the loss on data is ${loss}`)
      left = left.filter((one) => one !== furthest)
    }
    return base
  }
}
