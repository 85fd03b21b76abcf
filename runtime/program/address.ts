/** A server's address as people pass it on: `ws://HOST:PORT/?invite=SECRET`. The invitation is proven to the server and never sent. */

export type Address = { url: string; invitation?: string }

const INVITE = 'invite'

export function readAddress(address: string): Address {
  const [place, query] = address.split(/\?(.*)/s)
  if (query === undefined) return { url: address }
  const others = query.split('&').filter((part) => !part.startsWith(`${INVITE}=`))
  const invitation = new URLSearchParams(query).get(INVITE) ?? ''
  const url = others.length > 0 ? `${place}?${others.join('&')}` : place
  return invitation === '' ? { url } : { url, invitation }
}

export function writeAddress({ url, invitation }: Address): string {
  return invitation === undefined ? url : `${url}/?${INVITE}=${invitation}`
}

/** Whether only this machine reaches a place to listen on, or to dial. */
export function isLoopback(host: string): boolean {
  const name = host.replace(/^\[(.*)\]$/, '$1').toLowerCase()
  return name === 'localhost' || name === '::1' || /^(::ffff:)?127(\.\d{1,3}){3}$/.test(name)
}
