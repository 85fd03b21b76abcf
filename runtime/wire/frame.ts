/**
 * A frame: a 64-byte little-endian prelude, then a safetensors body. One frame
 * carries activations, gradients, adapters and control alike. The prelude's
 * layout and the order of the checks are SPEC.md, sections 2 and 3: a frame is
 * refused before anything is allocated for it.
 */
import { refuse } from '../error.ts'
import { checkTensors } from './expectation.ts'
import type { TensorExpectation } from './expectation.ts'
import { BODY_BYTES_MAX, PRELUDE_BYTES } from './limits.ts'
import { decodeSafetensors, planSafetensors, writeSafetensors } from './safetensors.ts'
import type { TensorInput } from './safetensors.ts'

/** CRC32C (Castagnoli) of the bytes; the kernel provides it. */
export type Crc32c = (bytes: Uint8Array) => number

/** The type byte of each kind of frame. 11 is never given: it is the unknown type that attacks and vectors send. */
export const FRAME_TYPES = {
  hello: 1,
  welcome: 2,
  activation: 3,
  gradient: 4,
  adapter: 5,
  state: 6,
  error: 7,
  bye: 8,
  ready: 9,
  report: 10,
  challenge: 12,
  proof: 13,
} as const

export type FrameType = keyof typeof FRAME_TYPES

/** Who sends what, and when; every number is a u32. */
export type FrameHead = {
  type: FrameType
  run: number
  client: number
  round: number
  step: number
  /** Counts this sender's frames of one epoch from 0. */
  sequence: number
  /** Fencing: rises by one at each rejoin, so that frames of a dead connection are refused. */
  epoch: number
}

export type FrameInput = FrameHead & { tensors: readonly TensorInput[]; metadata?: Readonly<Record<string, string>> }

/** A checked frame. Tensor data are views of the received bytes and may be unaligned. */
export type Frame = FrameHead & { tensors: ReadonlyMap<string, TensorInput>; metadata: Readonly<Record<string, string>> }

/** A prelude as received. `bodyBytes` is only a claim until checkPrelude has accepted it. */
export type Prelude = FrameHead & { bodyBytes: number; chunkIndex: number; chunkCount: number; bodyCrc: number }

/** Inclusive bounds. */
export type Window = { readonly min: number; readonly max: number }

/** What the receiver declared. `null` leaves a number unchecked: before the hello, the receiver knows no client yet. */
export type FrameExpectation = {
  /** The types allowed now, each with its tensors and, where it is tighter than BODY_BYTES_MAX, its body limit. */
  types: Readonly<Partial<Record<FrameType, { bodyBytesMax?: number; tensors: readonly TensorExpectation[] }>>>
  run: number | null
  client: number | null
  epoch: number | null
  round: Window
  step: Window
  sequence: number
}

export const FRAME_VERSION = 1
/** 'KERF' read as a little-endian u32. */
const MAGIC = 0x4652454b
const CONTROL: readonly FrameType[] = ['hello', 'challenge', 'proof', 'welcome', 'ready', 'report', 'error', 'bye']

/** Byte offsets of the prelude's fields. */
const AT = {
  magic: 0,
  version: 4,
  type: 5,
  flags: 6,
  bodyBytes: 8,
  chunkIndex: 12,
  chunkCount: 16,
  run: 20,
  client: 24,
  round: 28,
  step: 32,
  sequence: 36,
  epoch: 40,
  reserved: 44,
  bodyCrc: 56,
  preludeCrc: 60,
} as const

const NUMBERS = ['run', 'client', 'round', 'step', 'sequence', 'epoch'] as const

/**
 * Writes one frame. Refuses with `frame-number` what is no u32, `frame-extra-tensor` for tensors in a
 * control frame, `frame-limit` for a body over its type's limit, and the codes of planSafetensors.
 * Each tensor's bytes are copied once, into the frame, which has a buffer of its own.
 */
