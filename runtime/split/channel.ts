/**
 * One side of one connection: numbers outgoing frames, checks incoming ones against
 * what is expected now, and counts bytes. Device and server use the same. A link that
 * throws has broken: it ends as one that closes, and nobody who sends learns of it.
 */
import type { KerfError } from '../error.ts'
import { clipText } from '../error.ts'
import type { TensorExpectation } from '../wire/expectation.ts'
import type { Crc32c, Frame, FrameExpectation, FrameType } from '../wire/frame.ts'
import { decodeFrame, encodeFrame } from '../wire/frame.ts'
import type { TensorInput } from '../wire/safetensors.ts'
import { bodyBytesMax } from './contract.ts'
import type { Link } from '../host/network.ts'
import { tellError } from './told.ts'

export type Identity = { run: number; client: number; epoch: number }
export type Message = { round?: number; step?: number; tensors?: readonly TensorInput[]; metadata?: Readonly<Record<string, string>> }
/** Types expected now with their tensors, and the step they may bear. */
export type Expected = { types: Partial<Record<FrameType, readonly TensorExpectation[]>>; step?: number }

const U32_MAX = 0xffffffff

export class Channel {
  readonly link: Link
  sentBytes = 0
  receivedBytes = 0
  identity: Identity | null = null
  private readonly crc32c: Crc32c
  private sent = 0
  private received = 0

  constructor(link: Link, crc32c: Crc32c) {
    this.link = link
    this.crc32c = crc32c
  }

  send(type: FrameType, { round = 0, step = 0, tensors = [], metadata = {} }: Message = {}): void {
    const { run, client, epoch } = this.identity ?? { run: 0, client: 0, epoch: 0 }
    const bytes = encodeFrame({ type, run, client, epoch, round, step, sequence: this.sent, tensors, metadata }, this.crc32c)
    // Not before it is whole: what tells of a failure would have another number than its reader expects.
    this.sent++
    this.sentBytes += bytes.length
    try {
      this.link.send(bytes)
    } catch {
      this.close()
    }
  }

  /**
   * Sends an error frame with what may be told, short enough for its limit even where every character is escaped; the words that
   * it told. Never throws: what can't be told ends its connection all the same, and nothing else.
   */
  sendError(error: KerfError): string {
    const { code, field, message } = tellError(error)
    const told = clipText(message, MESSAGE_CHARS_MAX)
    try {
      this.send('error', { metadata: { code, field: clipText(field, FIELD_CHARS_MAX), message: told } })
    } catch {
      this.close()
    }
    return told
  }

  /** The next frame's bytes, or null when the link has closed. */
  async receive(): Promise<Uint8Array | null> {
    try {
      const bytes = await this.link.receive()
      this.receivedBytes += bytes?.length ?? 0
      return bytes
    } catch {
      this.close()
      return null
    }
  }

  /** Checks bytes as the frame expected now; throws a KerfError that names what is wrong. */
  decode(bytes: Uint8Array, { types, step }: Expected): Frame {
    const window = step === undefined ? { min: 0, max: U32_MAX } : { min: step, max: step }
    const expectation: FrameExpectation = {
      types: Object.fromEntries(Object.entries(types).map(([type, tensors]) => [type, { tensors, ...limit(tensors) }])),
      run: this.identity?.run ?? null, client: this.identity?.client ?? null, epoch: this.identity?.epoch ?? null,
      round: { min: 0, max: U32_MAX }, step: window, sequence: this.received,
    }
    const frame = decodeFrame(bytes, expectation, this.crc32c)
    this.received++
    return frame
  }

  close(reason?: string): void {
    try {
      this.link.close(reason)
    } catch {
      // It has ended one way or the other.
    }
  }
}

const FIELD_CHARS_MAX = 100
const MESSAGE_CHARS_MAX = 400

function limit(tensors: readonly TensorExpectation[]): { bodyBytesMax?: number } {
  return tensors.length > 0 ? { bodyBytesMax: bodyBytesMax(tensors) } : {}
}
