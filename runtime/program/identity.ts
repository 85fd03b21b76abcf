/**
 * A device's key: made on first use and kept in a file, so that the same command is the same device after any restart. Where
 * no file is named, its name follows from the command itself; a second process of one command takes the next one.
 */
import { KerfError, refuse } from '../error.ts'
import { asObject } from '../object.ts'
import type { DeviceKey } from '../split/proof.ts'
import { SECRET_BYTES, digest, openKey } from '../split/proof.ts'
import { formatHex, parseHex } from '../text/hex.ts'
import { ensureDirectory, isFile, readText, saveFile } from './files.ts'
import type { ProgramHost } from './host.ts'
import { joinPath, parentOf } from './path.ts'
import type { Settings } from './settings.ts'

export type Command = Pick<Settings, 'data' | 'share' | 'client' | 'name'> & { url: string }
/** `note`: what a person should know of it. */
export type Identity = { key: DeviceKey; note: string | null }

type Host = Pick<ProgramHost, 'files' | 'entropy' | 'clock'>

/** Processes of one command on one machine. */
const SLOTS_MAX = 4096
const NAME_DIGITS = 16

/** What makes two commands two devices. */
function describe({ files }: Host, { data, share, client, name, url }: Command): string {
  return JSON.stringify([url.replace(/\/+$/, ''), data === undefined ? null : files.absolute(data), share, client, name ?? null])
}

/** Beside chance, what a device has of its own: one that has just started may have little chance to draw from, and no two may be alike. */
function drawSecret(host: Host, command: Command): Uint8Array {
  const chance = new Uint8Array(SECRET_BYTES)
  host.entropy.fill(chance)
  return digest(chance, describe(host, command), String(host.clock.now()))
}

const format = ({ secret, public: known }: DeviceKey): string => `${JSON.stringify({ ed25519: formatHex(secret), public: known })}\n`

/** Never shows what it read. */
function parse(text: string, path: string): DeviceKey {
  try {
    const { ed25519, public: known } = asObject(JSON.parse(text), path)
    const secret = typeof ed25519 === 'string' ? parseHex(ed25519, SECRET_BYTES) : null
    const key = secret && openKey(secret)
    if (key && key.public === known) return key
  } catch {
    // Told below as all else that is no key.
  }
  return refuse('key-file', path, 'a key as Kerf writes it; without the file a new one is made, and with it a new device', 'other content')
}

async function openFile(host: Host, command: Command, path: string): Promise<Identity> {
  const { files } = host
  if (await isFile(files, path)) return { key: parse(await readText(files, path), path), note: null }
  const key = openKey(drawSecret(host, command))
  await saveFile(files, path, format(key))
  return { key, note: `key ${key.public} made in ${path}` }
}

const lockOf = (path: string): string => `${path}.lock`

/** Refuses `key-file` for what is no key, `key-held` for one that a living process uses, `file-write` where none can be kept. */
export async function openKeyFile(host: Host, command: Command, path: string): Promise<Identity> {
  const { files } = host
  await ensureDirectory(files, parentOf(path), 'owner').catch(() => {})
  if (!(await files.hold(lockOf(path)))) refuse('key-held', '--key', 'a key that no other running device uses', path)
  return openFile(host, command, path)
}

async function openSlot(host: Host, command: Command, directory: string): Promise<Identity> {
  const { files } = host
  const name = formatHex(digest(describe(host, command))).slice(0, NAME_DIGITS)
  await ensureDirectory(files, directory, 'owner')
  for (let slot = 0; slot < SLOTS_MAX; slot++) {
    const path = joinPath(directory, slot === 0 ? `${name}.json` : `${name}-${slot}.json`)
    if (await files.hold(lockOf(path))) return openFile(host, command, path)
  }
  return refuse('key-held', '--key', `at most ${SLOTS_MAX} devices of one command`, SLOTS_MAX)
}

/** The key of the device that `command` is. */
export async function openIdentity(host: Host, command: Command, path: string | undefined): Promise<Identity> {
  if (path !== undefined) return openKeyFile(host, command, path)
  const { config } = host.files
  const inMemory = (why: string): Identity => (
    { key: openKey(drawSecret(host, command)), note: `${why}: this device is known until the command ends; --key FILE keeps it` })
  if (config === undefined) return inMemory('no place for a key on this host')
  return openSlot(host, command, joinPath(config, 'keys')).catch((error: unknown) => {
    // A disk that takes nothing keeps no key; one that is there and can't be read is not passed over.
    if (error instanceof KerfError && error.code !== 'file-write') throw error
    return inMemory(`no key can be kept in ${config}`)
  })
}
