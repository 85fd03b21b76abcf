/**
 * Valid frames of every type, damaged with knowledge of their structure: fields of the prelude, the header's text and numbers,
 * shapes, dtypes, offsets, metadata and values, each under true CRCs, so that what lies behind the CRCs is reached.
 */
import { KerfError } from '../../runtime/error.ts'
import { readActivation, readLoss } from '../../runtime/split/activation.ts'
import type { Contract } from '../../runtime/split/contract.ts'
import {
  activationExpectation, adapterExpectation, deviceLayout, gradientExpectation, optimizerOf, parseContract, stateExpectation,
} from '../../runtime/split/contract.ts'
import { checkMoments, checkReach, reachOf } from '../../runtime/split/reach.ts'
import { stateFrom, stateMessage } from '../../runtime/split/state.ts'
import type { Share } from '../../runtime/split/share.ts'
import { parseShare } from '../../runtime/split/share.ts'
import { parseStats } from '../../runtime/split/stats.ts'
import { integerTensor, vectorFrom, vectorTensors } from '../../runtime/split/tensors.ts'
import { freshState } from '../../runtime/model/optimizer.ts'
import { decodeTensor, encodeTensor } from '../../runtime/wire/codec.ts'
import type { Crc32c, Frame, FrameExpectation, FrameType } from '../../runtime/wire/frame.ts'
import { decodeFrame, encodeFrame } from '../../runtime/wire/frame.ts'
import { PRELUDE_BYTES } from '../../runtime/wire/limits.ts'
import type { TensorInput } from '../../runtime/wire/safetensors.ts'
import type { Random } from '../wire/random.ts'
import { AT, forgeContent } from './forge.ts'
import { LABELS, config, layout, makeContract } from './model.ts'

const CONTRACT: Contract = makeContract({ batch: 3 })
export const SHARE: Share = {
  samples: 8, labelCounts: [3, 3, 2], rows: 24, sequences: 3, longest: 8, dataCrc: 7, dtype: 'f32', profile: 'strict', memoryBytes: 65536,
}
const ROWS = 7
const CUT = 1
const STEPS = 3
const part = deviceLayout(config, CONTRACT, CUT)
const base = new Float32Array(layout.count).fill(0.01)
const values = Float32Array.from({ length: ROWS * config.hiddenSize }, (_, i) => Math.fround(((i * 37) % 19) / 9 - 1))
/** A value no true activation of the sample exceeds. */
const LARGEST = 30

type Sample = { tensors?: readonly TensorInput[]; metadata?: Record<string, string>; contract?: Contract }

const activation = (codec: Contract['codec']): Sample => ({
  contract: { ...CONTRACT, codec }, metadata: { cut: String(CUT) },
  tensors: [
    ...encodeTensor(codec, 'activation', ROWS, config.hiddenSize, values),
    integerTensor('offsets', Int32Array.of(0, 2, 4, 7)), integerTensor('labels', Int32Array.of(0, 2, 1)),
  ],
})

const SAMPLES: readonly (Sample & { type: FrameType })[] = [
  { type: 'hello', metadata: { name: 'device \u{1f600}', client: '1' } },
  { type: 'welcome', metadata: { contract: JSON.stringify(CONTRACT) } },
  { type: 'ready', metadata: { share: JSON.stringify(SHARE) } },
  ...(['f32', 'f16', 'int8'] as const).map((codec) => ({ type: 'activation' as const, ...activation(codec) })),
  { type: 'gradient', tensors: encodeTensor('f32', 'gradient', ROWS, config.hiddenSize, values) },
  { type: 'adapter', tensors: vectorTensors(part, base.slice(0, part.count)), metadata: { until: '3' } },
  { type: 'state', ...stateMessage(part, freshState(base.slice(0, part.count)), STEPS) },
  { type: 'report', metadata: { loss: '1.25', until: '3' } },
  { type: 'error', metadata: { code: 'frame-type', field: 'frame.type', message: 'frame.type: expected 1 to 10, got 99' } },
  { type: 'bye', metadata: { stats: JSON.stringify({ computeMs: 1, waitMs: 2, spans: [{ kind: 'wait', beginMs: 0, endMs: 2 }] }) } },
]

