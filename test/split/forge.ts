/** Frames with one lie: everything else, CRCs included, is put right again. */
import { FRAME_TYPES } from '../../runtime/wire/frame.ts'
import type { FrameType } from '../../runtime/wire/frame.ts'
import { PRELUDE_BYTES } from '../../runtime/wire/limits.ts'
import type { TensorInput } from '../../runtime/wire/safetensors.ts'
import { decodeSafetensors, encodeSafetensors } from '../../runtime/wire/safetensors.ts'
import { crc32c } from '../wire/crc32c.ts'

/** Byte offsets of the prelude (runtime/wire/SPEC.md, section 2). */
export const AT = {
  magic: 0, version: 4, type: 5, flags: 6, bodyBytes: 8, chunkIndex: 12, chunkCount: 16, run: 20, client: 24, round: 28, step: 32,
  sequence: 36, epoch: 40, reserved: 44, bodyCrc: 56, preludeCrc: 60,
} as const

function seal(bytes: Uint8Array): Uint8Array {
  new DataView(bytes.buffer).setUint32(AT.preludeCrc, crc32c(bytes.subarray(0, AT.preludeCrc)), true)
  return bytes
}

/** Another prelude before the same body. */
export function forgeHead(bytes: Uint8Array, change: (view: DataView) => void): Uint8Array {
  const forged = bytes.slice()
  change(new DataView(forged.buffer))
  return seal(forged)
}

export function forgeNumber(bytes: Uint8Array, field: keyof typeof AT, change: (value: number) => number): Uint8Array {
  return forgeHead(bytes, (view) => view.setUint32(AT[field], change(view.getUint32(AT[field], true)), true))
}

/** Another body behind the same prelude, its length and CRC put right. */
export function forgeBody(bytes: Uint8Array, body: Uint8Array): Uint8Array {
  const forged = new Uint8Array(PRELUDE_BYTES + body.length)
  forged.set(bytes.subarray(0, PRELUDE_BYTES))
  forged.set(body, PRELUDE_BYTES)
  const view = new DataView(forged.buffer)
  view.setUint32(AT.bodyBytes, body.length, true)
  view.setUint32(AT.bodyCrc, crc32c(body), true)
  return seal(forged)
}

export type Body = { tensors: Map<string, TensorInput>; metadata: Record<string, string> }

/** The same frame with other tensors or metadata. */
export function forgeContent(bytes: Uint8Array, change: (body: Body) => void): Uint8Array {
  const { tensors, metadata } = decodeSafetensors(bytes.slice(PRELUDE_BYTES))
  const body = { tensors: new Map([...tensors].map(([name, tensor]) => [name, { ...tensor, name, data: tensor.data.slice() }])), metadata: { ...metadata } }
  change(body)
  return forgeBody(bytes, encodeSafetensors([...body.tensors.values()], body.metadata))
}

/** The same frame with one tensor's values changed in place. */
export function forgeFloats(bytes: Uint8Array, name: string, change: (values: Float32Array) => void): Uint8Array {
  return forgeContent(bytes, ({ tensors }) => change(new Float32Array(tensors.get(name)!.data.buffer)))
}

/** The same frame with the integers of one tensor replaced, in whatever number. */
export function forgeIntegers(bytes: Uint8Array, name: string, change: (values: number[]) => readonly number[]): Uint8Array {
  return forgeContent(bytes, ({ tensors }) => {
    const old = tensors.get(name)!
    const values = Int32Array.from(change([...new Int32Array(old.data.buffer)]))
    tensors.set(name, { ...old, shape: [values.length], data: new Uint8Array(values.buffer) })
  })
}

/** The same frame under another type. */
export function forgeType(bytes: Uint8Array, type: FrameType): Uint8Array {
  return forgeHead(bytes, (view) => view.setUint8(AT.type, FRAME_TYPES[type]))
}
