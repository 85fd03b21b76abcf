/** A device that a host drives by calls: a frame in, frames out. */
import { testKernel } from '../../runtime/cases/selftest.ts'
import { refuse } from '../../runtime/error.ts'
import { createChecksum } from '../../runtime/kernel/checksum.ts'
import type { Kernel } from '../../runtime/kernel/load.ts'
import { loadKernel } from '../../runtime/kernel/load.ts'
import type { Clock } from '../../runtime/host/clock.ts'
import type { ByteSource } from '../../runtime/host/files.ts'
import type { Link } from '../../runtime/host/network.ts'
import { parseConfig } from '../../runtime/model/config.ts'
import { checksumText, checksumWeights } from '../../runtime/model/fingerprint.ts'
import { openWeights } from '../../runtime/model/weights.ts'
import type { Contract } from '../../runtime/split/contract.ts'
import { optimizerOf } from '../../runtime/split/contract.ts'
import type { Provisions } from '../../runtime/split/device.ts'
import { runDevice } from '../../runtime/split/device.ts'
import { openStageHalf } from '../../runtime/split/half.stage.ts'
import { ADMIT_NOTHING, createInbox } from '../../runtime/split/link.ts'
import type { Prover } from '../../runtime/split/proof.ts'
import type { Fit } from '../../runtime/split/spec.ts'
import { fitDevice } from '../../runtime/split/spec.ts'
import { runJobs } from './engine.ts'

/** A file that is read part by part, so that it is never held whole; `read` gives the bytes of [begin, end). */
export type WeightsFile = { bytes: number; read(begin: number, end: number): Uint8Array }

/** What a host brings. */
export type DeviceParts = {
  /** The text of config.json. */
  config: string
  /** model.safetensors, or as much of it as embeddings and the first blocks; read once, when the run's cut is known. */
  weights: ArrayBuffer | WeightsFile
  /** The token ids of each text, as the base's tokenizer gives them, and its label's row. */
  sequences: readonly ArrayLike<number>[]
  labels: ArrayLike<number>
  name: string
  /** The number asked for; any free one without it. */
  client?: number
  /** Who it is, and how it signs. */
  key?: Prover
  invitation?: string
  /** How the stage is held, and the most bytes that it may take. */
  fit?: Fit
  /** Milliseconds, for accounts of time alone; without it they are all 0. */
  now?: () => number
}

export type EmbeddedDevice = {
  /** The greeting; to be sent first. */
  begin(): Uint8Array[]
  /** What follows from a frame, which may be overwritten afterwards. Throws what the server, or the device itself, refuses. */
  takeFrame(bytes: Uint8Array): Uint8Array[]
  /** The run has ended well. */
  isDone(): boolean
}

export function openDevice(parts: DeviceParts): EmbeddedDevice {
  const { name, client = null, key, invitation, now = () => 0 } = parts
  let sent: Uint8Array[] = []
  let done = false
  let failure: unknown
  const inbox = createInbox(() => inbox.finish())
  const link: Link = {
    send: (frame) => { sent.push(frame) },
    receive: () => inbox.receive(),
    admit: ADMIT_NOTHING,
    close: () => inbox.finish(),
    why: () => null,
  }
  const clock: Clock = { now, turn: async () => {}, after: () => () => {} }

  const start = async () => {
    const kernel = await testKernel(await loadKernel(new Uint8Array(0), 'scalar'))
    done = await runDevice({
      name, client, key, invitation, link, clock, crc32c: createChecksum(kernel),
      provide: (contract) => provide(parts, kernel, contract, clock),
    })
  }
  const take = (): Uint8Array[] => {
    runJobs()
    if (failure !== undefined) throw failure
    const frames = sent
    sent = []
    return frames
  }
  return {
    begin() {
      start().catch((error: unknown) => { failure = error })
      return take()
    },
    takeFrame(bytes) {
      inbox.push(bytes)
      return take()
    },
    isDone: () => done,
  }
}

/** What the device computes with, by the run's contract. */
async function provide(parts: DeviceParts, kernel: Kernel, contract: Contract, clock: Clock): Promise<Provisions> {
  const { sequences, labels, fit = {} } = parts
  if (labels.length !== sequences.length) refuse('device-labels', 'labels', `${sequences.length} of them, one for each text`, labels.length)
  for (let row = 0; row < labels.length; row++) {
    const known = labels[row] >= 0 && labels[row] < contract.labels.length
    if (!known) refuse('device-labels', `labels[${row}]`, `0 … ${contract.labels.length - 1}, as the run has labels`, labels[row])
  }
  const config = parseConfig(parts.config)
  const crc32c = createChecksum(kernel)
  const weights = checksumWeights(await openWeights(sourceOf(parts.weights)), config, crc32c)
  return {
    config, checksums: weights.checksums, fingerprint: checksumText(JSON.stringify(config), crc32c),
    data: { sequences: sequences.map((ids) => Int32Array.from(ids)), labels: Int32Array.from(labels) },
    openHalf: (spec) => openStageHalf(kernel, fitDevice(spec, fit, kernel.exports), weights, optimizerOf(contract), clock.now),
  }
}

function openBuffer(buffer: ArrayBuffer): WeightsFile {
  return { bytes: buffer.byteLength, read: (begin, end) => new Uint8Array(buffer, begin, end - begin) }
}

function sourceOf(weights: ArrayBuffer | WeightsFile): ByteSource {
  const file = 'read' in weights ? weights : openBuffer(weights)
  return { name: 'weights', bytes: file.bytes, read: async (begin, end) => file.read(begin, end), close: async () => {} }
}