const HEAD = { run: 7, client: 1, epoch: 2, round: 3, step: 3, sequence: 4 }

function expectationOf(contract: Contract): FrameExpectation {
  const control = { tensors: [] }
  return {
    types: {
      hello: control, welcome: control, ready: control, report: control, error: control, bye: control,
      activation: { tensors: activationExpectation(contract, SHARE, config.hiddenSize) },
      gradient: { tensors: gradientExpectation(contract, ROWS, config.hiddenSize) },
      adapter: { tensors: adapterExpectation(part) }, state: { tensors: stateExpectation(part) },
    },
    run: HEAD.run, client: HEAD.client, epoch: HEAD.epoch, round: { min: 0, max: 9 }, step: { min: 0, max: 9 }, sequence: HEAD.sequence,
  }
}

/** What a reader does with a frame that has passed, as door, intake and device do. */
function readOn(frame: Frame, contract: Contract): void {
  const { metadata } = frame
  if (frame.type === 'welcome') parseContract(metadata.contract ?? '')
  else if (frame.type === 'ready') parseShare(metadata.share ?? '', contract)
  else if (frame.type === 'activation') readActivation(frame, contract, { cut: CUT, share: SHARE, width: config.hiddenSize, largest: LARGEST })
  else if (frame.type === 'gradient') decodeTensor(contract.codec, 'gradient', frame.tensors, ROWS, config.hiddenSize)
  else if (frame.type === 'adapter') checkReach(part, vectorFrom(part, frame), base, reachOf(optimizerOf(contract), STEPS))
  else if (frame.type === 'report') readLoss(frame)
  else if (frame.type === 'bye') parseStats(metadata.stats)
  else if (frame.type === 'state') checkMoments(part, stateFrom(part, frame), optimizerOf(contract), STEPS, true)
}

/** Whose frame, and when. */
export type Head = { run: number; client: number; epoch: number; round: number; step: number; sequence: number }

/** A valid frame of client `head.client` with `cut` blocks; its adapters of 1e30 are the one lie that no mutation takes back. */
export function makeWork(type: 'activation' | 'state' | 'adapter' | 'bye', cut: number, head: Head, crc32c: Crc32c): Uint8Array {
  const own = deviceLayout(config, CONTRACT, cut)
  const params = new Float32Array(own.count).fill(1e30)
  if (type === 'bye') return encodeFrame({ ...head, type, tensors: [], metadata: {} }, crc32c)
  if (type === 'adapter') return encodeFrame({ ...head, type, tensors: vectorTensors(own, params), metadata: {} }, crc32c)
  if (type === 'state') return encodeFrame({ ...head, type, ...stateMessage(own, freshState(params), head.step) }, crc32c)
  return encodeFrame({ ...head, type, tensors: activation('f32').tensors!, metadata: { cut: String(cut) } }, crc32c)
}

export type Subject = { type: FrameType; bytes: Uint8Array; read(bytes: Uint8Array): void }

/** A valid frame of each type, with its reader; the reader throws what refuses it. */
export function makeSubjects(crc32c: Crc32c): Subject[] {
  return SAMPLES.map(({ type, tensors = [], metadata = {}, contract = CONTRACT }) => {
    const expectation = expectationOf(contract)
    return {
      type, bytes: encodeFrame({ ...HEAD, type, tensors, metadata }, crc32c),
      read: (bytes) => readOn(decodeFrame(bytes, expectation, crc32c), contract),
    }
  })
}

const NUMBERS = [0, 1, 2, 7, 8, 63, 64, 255, 4096, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff]
const FIELDS = Object.values(AT).filter((at) => at % 4 === 0 && at < AT.preludeCrc)
const FLOATS = [0, -0, 1e30, -1e30, 3.4e38, 1e-45, NaN, Infinity, -Infinity, 100, 1e9]
const SCRAPS = [
  '{', '}', '[', ']', '"', ',', ':', '\\', '\\u0000', '\\ud800', 'null', 'true', '-1', '0.5', '1e999', '9007199254740993', '"__proto__"', '"__metadata__"',
  '"F64"', '"I8"', '"BF16"', '"F32"', '\0', ' ', '[0,4294967296]', '"data_offsets"', '18446744073709551615', 'NaN', '\u{1f600}', '<script>',
]
const DTYPES = ['F64', 'F32', 'F16', 'BF16', 'I64', 'I32', 'I8', 'U8', 'BOOL', 'X']

