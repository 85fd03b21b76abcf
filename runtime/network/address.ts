/** What devices dial to reach a listening place. */
import type { Listener } from '../host/network.ts'

/** Addresses that stand for all of a machine's own, and what reaches them from itself. */
const ANY: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' }

/** Beyond these a machine has interfaces for its containers. */
const ELSEWHERE_MAX = 4

/** An address of this machine; `internal` where others can't reach it. */
export type Interface = { address: string; internal: boolean }

const isIpv6 = (host: string): boolean => host.includes(':')

function formatUrl(protocol: string, host: string, port: number): string {
  return `${protocol}://${isIpv6(host) ? `[${host}]` : host}:${port}`
}

/** What devices dial. The name that was asked for, since it may be one that others know too. */
export function listAddresses(
  protocol: 'ws' | 'wss', asked: string, { address, port }: { address: string; port: number }, interfaces: readonly Interface[],
): Pick<Listener, 'address' | 'elsewhere'> {
  const here = ANY[address]
  if (here === undefined) return { address: formatUrl(protocol, asked, port), elsewhere: [] }
  // Addresses of one link alone bear the name of an interface, which no URL can.
  const others = interfaces.filter((each) => !each.internal && (!isIpv6(each.address) || (address === '::' && !each.address.startsWith('fe80:'))))
  return { address: formatUrl(protocol, here, port), elsewhere: others.slice(0, ELSEWHERE_MAX).map((each) => formatUrl(protocol, each.address, port)) }
}
