/** How a connection begins, hello → welcome → ready: who the device is and what it brings. */
import { refuse } from '../../error.ts'
import type { Channel } from '../channel.ts'
import type { Contract, Share } from '../contract.ts'
import { NAME_CHARS_MAX, parseShare } from '../contract.ts'
import type { Member } from './member.ts'

/** `client` is a number or `any`. */
export type Hello = { client: string; name: string }

/** The first frame of a connection; null when it closes before. */
export async function readHello(channel: Channel): Promise<Hello | null> {
  const bytes = await channel.receive()
  if (!bytes) return null
  const { metadata } = channel.decode(bytes, { types: { hello: [] }, step: 0 })
  return { client: metadata.client ?? 'any', name: metadata.name ?? '' }
}

/**
 * The member that a hello asks for: a device that is known by its name, else a free one. Refuses `client-name`,
 * `client-taken`, `client-unknown`.
 */
export function chooseMember<M extends Pick<Member, 'client' | 'seat'>>(members: readonly M[], { client: wanted, name }: Hello): M {
  if (name === '' || name.length > NAME_CHARS_MAX) refuse('client-name', 'hello.name', `a name of 1 … ${NAME_CHARS_MAX} characters`, name)
  const free = members.filter(({ seat }) => seat.channel === null)
  const taken = members.find(({ seat }) => seat.name === name && seat.channel !== null)
  if (taken) refuse('client-taken', 'hello.name', 'a name that no connected device bears', name)
  const known = members.find(({ seat }) => seat.name === name)
  const chosen = wanted === 'any' ? known ?? free.find(({ seat }) => seat.name === null) : members[Number(wanted)]
  if (!chosen) return refuse('client-unknown', 'hello.client', `a free client of 0 … ${members.length - 1}`, wanted)
  const { client, seat } = chosen
  if (seat.channel !== null || (seat.name !== null && seat.name !== name)) {
    refuse('client-taken', 'hello.client', `a client that no other device holds; ${client} is ${JSON.stringify(seat.name)}`, wanted)
  }
  return chosen
}

/** Tells a device the contract and reads what it brings; null when the connection closes before. Refuses `share`, `share-changed`. */
export async function exchangeContract(known: Share | null, channel: Channel, contract: Contract): Promise<Share | null> {
  channel.send('welcome', { metadata: { contract: JSON.stringify(contract) } })
  const bytes = await channel.receive()
  if (!bytes) return null
  const share = parseShare(channel.decode(bytes, { types: { ready: [] } }).metadata.share ?? '', contract)
  if (known && JSON.stringify(known) !== JSON.stringify(share)) {
    refuse('share-changed', 'ready.share', JSON.stringify(known), JSON.stringify(share))
  }
  return share
}
