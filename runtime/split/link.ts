/** Ends of links: frames that wait to be received, and two ends joined in one thread. */
import type { Link } from '../host/network.ts'

/** Frames that wait for `receive`. A peer has one step in flight; what comes beyond the limit closes the link. */
export const INBOX_FRAMES_MAX = 16

export type Inbox = {
  push(frame: Uint8Array): void
  finish(): void
  receive(): Promise<Uint8Array | null>
}

/** Turns a transport's events into `receive`. `overflow` is called when a peer sends beyond its credit. */
export function createInbox(overflow: () => void): Inbox {
  const frames: Uint8Array[] = []
  let waiting: ((frame: Uint8Array | null) => void) | undefined
  let finished = false
  return {
    push(frame) {
      if (finished) return
      if (waiting) {
        const resolve = waiting
        waiting = undefined
        resolve(frame)
      } else if (frames.length < INBOX_FRAMES_MAX) frames.push(frame)
      else overflow()
    },
    finish() {
      finished = true
      waiting?.(null)
      waiting = undefined
    },
    receive() {
      const frame = frames.shift()
      if (frame || finished) return Promise.resolve(frame ?? null)
      return new Promise((resolve) => { waiting = resolve })
    },
  }
}

/** What links of one machine have not: a greeting that is judged. */
export const ADMIT_NOTHING = (): void => {}

/** Two joined ends in one thread. */
export function createLinkPair(): [Link, Link] {
  let reason: string | null = null
  const make = (mine: () => Inbox, other: () => Inbox): Link => ({
    send: (frame) => other().push(frame),
    receive: () => mine().receive(),
    admit: ADMIT_NOTHING,
    close: (why) => {
      reason ??= why ?? null
      close()
    },
    why: () => reason,
  })
  const close = () => { left.finish(); right.finish() }
  const left: Inbox = createInbox(close)
  const right: Inbox = createInbox(close)
  return [make(() => left, () => right), make(() => right, () => left)]
}
