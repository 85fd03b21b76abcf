/** A device's connection that is made again when it breaks, with growing pauses, until the run has ended or the server is out of reach for too long. */
import { refuse } from '../error.ts'
import type { Clock } from '../host/clock.ts'
import type { Entropy } from '../host/entropy.ts'
import type { Link, NoLink } from '../host/network.ts'

const PAUSE_MS = 250
const PAUSE_MS_MAX = 8000

export type ReconnectOptions = {
  clock: Clock
  entropy: Entropy
  dial(): Promise<Link | NoLink>
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

/** Statuses below 500 that pass by themselves: request timeout, too early, too many requests. */
const PASSING_STATUSES = [408, 425, 429]

/** Whether asking again may help: not where somebody has answered that this is not the place, or not for this device. */
function mayPass({ miss, status = 0 }: NoLink): boolean {
  // Below 200 no answer is final: one that ends there was damaged on its way.
  if (miss === 'status') return status < 200 || status >= 500 || PASSING_STATUSES.includes(status)
  return miss !== 'certificate' && miss !== 'protocol'
}

const TOLD: Readonly<Record<NoLink['miss'], string>> = {
  unreachable: 'out of reach', silent: 'no answer', 'name-unknown': 'no such name', 'name-unresolved': 'the name cannot be looked up now',
  certificate: 'its certificate is not trusted', status: 'an answer, but no WebSocket', protocol: 'no WebSocket speaks there',
}

/** That nobody listens there is what the error says without a cause. */
function refuseAddress(code: string, expected: string, url: string, why: NoLink | null, broken: string | null): never {
  // A link that was made and ended says itself why.
  if (why === null) return refuse(code, 'address', expected, broken === null ? url : `${url}: ${broken}`)
  if (why.said === '') return refuse(code, 'address', expected, url)
  return refuse(code, 'address', `${expected} at ${url}`, `${TOLD[why.miss]}: ${why.said}`)
}

/** Of a name that does not exist: one such answer may come of a resolver that is being set up. */
const UNKNOWN_MAX = 2

/**
 * Returns when the run has ended. Refuses `join-lost` after too long, and `join-refused` at once where asking again will not
 * help, unless the server has been there before; what `attend` refuses goes through.
 */
export async function keepConnected({ clock, entropy, dial, attend, lost, retryMs, url }: ReconnectOptions): Promise<void> {
  let lostMs = clock.now()
  let known = false
  let unknowns = 0
  let broken: string | null = null
  for (let attempt = 0; ; attempt++) {
    const link = await dial()
    const why = 'miss' in link ? link : null
    if ('miss' in link) {
      unknowns = link.miss === 'name-unknown' ? unknowns + 1 : 0
      if (!known && (!mayPass(link) || unknowns === UNKNOWN_MAX)) refuseAddress('join-refused', 'a server', url, why, null)
    } else {
      const { ended, welcomed } = await attend(link).finally(() => link.close())
      if (ended) return
      broken = link.why()
      if (welcomed) {
        lost(broken)
        lostMs = clock.now()
        attempt = 0
        known = true
      }
    }
    const leftMs = lostMs + retryMs - clock.now()
    if (leftMs <= 0) refuseAddress('join-lost', `a server within ${retryMs / 1000} s`, url, why, broken)
    await new Promise<void>((resolve) => { clock.after(Math.min(pauseMs(attempt, entropy), leftMs), resolve) })
  }
}
