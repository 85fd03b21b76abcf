/** ws's sockets, as the thread of the sockets wants them. */
import type { Socket as Connection } from 'node:net'
import type { WebSocket } from 'ws'
import { CLOSE_MS, piecesMax } from '../../runtime/network/limits.ts'
import type { Socket } from '../../runtime/network/socket.ts'

export const SOCKET_OPTIONS = { perMessageDeflate: false, autoPong: false, closeTimeout: CLOSE_MS } as const

/** What ws holds of a message that is not yet whole. */
export function limitPieces(frameBytesMax: number): { maxPayload: number; maxFragments: number; maxBufferedChunks: number } {
  const pieces = piecesMax(frameBytesMax)
  return { maxPayload: frameBytesMax, maxFragments: pieces, maxBufferedChunks: pieces }
}

/** Buffers up to this may be shared. */
const SHARED_BYTES_MAX = 8192
/** A peer that is gone, as its system says it. */
const VANISHED = ['ECONNRESET', 'EPIPE', 'ECONNABORTED']

/** A large message has a buffer of its own, aligned; a small one is a piece of what was read, or of what ws has once for all. */
function ownBytes(data: Buffer): Uint8Array<ArrayBuffer> {
  const own = data.byteLength === data.buffer.byteLength && data.byteLength > SHARED_BYTES_MAX
  return own ? new Uint8Array(data.buffer as ArrayBuffer) : new Uint8Array(data)
}

function describe({ code = '', message }: Error & { code?: string }): string | null {
  if (VANISHED.includes(code)) return null
  return code === '' || code.startsWith('WS_') ? message : code
}

export function wrapSocket(socket: WebSocket, connection: Connection): Socket {
  return {
    watch({ message, ping, broken, closed }) {
      socket.on('message', (data: Buffer, binary: boolean) => message(ownBytes(data), binary))
      socket.on('ping', ping)
      socket.on('error', (error) => broken(describe(error)))
      socket.on('close', (code, words: Buffer) => closed(code, words.toString()))
    },
    countBytes(count) {
      const add = ({ length }: Buffer): void => count(length)
      // Before ws makes messages of it.
      connection.prependListener('data', add)
      return () => connection.off('data', add)
    },
    isOpen: () => socket.readyState === socket.OPEN,
    send: (frame, written) => socket.send(frame, written),
    ping: (payload) => socket.ping(payload),
    pong: (payload, written) => socket.pong(payload, undefined, written),
    close: (code, reason) => socket.close(code, reason),
    terminate: () => socket.terminate(),
    pause: () => socket.pause(),
    receivedBytes: () => connection.bytesRead,
    queuedBytes: () => socket.bufferedAmount,
    describeWaiting() {
      const { _handle: handle } = connection as Connection & { _handle?: { writeQueueSize?: number } | null }
      return socket.bufferedAmount === 0 ? '' : `${socket.bufferedAmount} ${handle?.writeQueueSize ?? ''}`
    },
  }
}
