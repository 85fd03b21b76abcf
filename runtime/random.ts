/**
 * Counter-based random numbers: Threefry-2x32 with 20 rounds (Salmon et al. 2011,
 * "Parallel Random Numbers: As Easy as 1, 2, 3"). A number depends on (seed, stream,
 * counter) alone, so that any party can draw any number without the ones before it.
 */

const ROTATIONS = [13, 15, 26, 6, 17, 29, 16, 24]
const PARITY = 0x1bd11bda

/** Two u32 from a key and a counter of two u32 each. */
export function threefry(key0: number, key1: number, counter0: number, counter1: number): [number, number] {
  const keys = [key0 | 0, key1 | 0, (key0 ^ key1 ^ PARITY) | 0]
  let x = (counter0 + keys[0]) | 0
  let y = (counter1 + keys[1]) | 0
  for (let round = 0; round < 20; round++) {
    x = (x + y) | 0
    const turn = ROTATIONS[round & 7]
    y = ((y << turn) | (y >>> (32 - turn))) ^ x
    if ((round & 3) === 3) {
      const injection = (round + 1) >> 2
      x = (x + keys[injection % 3]) | 0
      y = (y + keys[(injection + 1) % 3] + injection) | 0
    }
  }
  return [x >>> 0, y >>> 0]
}

/** What numbers are drawn for; part of the key, so that no two uses share numbers. */
export const STREAMS = { classifier: 1, adapter: 2, partition: 3, shuffle: 4, mask: 5, weights: 6, pretrain: 7 } as const
export type Stream = keyof typeof STREAMS

export type Random = {
  /** The next u32. */
  bits(): number
  /** Uniform in (0, 1), 53 bits, never 0 or 1. */
  uniform(): number
  /** Uniform integer in [0, count), without bias. */
  below(count: number): number
}

/** A sequence for one seed, stream and index, e.g. a client's number or an epoch. */
export function createRandom(seed: number, stream: Stream, index = 0): Random {
  const key = threefry(seed, STREAMS[stream], index, 0x6b657266)
  let counter = 0
  let spare = -1
  const bits = (): number => {
    if (spare >= 0) {
      const value = spare
      spare = -1
      return value
    }
    const [first, second] = threefry(key[0], key[1], counter, 0)
    counter++
    spare = second
    return first
  }
  const uniform = (): number => ((bits() >>> 5) * 67108864 + (bits() >>> 6) + 0.5) / 9007199254740992
  const below = (count: number): number => {
    const limit = 4294967296 - (4294967296 % count)
    let value = bits()
    while (value >= limit) value = bits()
    return value % count
  }
  return { bits, uniform, below }
}

/** The numbers 0 … count−1 in an order drawn from `random` (Fisher and Yates). */
export function permute(count: number, random: Random): Int32Array {
  const order = Int32Array.from({ length: count }, (_, index) => index)
  for (let last = count - 1; last > 0; last--) {
    const other = random.below(last + 1)
    const kept = order[last]
    order[last] = order[other]
    order[other] = kept
  }
  return order
}

/** A standard normal by Marsaglia's polar method; `log` is the kernel's, so that every host gets the same bits. */
export function drawNormal(random: Random, log: (x: number) => number): number {
  for (;;) {
    const u = 2 * random.uniform() - 1
    const v = 2 * random.uniform() - 1
    const square = u * u + v * v
    if (square > 0 && square < 1) return u * Math.sqrt((-2 * log(square)) / square)
  }
}
