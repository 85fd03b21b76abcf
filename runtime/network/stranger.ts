/** Who may connect: bounds on connections that are no admitted link yet, by address and in all, and which upgrades are refused. */
import { SPARE_IN_ALL, SPARE_PER_ADDRESS } from './limits.ts'
import type { Upgrade } from './socket.ts'

/** An address of IPv4 as one of IPv6 (RFC 4291, section 2.5.5.2). */
const MAPPED = /^::ffff:(?=\d+(?:\.\d+){3}$)/
const IPV4 = /^\d+(?:\.\d+){3}$/
/** What one subscriber of IPv6 is given: 64 bits. */
const PREFIX_GROUPS = 4
const GROUPS = 8

/** One name for all addresses that one machine is likely to have. */
export function placeOf(address: string): string {
  const name = address.replace(MAPPED, '')
  if (!name.includes(':')) return name
  const [head, tail] = name.replace(/%.*$/, '').split('::').map((part) => (part === '' ? [] : part.split(':')))
  const zeros = tail === undefined ? 0 : GROUPS - head.length - tail.length
  return [...head, ...new Array<string>(Math.max(0, zeros)).fill('0'), ...(tail ?? [])].slice(0, PREFIX_GROUPS).join(':').concat('::/64')
}

/** Strangers are connections that are not admitted: there is room for all peers that are still awaited, and for a few more. */
export class Strangers {
  private readonly peers: number
  private readonly counts = new Map<string, number>()
  private inAll = 0
  private admitted = 0

  constructor(peers: number) {
    this.peers = peers
  }

  /** Whether there is room for one more from there, which is then counted. */
  enter(place: string): boolean {
    const awaited = Math.max(0, this.peers - this.admitted)
    const count = this.counts.get(place) ?? 0
    if (count >= awaited + SPARE_PER_ADDRESS || this.inAll >= awaited + SPARE_IN_ALL) return false
    this.counts.set(place, count + 1)
    this.inAll++
    return true
  }

  leave(place: string): void {
    const count = this.counts.get(place)! - 1
    if (count > 0) this.counts.set(place, count)
    else this.counts.delete(place)
    this.inAll--
  }

  admit(place: string): void {
    this.leave(place)
    this.admitted++
  }

  dismiss(): void {
    this.admitted--
  }
}

/** A name that an address of this machine can't be given from outside, as a page's own name can. As URLs write them. */
function isFixed(hostname: string): boolean {
  return hostname === 'localhost' || hostname.startsWith('[') || IPV4.test(hostname)
}

/**
 * The status that refuses an upgrade, or null. A page of another origin may open sockets wherever it likes; so may one whose
 * name has been turned to this machine, and it then names itself in Host too: a name counts only where a certificate holds it.
 */
export function judgeUpgrade({ url = '', headers: { origin, host = '' } }: Upgrade, secure: boolean): 403 | 404 | null {
  if (url.replace(/\?.*$/s, '') !== '/') return 404
  if (origin === undefined) return null
  const own = `http${secure ? 's' : ''}://${host}`
  if (!URL.canParse(origin) || !URL.canParse(own)) return 403
  const [from, to] = [new URL(origin), new URL(own)]
  const sameScheme = [to.protocol, to.protocol.replace('http', 'ws')].includes(from.protocol)
  const samePort = (from.port || (secure ? '443' : '80')) === (to.port || (secure ? '443' : '80'))
  return sameScheme && samePort && from.hostname === to.hostname && (secure || isFixed(to.hostname)) ? null : 403
}