const pick = <T>(random: Random, list: readonly T[]): T => list[random(list.length)]
const encoder = new TextEncoder(), decoder = new TextDecoder()

function headerOf(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  return decoder.decode(bytes.subarray(PRELUDE_BYTES + 8, PRELUDE_BYTES + 8 + view.getUint32(PRELUDE_BYTES, true)))
}

/** The same prelude and data behind another header. */
function withHeader(bytes: Uint8Array, header: string): Uint8Array {
  const text = encoder.encode(header)
  const data = bytes.subarray(PRELUDE_BYTES + 8 + new DataView(bytes.buffer, bytes.byteOffset).getUint32(PRELUDE_BYTES, true))
  const changed = new Uint8Array(PRELUDE_BYTES + 8 + text.length + data.length)
  changed.set(bytes.subarray(0, PRELUDE_BYTES))
  new DataView(changed.buffer).setUint32(PRELUDE_BYTES, text.length, true)
  changed.set(text, PRELUDE_BYTES + 8)
  changed.set(data, PRELUDE_BYTES + 8 + text.length)
  return changed
}

type Mutation = (bytes: Uint8Array, random: Random) => Uint8Array

const MUTATIONS: readonly Mutation[] = [
  function prelude(bytes, random) {
    const view = new DataView(bytes.buffer)
    view.setUint32(pick(random, FIELDS), random(2) ? pick(random, NUMBERS) : random(2 ** 32), true)
    return bytes
  },
  function turn(bytes, random) {
    for (let count = 1 + random(4); count > 0; count--) bytes[random(bytes.length)] = random(256)
    return bytes
  },
  function value(bytes, random) {
    const view = new DataView(bytes.buffer)
    const begin = PRELUDE_BYTES + 8 + view.getUint32(PRELUDE_BYTES, true)
    const words = (bytes.length - begin) >> 2
    if (words > 0) for (let count = 1 + random(3); count > 0; count--) view.setFloat32(begin + 4 * random(words), pick(random, FLOATS), true)
    return bytes
  },
  (bytes, random) => bytes.slice(0, random(bytes.length)),
  (bytes, random) => Uint8Array.of(...bytes, ...Array.from({ length: 1 + random(40) }, () => random(256))),
  function headerLength(bytes, random) {
    if (bytes.length >= PRELUDE_BYTES + 8) new DataView(bytes.buffer).setUint32(PRELUDE_BYTES + 4 * random(2), pick(random, NUMBERS), true)
    return bytes
  },
  function text(bytes, random) {
    let header = headerOf(bytes)
    for (let count = 1 + random(3); count > 0; count--) {
      const at = random(header.length + 1)
      const scrap = random(2) ? pick(random, SCRAPS) : header.slice(at, at + random(30))
      header = header.slice(0, at) + scrap + header.slice(at + random(2) * random(30))
    }
    return withHeader(bytes, header)
  },
  function numbers(bytes, random) {
    const header = headerOf(bytes)
    const found = [...header.matchAll(/\d+/g)]
    const { 0: digits, index } = found.length > 0 ? pick(random, found) : { 0: '', index: 0 }
    const other = pick(random, ['0', '-1', '1', '2', '1e3', '4294967296', '9007199254740991', '1e308', String(Number(digits) + 1), String(2 * Number(digits))])
    return withHeader(bytes, header.slice(0, index) + other + header.slice(index + digits.length))
  },
  (bytes, random) => withHeader(bytes, headerOf(bytes).replace(/"(F32|F16|I32|I8)"/, () => `"${pick(random, DTYPES)}"`)),
  function structure(bytes, random) {
    let header: Record<string, unknown>
    try {
      header = JSON.parse(headerOf(bytes)) as Record<string, unknown>
    } catch {
      return bytes
    }
    const names = Object.keys(header)
    const name = pick(random, names)
    const change = random(4)
    if (change === 0) delete header[name]
    else if (change === 1) header[`${name}${random(3)}`] = header[name]
    else if (change === 2) header[name] = header[pick(random, names)]
    else {
      const metadata = { ...(header.__metadata__ as Record<string, unknown> | undefined) }
      const keys = ['cut', 'until', 'power1', 'power2', 'loss', 'share', 'stats', 'contract', 'name', 'client']
      metadata[pick(random, keys)] = pick(random, ['', '0', '-1', 'NaN', '1e308', 'null', '[]', '{}', '{"a":1}', LABELS.join(','), '\u0000', 'x'.repeat(2000)])
      header.__metadata__ = metadata
    }
    return withHeader(bytes, JSON.stringify(header))
  },
]

