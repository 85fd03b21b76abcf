/**
 * Every limit of the wire, one constant each. SPEC.md quotes them; each has an
 * error code and an attack in test/wire/attack.test.ts.
 */

/** JSON header of a safetensors file or body. BERT-base needs 25 KB; this bounds what parsing can allocate. */
export const HEADER_BYTES_MAX = 1 << 20
/** Nesting of the header: header, tensor entry, array make three. */
export const HEADER_DEPTH_MAX = 4
/** One number in the header, in characters; the largest safe integer has 16. */
export const NUMBER_CHARS_MAX = 32
/** Tensors in one file or body. */
export const TENSORS_MAX = 8192
/** UTF-8 bytes of one tensor name. */
export const TENSOR_NAME_BYTES_MAX = 256
/** Dimensions of one tensor. */
export const RANK_MAX = 8

/** The fixed prelude before every body. */
export const PRELUDE_BYTES = 64

/** Body bytes by frame type. A receiver may declare less, never more. */
export const BODY_BYTES_MAX = {
  hello: 64 << 10,
  welcome: 64 << 10,
  activation: 64 << 20,
  gradient: 64 << 20,
  adapter: 256 << 20,
  state: 1 << 30,
  error: 4 << 10,
  bye: 64 << 10,
  ready: 4 << 10,
  report: 4 << 10,
  challenge: 4 << 10,
  proof: 4 << 10,
} as const

/** f16 codec: the scale is a power of two in this range, so 65504 · scale stays below the largest f32. */
export const F16_SCALE_EXPONENT_MIN = -126
export const F16_SCALE_EXPONENT_MAX = 112

/** int8 codec: smallest row scale, the smallest normal f32 (2^-126), so that no scale is zero or subnormal. */
export const INT8_SCALE_MIN = 1.1754943508222875e-38
/** int8 codec: largest row scale (f32 bits 7c010203), the largest whose product with 127 is finite. */
export const INT8_SCALE_MAX = 2.6793883890187504e36
