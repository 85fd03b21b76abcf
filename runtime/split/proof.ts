/**
 * Who a device is: an Ed25519 key (RFC 8032) and the signature of a message that the server draws anew for each connection.
 * An invitation is proven beside it, without travelling itself. The message and both proofs: wire/SPEC.md, section 7.
 */
import { ed25519 } from '@noble/curves/ed25519.js'
import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { formatHex, parseHex } from '../text/hex.ts'

export const SECRET_BYTES = 32
export const KEY_BYTES = 32
export const NONCE_BYTES = 32
const SIGNATURE_BYTES = 64
const INVITATION_BYTES = 32
const DOMAIN = 'kerf proof 1'

/** What a device shows who it is with. `public` is what the server knows it by, in hexadecimal digits. */
export type Prover = { public: string; prove(challenge: Challenge, invitation?: string): Proof }

/** A device's key; `secret` never leaves the device. */
export type DeviceKey = Prover & { secret: Uint8Array }

/** What a proof is about: a run, a connection by its nonce, and who speaks. */
export type Challenge = { run: number; nonce: string; key: string }

/** As a proof frame holds them. */
export type Proof = { signature: string; invitation?: string }

export function openKey(secret: Uint8Array): DeviceKey {
  const key = { public: formatHex(ed25519.getPublicKey(secret)), secret }
  return { ...key, prove: (challenge, invitation) => prove(challenge, key, invitation) }
}

/** The SHA-256 of texts and bytes, none of which can be mistaken for another's end. */
export function digest(...parts: readonly (string | Uint8Array)[]): Uint8Array {
  return sha256(encode(JSON.stringify(parts.map((part) => (typeof part === 'string' ? part : formatHex(part))))))
}

export function prove(challenge: Challenge, { secret }: Pick<DeviceKey, 'secret'>, invitation?: string): Proof {
  const message = messageOf(challenge)
  const signature = formatHex(ed25519.sign(message, secret))
  return invitation === undefined ? { signature } : { signature, invitation: formatHex(hmac(sha256, encode(invitation), message)) }
}

/** Whether the holder of `challenge.key` signed; costs some milliseconds. Never throws. */
export function isSigned(challenge: Challenge, { signature }: Proof): boolean {
  const key = parseHex(challenge.key, KEY_BYTES), signed = parseHex(signature, SIGNATURE_BYTES)
  if (!key || !signed) return false
  try {
    // As RFC 8032 has it: a key of small order would be anybody's.
    return ed25519.verify(signed, messageOf(challenge), key, { zip215: false })
  } catch {
    return false
  }
}

/** Whether the other side knows the invitation; how long the answer takes tells nothing of it. */
export function isInvited(challenge: Challenge, { invitation = '' }: Proof, secret: string): boolean {
  const given = parseHex(invitation, INVITATION_BYTES)
  if (!given) return false
  const expected = hmac(sha256, encode(secret), messageOf(challenge))
  return expected.reduce((differs, byte, at) => differs | (byte ^ given[at]), 0) === 0
}

function messageOf({ run, nonce, key }: Challenge): Uint8Array {
  return encode(`${DOMAIN} ${run} ${nonce} ${key}`)
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}
