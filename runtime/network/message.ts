/** What the thread that computes (port.ts) and the thread that holds the sockets (switchboard.ts) tell each other. */
import type { DialOptions, ListenOptions, NoLink } from '../host/network.ts'

/** What crosses from one thread to the other. */
export type PlaceOptions = Omit<ListenOptions, 'attend' | 'tell'>

export type ToSockets =
  | { kind: 'listen'; listener: number; options: PlaceOptions }
  | { kind: 'unlisten'; listener: number }
  | { kind: 'dial'; link: number; url: string; options: DialOptions }
  | { kind: 'send'; link: number; frame: Uint8Array }
  /** The oldest frame that was delivered has been taken. */
  | { kind: 'take'; link: number }
  | { kind: 'admit'; link: number }
  | { kind: 'close'; link: number; reason: string }
  /** Begins to measure how long this thread is held up, and asks for the longest time since. */
  | { kind: 'watch' } | { kind: 'stall' }
  /** Closes everything; `finished` answers. */
  | { kind: 'finish' }

export type FromSockets =
  | { kind: 'listening'; listener: number; address: string; elsewhere: readonly string[] }
  | { kind: 'unlistened'; listener: number; code: string }
  | { kind: 'told'; listener: number; line: string }
  /** A dialled link, or one that has come to a listener with its first frame behind this. */
  | { kind: 'open'; link: number; listener: number | null }
  | { kind: 'frame'; link: number; frame: Uint8Array; heardMs: number }
  | { kind: 'ended'; link: number; reason: string | null }
  /** A dialled link never opened. */
  | { kind: 'missed'; link: number; why: NoLink }
  | { kind: 'stalled'; ms: number }
  | { kind: 'finished' }
