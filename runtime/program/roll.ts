/**
 * Who may join a run, as `kerf serve` is told: a list of keys, an invitation, or anybody who reaches a loopback address. Which
 * key holds which client, and the invitation, stand beside the checkpoint, so that a server that goes on knows its devices.
 */
import { refuse } from '../error.ts'
import type { Files } from '../host/files.ts'
import { asObject } from '../object.ts'
import { KEY_BYTES } from '../split/proof.ts'
import type { Admission, Roll } from '../split/server/admission.ts'
import { formatHex, parseHex } from '../text/hex.ts'
import { isLoopback } from './address.ts'
import { isFile, readText, saveFile } from './files.ts'
import type { ProgramHost } from './host.ts'
import { joinPath } from './path.ts'
import type { Settings } from './settings.ts'

const INVITATION_BYTES = 16

type Asked = Pick<Settings, 'host' | 'keys' | 'invite' | 'resume' | 'out'>
type Kept = { invitation: string | null; roll: Roll }

/** `begin`: what must outlast this start though no device has come yet. */
export type OpenAdmission = Admission & { begin(): Promise<void>; line: string }

/** Public keys, one a line; what follows a `#` is for people. */
export async function readKeys(files: Files, path: string): Promise<ReadonlySet<string>> {
  const lines = (await readText(files, path)).split(/\r?\n/)
  const keys = lines.flatMap((line, index) => {
    const word = line.replace(/#.*/, '').trim().toLowerCase()
    if (word === '') return []
    return parseHex(word, KEY_BYTES) ? [word] : refuse('keys-file', `${path}:${index + 1}`, `a public key of ${2 * KEY_BYTES} hexadecimal digits`, word)
  })
  return new Set(keys)
}

function parseRoll(text: string, path: string): Kept {
  const broken = (got: unknown): never => refuse('roll-file', path, 'clients by key, as Kerf writes them', got)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    broken('no JSON')
  }
  const { invitation, devices } = asObject(value, path)
  if (invitation !== null && typeof invitation !== 'string') broken(typeof invitation)
  const roll = Object.entries(asObject(devices, `${path}.devices`)).map(([key, client]): [string, number] => (
    parseHex(key, KEY_BYTES) && Number.isSafeInteger(client) && (client as number) >= 0 ? [key, client as number] : broken(`${key}: ${client}`)))
  if (new Set(roll.map(([, client]) => client)).size !== roll.length) broken('a client of two keys')
  return { invitation: invitation as string | null, roll: new Map(roll) }
}

const format = ({ invitation, roll }: Kept): string => `${JSON.stringify({ invitation, devices: Object.fromEntries(roll) }, null, 2)}\n`

const LINES = {
  open: 'anybody who reaches this address may join; --invite or --keys FILE say who',
  invitation: 'the invitation in this address enrols a device for each number; a device that has joined comes back by its key alone',
}

/** For a run of so many devices. Refuses `keys-file`, `keys-count`, `roll-file`. */
export async function openAdmission(
  { files, entropy }: Pick<ProgramHost, 'files' | 'entropy'>, { host, keys, invite, resume, out }: Asked, devices: number,
): Promise<OpenAdmission> {
  const path = joinPath(out, 'checkpoint', 'devices.json')
  const known = await isFile(files, path)
  const before: Kept = resume && known ? parseRoll(await readText(files, path), path) : { invitation: null, roll: new Map() }
  const listed = keys === undefined ? new Set<string>() : await readKeys(files, keys)
  const invited = invite || (keys === undefined && !isLoopback(host))
  if (!invited && keys !== undefined && listed.size < devices) {
    refuse('keys-count', '--keys', `a key for each of ${devices} devices, or --invite`, listed.size)
  }
  const chance = new Uint8Array(INVITATION_BYTES)
  if (invited) entropy.fill(chance)
  const invitation = invited ? before.invitation ?? formatHex(chance) : null
  const open = !invited && keys === undefined
  // A key that was taken off the list loses its number too.
  const roll = new Map([...before.roll].filter(([key]) => open || invited || listed.has(key)))
  let last: Promise<void> = Promise.resolve()
  const keep = (now: Roll): Promise<void> => {
    const saved = last.then(() => saveFile(files, path, format({ invitation, roll: now })))
    last = saved.catch(() => {})
    return saved
  }
  return {
    open, listed, invitation, roll, entropy, keep,
    line: open ? LINES.open : [...(invited ? [LINES.invitation] : []), ...(listed.size > 0 ? [`keys that may join: ${listed.size}`] : [])].join('; '),
    // An earlier run's roll is not this one's, and a server that is started again must still know its invitation.
    begin: () => ((known && !resume) || invitation !== before.invitation ? keep(roll) : Promise.resolve()),
  }
}
