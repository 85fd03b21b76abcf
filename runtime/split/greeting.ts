/**
 * How a connection begins, hello → welcome → ready: who the device is and what it brings. And where a device that comes
 * back within an interval begins again.
 */
import { refuse } from '../error.ts'
import type { SetState } from '../model/optimizer.ts'
import type { Channel } from './channel.ts'
import type { Contract, Share } from './contract.ts'
import { NAME_CHARS_MAX, parseShare } from './contract.ts'
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

/** The member that a hello asks for: a device that is known by its name, else a free one. Refuses `client-name`, `client-taken`, `client-unknown`. */
export function chooseMember(members: readonly Member[], { client: wanted, name }: Hello): Member {
  if (name === '' || name.length > NAME_CHARS_MAX) refuse('client-name', 'hello.name', `a name of 1 … ${NAME_CHARS_MAX} characters`, name)
  const free = members.filter(({ channel }) => channel === null)
  const taken = members.find((member) => member.name === name && member.channel !== null)
  if (taken) refuse('client-taken', 'hello.name', 'a name that no connected device bears', name)
  const known = members.find((member) => member.name === name)
  const chosen = wanted === 'any' ? known ?? free.find((member) => member.name === null) : members[Number(wanted)]
  if (!chosen) return refuse('client-unknown', 'hello.client', `a free client of 0 … ${members.length - 1}`, wanted)
  if (chosen.channel !== null || (chosen.name !== null && chosen.name !== name)) {
    refuse('client-taken', 'hello.client', `a client that no other device holds; ${chosen.client} is ${JSON.stringify(chosen.name)}`, wanted)
  }
  return chosen
}

/** Gives a member this connection: frames of an older one are refused from here on. */
export function connectMember(member: Member, channel: Channel, name: string, run: number): void {
  member.name = name
  member.channel = channel
  member.epoch++
  member.ready = false
  channel.identity = { run, client: member.client, epoch: member.epoch }
}

/** Tells a device the contract and reads what it brings; null when the connection closes before. Refuses `share`, `share-changed`. */
export async function exchangeContract(member: Member, channel: Channel, contract: Contract): Promise<Share | null> {
  channel.send('welcome', { metadata: { contract: JSON.stringify(contract) } })
  const bytes = await channel.receive()
  if (!bytes) return null
  const share = parseShare(channel.decode(bytes, { types: { ready: [] } }).metadata.share ?? '', contract)
  if (member.share && JSON.stringify(member.share) !== JSON.stringify(share)) {
    refuse('share-changed', 'ready.share', JSON.stringify(member.share), JSON.stringify(share))
  }
  return share
}

/** Returns of a device within an interval without a new step between them, before it is left out: links that flap hold nobody up for ever. */
export const RETURNS_MAX = 8

/** What an interval begins with, and `saved`, the last step whose states are all in. */
export type Origin = { begin: number; saved: number; start: (client: number) => SetState | null }

/**
 * A device that comes back within an interval starts again from the last state both halves are known to have had. A server
 * set that others share is not taken back: the device goes on where it left, with its part as last known. Refuses `client-lost`.
 */
export function chooseRestart({ client, step, snapshots }: Member, { begin, saved, start }: Origin, shared: boolean): { step: number; state: SetState } {
  const from = shared ? step : snapshots.has(saved) ? saved : begin
  const state = snapshots.get(from) ?? snapshots.get(saved) ?? start(client)
  return state ? { step: from, state } : refuse('client-lost', 'hello.client', 'a device that still holds its own state', client)
}