export function encodeFrame(frame: FrameInput, crc32c: Crc32c): Uint8Array {
  const { type, tensors, metadata } = frame
  if (CONTROL.includes(type) && tensors.length > 0) {
    refuse('frame-extra-tensor', 'frame.body', `no tensors in a frame of type ${type}`, tensors[0].name)
  }
  const plan = planSafetensors(tensors, metadata)
  checkLimit(plan.bytes, BODY_BYTES_MAX[type])
  const bytes = new Uint8Array(PRELUDE_BYTES + plan.bytes)
  const view = new DataView(bytes.buffer)
  view.setUint32(AT.magic, MAGIC, true)
  view.setUint8(AT.version, FRAME_VERSION)
  view.setUint8(AT.type, FRAME_TYPES[type])
  view.setUint32(AT.bodyBytes, plan.bytes, true)
  view.setUint32(AT.chunkCount, 1, true)
  for (const name of NUMBERS) {
    const number = frame[name]
    if (number !== number >>> 0) refuse('frame-number', `frame.${name}`, 'an integer from 0 to 2^32 − 1', number)
    view.setUint32(AT[name], number, true)
  }
  writeSafetensors(plan, bytes, PRELUDE_BYTES)
  view.setUint32(AT.bodyCrc, crc32c(bytes.subarray(PRELUDE_BYTES)), true)
  view.setUint32(AT.preludeCrc, crc32c(bytes.subarray(0, AT.preludeCrc)), true)
  return bytes
}

/**
 * Reads a prelude by itself; `bytes` holds the first 64 bytes or more. Refuses with `frame-short`,
 * `frame-prelude-crc`, `frame-magic`, `frame-version`, `frame-type`, `frame-flags`, `frame-reserved`.
 */
export function readPrelude(bytes: Uint8Array, crc32c: Crc32c): Prelude {
  if (bytes.length < PRELUDE_BYTES) refuse('frame-short', 'frame', `at least ${PRELUDE_BYTES} bytes`, bytes.length)
  const view = new DataView(bytes.buffer, bytes.byteOffset, PRELUDE_BYTES)
  const u32 = (at: number) => view.getUint32(at, true)
  const crc = crc32c(bytes.subarray(0, AT.preludeCrc)) >>> 0
  if (u32(AT.preludeCrc) !== crc) refuse('frame-prelude-crc', 'frame.preludeCrc', hex(crc), hex(u32(AT.preludeCrc)))
  if (u32(AT.magic) !== MAGIC) refuse('frame-magic', 'frame.magic', hex(MAGIC), hex(u32(AT.magic)))
  const version = view.getUint8(AT.version)
  if (version !== FRAME_VERSION) refuse('frame-version', 'frame.version', `${FRAME_VERSION}`, version)
  const type = readType(view.getUint8(AT.type))
  const flags = view.getUint16(AT.flags, true)
  if (flags !== 0) refuse('frame-flags', 'frame.flags', '0, no flag is defined', flags)
  if (!bytes.subarray(AT.reserved, AT.bodyCrc).every((byte) => byte === 0)) {
    refuse('frame-reserved', 'frame.reserved', 'zero bytes', bytes.subarray(AT.reserved, AT.bodyCrc))
  }
  return {
    type,
    run: u32(AT.run),
    client: u32(AT.client),
    round: u32(AT.round),
    step: u32(AT.step),
    sequence: u32(AT.sequence),
    epoch: u32(AT.epoch),
    bodyBytes: u32(AT.bodyBytes),
    chunkIndex: u32(AT.chunkIndex),
    chunkCount: u32(AT.chunkCount),
    bodyCrc: u32(AT.bodyCrc),
  }
}

/**
 * Checks a prelude against what the receiver declared; after it, `bodyBytes` may be allocated.
 * Refuses with `frame-type-unexpected`, the identity codes (run, client, epoch, round, step,
 * sequence), `frame-chunk` and `frame-limit`.
 */