/** A whole body with one tensor of another shape, number or name. */
const reshape: Mutation = (bytes, random) => forgeContent(bytes, ({ tensors, metadata }) => {
  const names = [...tensors.keys()]
  if (names.length === 0) return void (metadata[`more${random(9)}`] = '1')
  const tensor = tensors.get(pick(random, names))!
  const change = random(5)
  if (change === 0) tensors.set(tensor.name, { ...tensor, shape: [...tensor.shape].reverse() })
  else if (change === 1) tensors.set(tensor.name, { ...tensor, shape: [tensor.shape.reduce((product, size) => product * size, 1)] })
  else if (change === 2) tensors.delete(tensor.name)
  else if (change === 3) tensors.set(`${tensor.name}.more`, { ...tensor, name: `${tensor.name}.more` })
  else {
    const [rows, ...rest] = tensor.shape
    const wanted = random(2 * rows + 1)
    const data = new Uint8Array((tensor.data.length / rows) * wanted)
    data.set(tensor.data.subarray(0, data.length))
    tensors.set(tensor.name, { ...tensor, shape: [wanted, ...rest], data })
  }
})

/** True lengths and CRCs, where there is room for them. */
export function seal(bytes: Uint8Array, crc32c: Crc32c): Uint8Array {
  if (bytes.length < PRELUDE_BYTES) return bytes
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  view.setUint32(AT.bodyBytes, bytes.length - PRELUDE_BYTES, true)
  view.setUint32(AT.bodyCrc, crc32c(bytes.subarray(PRELUDE_BYTES)), true)
  view.setUint32(AT.preludeCrc, crc32c(bytes.subarray(0, AT.preludeCrc)), true)
  return bytes
}

/** Only the prelude's CRC: its lengths stay lies. */
function sealHead(bytes: Uint8Array, crc32c: Crc32c): Uint8Array {
  if (bytes.length >= PRELUDE_BYTES) new DataView(bytes.buffer).setUint32(AT.preludeCrc, crc32c(bytes.subarray(0, AT.preludeCrc)), true)
  return bytes
}

/** A damaged copy: one to two mutations; of eight, one keeps its old CRCs and one a body length that may lie. */
export function mutate(bytes: Uint8Array, random: Random, crc32c: Crc32c): Uint8Array {
  let changed: Uint8Array = bytes.slice()
  for (let count = 1 + random(2); count > 0; count--) {
    // What a first mutation has cut short has no header for a second.
    try {
      changed = random(MUTATIONS.length + 1) === 0 ? reshape(changed, random) : pick(random, MUTATIONS)(changed, random)
    } catch (error) {
      if (!(error instanceof RangeError || error instanceof TypeError || error instanceof KerfError)) throw error
    }
  }
  const fate = random(8)
  return fate === 0 ? changed : fate === 1 ? sealHead(changed, crc32c) : seal(changed, crc32c)
}

/** Reads one damaged frame: the refusal's code, or `accepted`; throws whatever else came out. */
export function tryFrame({ bytes, read }: Subject, random: Random, crc32c: Crc32c): string {
  try {
    read(mutate(bytes, random, crc32c))
    return 'accepted'
  } catch (error) {
    if (error instanceof KerfError) return error.code
    throw error
  }
}
