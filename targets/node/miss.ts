/** Why a dialled link did not come about, from what Node, its resolver and OpenSSL say. */
import type { Miss, NoLink } from '../../runtime/host/network.ts'

/** OpenSSL's names for what is wrong with a certificate, and Node's own. */
const CERTIFICATE = new RegExp(`^(${[
  'CERT_', 'CRL_', 'DEPTH_ZERO_', 'SELF_SIGNED_', 'UNABLE_TO_', 'INVALID_CA', 'INVALID_PURPOSE', 'HOSTNAME_MISMATCH', 'PATH_LENGTH_',
  'ERR_TLS_CERT_',
].join('|')})`)
/** By code: of the resolver, and of what speaks otherwise than TLS or HTTP. */
const MISSES: readonly (readonly [RegExp, Miss])[] = [
  [/^ENOTFOUND$/, 'name-unknown'], [/^EAI_/, 'name-unresolved'], [CERTIFICATE, 'certificate'],
  [/^(ERR_SSL_|ERR_TLS_|HPE_|EPROTO$)/, 'protocol'], [/^ETIMEDOUT$/, 'silent'], [/^E[A-Z]+$/, 'unreachable'],
]
/** Without codes: a peer that hangs up, and the time limit. */
const HUNG_UP = 'socket hang up', TIMED_OUT = 'Opening handshake has timed out'

/** What OpenSSL says, between its places in the source. */
const OPENSSL = /:SSL routines:[^:]*:([^:]+):/

type Failure = Error & { code?: string; reason?: string }

/** A name may have several addresses, each with an error of its own: that of a machine that was reached speaks for them, else the first. */
function firstOf(error: Failure): Failure {
  const all = error instanceof AggregateError ? error.errors as Failure[] : []
  return all.find(({ code }) => code === 'ECONNREFUSED') ?? all[0] ?? error
}

/** That nobody listens needs no words. */
export function explainMiss(error: Error): NoLink {
  const { code = '', reason, message: whole } = firstOf(error)
  const message = reason ?? OPENSSL.exec(whole)?.[1] ?? whole
  if (code === 'ECONNREFUSED') return { miss: 'unreachable', said: '' }
  const said = code === '' || message.includes(code) ? message : `${message} (${code})`
  if (message === TIMED_OUT) return { miss: 'silent', said }
  const known = MISSES.find(([pattern]) => pattern.test(code))?.[1]
  return { miss: known ?? (message === HUNG_UP ? 'unreachable' : 'protocol'), said }
}
