/** A peer that speaks the protocol (wire/SPEC.md) and keeps to no rule of it. */
import { readFileSync } from 'node:fs'
import { WebSocket } from 'ws'
import type { Link } from '../../runtime/host/network.ts'
import { createChecksum } from '../../runtime/kernel/checksum.ts'
import { loadKernel } from '../../runtime/kernel/load.ts'
import { Channel } from '../../runtime/split/channel.ts'
import type { Contract } from '../../runtime/split/contract.ts'
import { ADMIT_NOTHING, createInbox } from '../../runtime/split/link.ts'
import type { Share } from '../../runtime/split/share.ts'
import type { Prelude } from '../../runtime/wire/frame.ts'
import { readPrelude } from '../../runtime/wire/frame.ts'
import { PRELUDE_BYTES } from '../../runtime/wire/limits.ts'
import type { TensorInput } from '../../runtime/wire/safetensors.ts'
import { decodeSafetensors } from '../../runtime/wire/safetensors.ts'

const kernel = await loadKernel(readFileSync(new URL('../../dist/kerf.scalar.wasm', import.meta.url)), 'scalar')
const crc32c = createChecksum(kernel)

export type Heard = Prelude & { tensors: ReadonlyMap<string, TensorInput>; metadata: Readonly<Record<string, string>> }

export type Foe = {
  channel: Channel
  socket: WebSocket
  /** The next frame, unchecked; null once the link has closed. */
  next(): Promise<Heard | null>
  /** Asks for a number with no key. The server's answer. */
  hello(client: number | 'any', metadata?: Readonly<Record<string, string>>): Promise<Heard | null>
  /** What the server wants, once it has said welcome. */
  contract(): Contract
  /** Brings a share of `samples` texts; the first order. */
  ready(samples: number): Promise<Heard | null>
  /** Tokens of each text. */
  activate(step: number, tokens: number, width: number): void
}

export async function openFoe(url: string): Promise<Foe> {
  const socket = new WebSocket(url, { perMessageDeflate: false })
  const inbox = createInbox(() => {})
  let contract: Contract | undefined
  socket.on('message', (data: Buffer) => inbox.push(new Uint8Array(data)))
  socket.on('close', () => inbox.finish())
  socket.on('error', () => inbox.finish())
  await new Promise<void>((resolve) => { socket.once('open', resolve).once('close', () => resolve()) })
  const link: Link = {
    send: (frame) => socket.send(frame, () => {}), receive: () => inbox.receive(), admit: ADMIT_NOTHING, close: () => socket.close(), why: () => null,
  }
  const channel = new Channel(link, crc32c)
  const agreed = (): Contract => {
    if (!contract) throw new Error('expected a welcome, got none')
    return contract
  }
  const foe: Foe = {
    channel, socket, contract: agreed,
    async next() {
      const bytes = await channel.receive()
      return bytes && { ...readPrelude(bytes, crc32c), ...decodeSafetensors(bytes.subarray(PRELUDE_BYTES)) }
    },
    async hello(client, metadata = {}) {
      channel.send('hello', { metadata: { name: 'foe', client: String(client), ...metadata } })
      const answer = await foe.next()
      if (answer?.type === 'welcome') {
        channel.identity = { run: answer.run, client: answer.client, epoch: answer.epoch }
        contract = JSON.parse(answer.metadata.contract) as Contract
      }
      return answer
    },
    ready(samples) {
      const { batch, maxLength, labels } = agreed()
      const share: Share = {
        samples, labelCounts: labels.map((_, label) => (label === 0 ? samples : 0)), rows: batch * maxLength, sequences: batch, longest: maxLength,
        memoryBytes: 1,
      }
      channel.send('ready', { metadata: { share: JSON.stringify(share) } })
      return foe.next()
    },
    activate(step, tokens, width) {
      const { batch, cuts } = agreed()
      const ints = (name: string, array: number[]): TensorInput => (
        { name, dtype: 'I32', shape: [array.length], data: new Uint8Array(Int32Array.from(array).buffer) })
      const rows = batch * tokens
      const values = Float32Array.from({ length: rows * width }, (_, index) => ((index * 37) % 101) / 101 - 0.5)
      channel.send('activation', {
        round: step, step, metadata: { cut: String(cuts[channel.identity!.client]) },
        tensors: [
          { name: 'activation', dtype: 'F32', shape: [rows, width], data: new Uint8Array(values.buffer) },
          ints('offsets', Array.from({ length: batch + 1 }, (_, text) => text * tokens)), ints('labels', new Array<number>(batch).fill(0)),
        ],
      })
    },
  }
  return foe
}
