/**
 * The digest of a tensor's bits: two MurmurHash3 bodies side by side, the second with the constants exchanged, over the
 * little-endian words of its elements (the last one filled up with zeros) and then the count of its bytes. 16 hexadecimal
 * digits. Every NaN of an f32 or f64 counts as one: 7fc00000 or 7ff8000000000000. Chance alone gives the same digest to other
 * bits once in 2^64; it is no defence against forgers.
 */
import type { Element } from './case.ts'

const C1 = 0xcc9e2d51, C2 = 0x1b873593
export type Digest = { addWord(word: number): void; finish(bytes: number): string }

function hexOf(word: number): string {
  return `0000000${(word >>> 0).toString(16)}`.slice(-8)
}

export function createDigest(): Digest {
  let a = 0, b = 0
  const addWord = (word: number) => {
    let k = Math.imul(word, C1)
    k = Math.imul((k << 15) | (k >>> 17), C2)
    a ^= k
    a = (Math.imul((a << 13) | (a >>> 19), 5) + 0xe6546b64) | 0
    k = Math.imul(word, C2)
    k = Math.imul((k << 15) | (k >>> 17), C1)
    b ^= k
    b = (Math.imul((b << 13) | (b >>> 19), 5) + 0xe6546b64) | 0
  }
  return {
    addWord,
    finish(bytes) {
      addWord(bytes)
      return hexOf(a) + hexOf(b)
    },
  }
}

/** The bytes with every NaN as the one that counts. A copy. */
export function settleNaN(element: Element, bytes: Uint8Array): Uint8Array {
  const settled = bytes.slice()
  if (element === 'f32') {
    const words = new Uint32Array(settled.buffer)
    for (let i = 0; i < words.length; i++) if ((words[i] & 0x7fffffff) > 0x7f800000) words[i] = 0x7fc00000
  } else if (element === 'f64') {
    const words = new Uint32Array(settled.buffer)
    for (let i = 0; i < words.length; i += 2) {
      const high = words[i + 1] & 0x7fffffff
      if (high > 0x7ff00000 || (high === 0x7ff00000 && words[i] !== 0)) {
        words[i] = 0
        words[i + 1] = 0x7ff80000
      }
    }
  }
  return settled
}

export function digestBytes(element: Element, bytes: Uint8Array): string {
  const whole = new Uint8Array(Math.ceil(bytes.length / 4) * 4)
  whole.set(settleNaN(element, bytes))
  const words = new Int32Array(whole.buffer)
  const digest = createDigest()
  for (let i = 0; i < words.length; i++) digest.addWord(words[i])
  return digest.finish(bytes.length)
}

/** A number that an operation returns counts as one f64. */
export function bytesOfNumber(value: number): Uint8Array {
  return new Uint8Array(Float64Array.of(value).buffer)
}
