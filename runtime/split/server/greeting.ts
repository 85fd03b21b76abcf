/** How a connection begins, hello → challenge → proof → welcome → ready: who the device is and what it brings (wire/SPEC.md, section 7). */
import { refuse } from '../../error.ts'
import type { Profile } from '../../kernel/load.ts'
import { formatHex, parseHex } from '../../text/hex.ts'
import type { FrameType } from '../../wire/frame.ts'
import type { Channel } from '../channel.ts'
import type { Contract } from '../contract.ts'
import { NAME_CHARS_MAX } from '../contract.ts'
import { KEY_BYTES, NONCE_BYTES } from '../proof.ts'
import type { Brought, OtherField, Share } from '../share.ts'
import { checkBits, findOtherField, parseShare } from '../share.ts'
import type { Admission } from './admission.ts'
import { isAdmitted } from './admission.ts'
import type { Member } from './member.ts'
import type { SignatureCheck } from './signature.ts'

/** `client` is a number or `any`; `key` is claimed until it has been proven. */
export type Hello = { client: string; name: string; key?: string | null }

/** A connection that is being greeted: its frames, one asked for at a time. How long it may take is its link's to say. */
export class Guest {
  readonly channel: Channel
  /** The other side has closed the link. */
  gone = false
  /** It may join: what it is told is for a device of this run. */
  admitted = false
  private next: Promise<Uint8Array | null> | undefined

  constructor(channel: Channel) {
    this.channel = channel
  }

  /** Listens for the next frame from here on, so that the end of the link is noticed in the meantime. */
  listen(): Promise<Uint8Array | null> {
    this.next ??= this.channel.receive().then((bytes) => {
      this.gone ||= bytes === null
      return bytes
    })
    return this.next
  }

  /** The metadata of the next frame, or null where the link closes before. */
  async read(type: FrameType, step?: number): Promise<Readonly<Record<string, string>> | null> {
    const bytes = await this.listen()
    this.next = undefined
    return bytes && this.channel.decode(bytes, { types: { [type]: [] }, step }).metadata
  }
}

/** A device that this run does not take; where not everybody may join, the reason is for the log alone. */
export function refuseStranger(expected: string, got: string): never {
  return refuse('client-refused', 'hello.key', expected, got)
}

/** The first frame of a connection; null when it closes before. Refuses `client-name`, `client-key`. */
export async function readHello(guest: Guest): Promise<Hello | null> {
  const metadata = await guest.read('hello', 0)
  if (!metadata) return null
  const { client = 'any', name = '', key = null } = metadata
  checkName(name)
  if (key !== null && !parseHex(key, KEY_BYTES)) refuse('client-key', 'hello.key', `${2 * KEY_BYTES} hexadecimal digits`, key)
  return { client, name, key }
}

function checkName(name: string): void {
  if (name === '' || name.length > NAME_CHARS_MAX) refuse('client-name', 'hello.name', `a name of 1 … ${NAME_CHARS_MAX} characters`, name)
}

export type Gate = { admission: Admission; signatures: SignatureCheck; run: number; members: readonly Pick<Member, 'seat'>[] }

/** Lets the holder of a key prove itself; false when the connection closes before. Refuses `client-refused`. */
export async function admitKey(guest: Guest, key: string, { admission, signatures, run, members }: Gate): Promise<boolean> {
  const bytes = new Uint8Array(NONCE_BYTES)
  admission.entropy.fill(bytes)
  const challenge = { run, key, nonce: formatHex(bytes) }
  guest.channel.send('challenge', { metadata: { run: String(run), nonce: challenge.nonce } })
  const metadata = await guest.read('proof', 0)
  if (!metadata) return false
  const { signature = '', invitation } = metadata
  const proof = { signature, invitation }
  // After its proof a device says nothing until it is welcome: the next thing to hear of it may be that it has gone.
  void guest.listen()
  const enrolled = members.some(({ seat }) => seat.key === key)
  if (!isAdmitted(admission, challenge, proof, enrolled)) refuseStranger('a key that this run takes', key)
  const signed = await signatures.check(challenge, proof, () => guest.gone)
  if (!signed && !guest.gone) refuseStranger('the signature of this key', key)
  return signed
}

