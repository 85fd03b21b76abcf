/**
 * `kerf/wire`: the wire alone, with no kernel and no model. A frame is a 64-byte prelude and a safetensors body; the format,
 * the order of a reader's checks and every error code are in SPEC.md beside the sources of this entry.
 *
 * Every function throws a KerfError that names the field, what was expected and what came; a frame is refused before
 * anything is allocated for it.
 */
export { KerfError } from '../error.ts'
export { crc32c } from '../wire/crc32c.ts'
export { FRAME_TYPES, FRAME_VERSION, checkPrelude, decodeFrame, encodeFrame, readPrelude } from '../wire/frame.ts'
export type { Crc32c, Frame, FrameExpectation, FrameHead, FrameInput, FrameType, Prelude, Window } from '../wire/frame.ts'
/** Codecs for activations and their gradients, f32 [rows, width] to a frame's tensors and back. */
export { CODECS, decodeTensor, encodeTensor, floatFromHalf, halfFromFloat, parseCodec, tensorExpectation } from '../wire/codec.ts'
export type { Codec } from '../wire/codec.ts'
export { checkTensors } from '../wire/expectation.ts'
export type { DimensionExpectation, TensorExpectation } from '../wire/expectation.ts'
export { DTYPE_BYTES, decodeSafetensors, encodeSafetensors, headerBytes, parseHeader } from '../wire/safetensors.ts'
export type { Dtype, SafetensorsHeader, TensorInput, TensorView } from '../wire/safetensors.ts'
export { BODY_BYTES_MAX, HEADER_BYTES_MAX, PRELUDE_BYTES, RANK_MAX, TENSORS_MAX, TENSOR_NAME_BYTES_MAX } from '../wire/limits.ts'