export function checkPrelude(prelude: Prelude, expected: FrameExpectation): void {
  const type = Object.hasOwn(expected.types, prelude.type) ? expected.types[prelude.type] : undefined
  if (type === undefined) return refuse('frame-type-unexpected', 'frame.type', Object.keys(expected.types).join(' or '), prelude.type)
  const { run, client, epoch, round, step, sequence } = prelude
  if (expected.run !== null && run !== expected.run) refuse('frame-run', 'frame.run', `${expected.run}`, run)
  if (expected.client !== null && client !== expected.client) refuse('frame-client', 'frame.client', `${expected.client}`, client)
  if (expected.epoch !== null && epoch !== expected.epoch) refuse('frame-epoch', 'frame.epoch', `${expected.epoch}`, epoch)
  if (round < expected.round.min) refuse('frame-round-past', 'frame.round', `at least ${expected.round.min}`, round)
  if (round > expected.round.max) refuse('frame-round-future', 'frame.round', `at most ${expected.round.max}`, round)
  if (step < expected.step.min) refuse('frame-step-past', 'frame.step', `at least ${expected.step.min}`, step)
  if (step > expected.step.max) refuse('frame-step-future', 'frame.step', `at most ${expected.step.max}`, step)
  if (sequence < expected.sequence) refuse('frame-sequence-replayed', 'frame.sequence', `${expected.sequence}`, sequence)
  if (sequence > expected.sequence) refuse('frame-sequence-future', 'frame.sequence', `${expected.sequence}`, sequence)
  const { chunkIndex, chunkCount } = prelude
  if (chunkIndex !== 0 || chunkCount !== 1) refuse('frame-chunk', 'frame.chunk', 'chunk 0 of 1', `${chunkIndex} of ${chunkCount}`)
  const limit = BODY_BYTES_MAX[prelude.type]
  checkLimit(prelude.bodyBytes, Math.min(limit, type.bodyBytesMax ?? limit))
}

/**
 * Reads one whole frame: readPrelude, checkPrelude, then `frame-length`, `frame-body-crc`, the
 * `safetensors-…` codes, and the declared tensors (`frame-missing-tensor`, `frame-extra-tensor`,
 * `frame-dtype`, `frame-shape`, `frame-not-finite`), in this order.
 */
export function decodeFrame(bytes: Uint8Array, expected: FrameExpectation, crc32c: Crc32c): Frame {
  const prelude = readPrelude(bytes, crc32c)
  checkPrelude(prelude, expected)
  const { type, run, client, round, step, sequence, epoch, bodyBytes, bodyCrc } = prelude
  const body = bytes.subarray(PRELUDE_BYTES)
  if (body.length !== bodyBytes) refuse('frame-length', 'frame.body', `${bodyBytes} bytes`, body.length)
  const crc = crc32c(body) >>> 0
  if (crc !== bodyCrc) refuse('frame-body-crc', 'frame.bodyCrc', hex(crc), hex(bodyCrc))
  const { tensors, metadata } = decodeSafetensors(body, 'frame.body')
  checkTensors(tensors, expected.types[type]?.tensors ?? [], 'frame.body')
  return { type, run, client, round, step, sequence, epoch, tensors, metadata }
}

function readType(byte: number): FrameType {
  const types = Object.keys(FRAME_TYPES) as FrameType[]
  const type = types.find((name) => FRAME_TYPES[name] === byte)
  return type ?? refuse('frame-type', 'frame.type', Object.values(FRAME_TYPES).join(', '), byte)
}

function checkLimit(bodyBytes: number, limit: number): void {
  if (bodyBytes > limit) refuse('frame-limit', 'frame.bodyBytes', `at most ${limit}`, bodyBytes)
}

function hex(number: number): string {
  return `0x${number.toString(16).padStart(8, '0')}`
}