type Candidate = Pick<Member, 'client' | 'seat'>

function refuseClient(code: string, wanted: string): never {
  return refuse(code, 'hello.client', 'a free client of this run', wanted)
}

/** Nobody's: no key holds it, no name, no connection. */
const isFree = ({ seat }: Candidate): boolean => seat.channel === null && seat.key === null && seat.name === null
/** Only asked for, by a connection that may still fall silent. */
const isPending = ({ seat }: Candidate): boolean => seat.channel !== null && !seat.ready && seat.share === null

/**
 * The member that a device with a proven key is: the one that its key holds, whatever its link looks like, else a free one, else
 * one that a device without a key has only asked for.
 */
function chooseByKey<M extends Candidate>(members: readonly M[], { client: wanted, key }: Hello): M {
  const own = members.find(({ seat }) => seat.key === key || (seat.claim === key && seat.channel !== null))
  const fits = members.filter(({ client }) => wanted === 'any' || wanted === String(client))
  if (own) return fits.includes(own) ? own : refuseClient('client-taken', wanted)
  if (fits.length === 0) refuseClient('client-unknown', wanted)
  const chosen = fits.find((member) => isFree(member) && member.seat.claim === key) ?? fits.find(isFree)
    ?? fits.find((member) => isPending(member) && member.seat.claim === null)
  if (chosen) return chosen
  if (fits.some(isPending)) refuse('client-pending', 'hello.client', 'a client that nobody else is asking for just now', wanted)
  return refuseClient('client-taken', wanted)
}

/**
 * The member that a device without a key is, by its name: the one that it was, else a free one; never one that a key holds. All
 * refusals say the same, for a stranger may ask.
 */
function chooseByName<M extends Candidate>(members: readonly M[], { client: wanted, name }: Hello): M {
  const keyless = members.filter(({ seat }) => seat.key === null && seat.claim === null)
  if (keyless.some(({ seat }) => seat.name === name && seat.channel !== null)) refuseClient('client-taken', wanted)
  const known = keyless.find(({ seat }) => seat.name === name)
  const chosen = wanted === 'any' ? known ?? members.find(isFree) : members.find(({ client }) => String(client) === wanted)
  if (!chosen) return refuseClient('client-unknown', wanted)
  const { seat } = chosen
  if (!isFree(chosen) && (!keyless.includes(chosen) || seat.channel !== null || seat.name !== name)) refuseClient('client-taken', wanted)
  return chosen
}

/** The member that a device is. Refuses `client-name`, `client-taken`, `client-unknown`, `client-pending`. */
export function chooseMember<M extends Candidate>(members: readonly M[], hello: Hello): M {
  checkName(hello.name)
  return hello.key ? chooseByKey(members, hello) : chooseByName(members, hello)
}

/** What a member has brought before, and whether who comes has proven to be that member: nobody else is told of it. */
export type Known = { brought: Brought; proven: boolean }

/**
 * Tells a device the contract and reads what it brings; null when the connection closes before. Refuses `share`; `device-bits` where
 * the run's `profile` rules out what it computes; and `share-changed` where that is not what is known, by the first field that differs.
 */
export async function exchangeContract(
  guest: Guest, { contract, profile }: { contract: Contract; profile: Profile }, known: Known | null, differs: (other: OtherField) => void,
): Promise<Share | null> {
  guest.channel.send('welcome', { metadata: { contract: JSON.stringify(contract) } })
  const metadata = await guest.read('ready')
  if (!metadata) return null
  const share = parseShare(metadata.share ?? '', contract)
  checkBits(share, profile)
  const other = known && findOtherField(known.brought, share)
  if (!known || !other) return share
  differs(other)
  return refuse('share-changed', `ready.share.${other.name}`, known.proven ? String(other.before) : 'what this client brought before', other.now)
}
