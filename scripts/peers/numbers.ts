/**
 * The numbers that every participant works on, drawn alike in TypeScript and in Python (pytorch.py), and how outputs
 * are compared.
 *
 * Value i of a tensor depends on its name and i alone: a counter through an integer hash (lowbias32), not Threefry as in
 * runtime/random.ts, for numpy and JavaScript must both fill 10⁸ of them in a few seconds.
 *   u = 2·(hash >>> 8) / 2²⁴ − 1 in [−1, 1), value = f32(center + scale·u)
 */

/** A tensor by how it is drawn. */
export type Tensor = { name: string; shape: readonly number[]; scale: number; center: number }

/** What an output is compared by: Σ|y|, Σ y·u with u drawn as the tensor `check`, and √Σ y². */
export type Check = { size: number; signed: number; norm: number }
export type Checks = Readonly<Record<string, Check>>

export const CHECK_TOLERANCE = 1e-3

/** FNV-1a over the name's UTF-16 units. */
export function seedOf(name: string): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < name.length; index++) hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193)
  return hash >>> 0
}

function uniformAt(seed: number, index: number): number {
  let x = Math.imul(index + 1, 0x9e3779b1) ^ seed
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d)
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b)
  return ((x ^ (x >>> 16)) >>> 8) / 8388608 - 1
}

export function drawTensor({ name, shape, scale, center }: Tensor): Float32Array<ArrayBuffer> {
  const seed = seedOf(name)
  const values = new Float32Array(shape.reduce((product, size) => product * size, 1))
  for (let index = 0; index < values.length; index++) values[index] = center + scale * uniformAt(seed, index)
  return values
}

/** A permuted or transposed output keeps its size and norm; `signed` gives it away. */
export function checkOutput(values: ArrayLike<number>): Check {
  const seed = seedOf('check')
  let size = 0, signed = 0, square = 0
  for (let index = 0; index < values.length; index++) {
    const value = values[index]
    size += Math.abs(value)
    signed += value * uniformAt(seed, index)
    square += value * value
  }
  return { size, signed, norm: Math.sqrt(square) }
}

export function checkOutputs(outputs: Readonly<Record<string, ArrayLike<number>>>): Checks {
  return Object.fromEntries(Object.entries(outputs).map(([name, values]) => [name, checkOutput(values)]))
}

function agree(a: Check, b: Check, tolerance: number): boolean {
  return Math.abs(a.size - b.size) <= tolerance * Math.abs(b.size)
    && Math.abs(a.norm - b.norm) <= tolerance * b.norm
    && Math.abs(a.signed - b.signed) <= tolerance * b.norm
}

/** The first output in which `found` differs from `expected`, in words; NaN differs from everything. */
export function findDifference(found: Checks, expected: Checks, tolerance = CHECK_TOLERANCE): string | undefined {
  for (const [name, check] of Object.entries(expected)) {
    const other = found[name]
    if (!other || !agree(other, check, tolerance)) {
      return `${name}: expected ${JSON.stringify(check)}, got ${JSON.stringify(other) ?? 'none'}`
    }
  }
  return undefined
}

/** The checks that most of the others agree with, the earliest of equals: what all are held to. */
export function chooseReference(all: readonly Checks[]): Checks {
  const votes = all.map((one) => all.filter((other) => findDifference(other, one) === undefined).length)
  return all[votes.indexOf(Math.max(...votes))]
}
