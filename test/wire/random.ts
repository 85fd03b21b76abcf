/** Counter-based random u32 numbers: the same seed and case give the same attack on every machine. */
export type Random = (below: number) => number

/** Mixer by Chris Wellons ("lowbias32"). */
function mix(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d)
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b)
  return (x ^ (x >>> 16)) >>> 0
}

/** Draws integers from 0 to below − 1. */
export function randomFrom(seed: number, stream: number): Random {
  const key = mix(seed ^ mix(stream + 1))
  let counter = 0
  return (below) => Math.floor((mix(key + counter++) / 2 ** 32) * below)
}
