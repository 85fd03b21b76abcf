/** A device's connection that is made again when it breaks, with growing pauses, until the run has ended or the server is out of reach for too long. */
import { refuse } from '../error.ts'
import type { Clock } from '../host/clock.ts'
import type { Entropy } from '../host/entropy.ts'
import type { Link } from '../host/network.ts'

const PAUSE_MS = 250
const PAUSE_MS_MAX = 8000

export type ReconnectOptions = {
  clock: Clock
  entropy: Entropy
  /** An open link, or null when nobody answers. */
  dial(): Promise<Link | null>
  /** One connection to its end: `ended` where the run has ended, `welcomed` where the server took the device in at all. */
  attend(link: Link): Promise<{ ended: boolean; welcomed: boolean }>
  /** A connection that the server had taken in has broken, for a reason where one is known. */
  lost(why: string | null): void
  /** For how long the server may be out of reach. */
  retryMs: number
  /** For the error: where the server is. */
  url: string
}

/** Between a half and the whole of a pause that doubles each time: devices that lost one server do not all come back at once. */
function pauseMs(attempt: number, entropy: Entropy): number {
  let whole = PAUSE_MS
  for (let doubled = 0; doubled < attempt && whole < PAUSE_MS_MAX; doubled++) whole *= 2
  const byte = new Uint8Array(1)
  entropy.fill(byte)
  return Math.min(PAUSE_MS_MAX, whole) * (0.5 + byte[0] / 510)
}

/** Returns when the run has ended. Refuses `join-lost`; what `attend` refuses goes through. */
export async function keepConnected({ clock, entropy, dial, attend, lost, retryMs, url }: ReconnectOptions): Promise<void> {
  let lostMs = clock.now()
  let why: string | null = null
  for (let attempt = 0; ; attempt++) {
    const link = await dial()
    if (link) {
      const { ended, welcomed } = await attend(link).finally(() => link.close())
      if (ended) return
      why = link.why()
      if (welcomed) {
        lost(why)
        lostMs = clock.now()
        attempt = 0
      }
    }
    const leftMs = lostMs + retryMs - clock.now()
    if (leftMs <= 0) refuse('join-lost', 'address', `a server within ${retryMs / 1000} s`, why === null ? url : `${url}: ${why}`)
    await new Promise<void>((resolve) => { clock.after(Math.min(pauseMs(attempt, entropy), leftMs), resolve) })
  }
}
