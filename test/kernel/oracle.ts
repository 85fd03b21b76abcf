/** The float64 oracle behind the case table's port. */
import type { Expected, Oracle, Tensors } from '../../runtime/cases/oracle.ts'
import * as bert from '../oracle/bert.ts'
import { centralDifferences, dot, slopeAt } from '../oracle/gradient.ts'
import { crc32c } from '../wire/crc32c.ts'
import { halfValue, nearestHalf } from './half.ts'

function slopes(f: (x: Float64Array) => Float64Array, x: Float64Array): Float64Array {
  const moved = x.slice()
  return x.map((_, i) => slopeAt(() => f(moved.subarray(i, i + 1))[0], moved, i))
}

function gradients(forward: () => Float64Array, dOut: Float64Array, of: Tensors, start: Tensors = {}, count = 40): Record<string, Expected> {
  const sources = new Map(Object.entries(of).map(([name, data]) => [name, { data }]))
  const found = centralDifferences(() => dot(forward(), dOut), sources, { count, seed: 1 })
  return Object.fromEntries([...found].map(([name, { indices, values }]) =>
    [name, { indices, values: values.map((slope, i) => slope + (start[name]?.[indices[i]] ?? 0)) }]))
}

export const ORACLE: Oracle = { ...bert, exp: Math.exp, log: Math.log, tanhOf: Math.tanh, slopes, gradients, halfValue, nearestHalf, crc32c }
