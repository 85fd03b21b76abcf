/** Certificates of a connection as the settings name them, and who else could listen to it without. */
import { refuse } from '../error.ts'
import type { Files } from '../host/files.ts'
import type { Tls } from '../host/network.ts'
import { readBytes } from './files.ts'
import type { Settings } from './settings.ts'

export const TLS_SETTINGS = ['tlsCert', 'tlsKey', 'tlsCa'] as const

type TlsSettings = Pick<Settings, (typeof TLS_SETTINGS)[number]>

async function readPem(files: Files, flag: string, path: string | undefined, what: string): Promise<string | undefined> {
  if (path === undefined) return undefined
  const text = new TextDecoder().decode(await readBytes(files, path))
  if (!new RegExp(`-----BEGIN [A-Z0-9 ]*${what}-----`).test(text)) refuse('tls-pem', flag, `a PEM file with a ${what}`, path)
  return text
}

/** The PEM texts, or undefined where none is named. Refuses a certificate without its key, and a key without its certificate. */
export async function readTls(files: Files, { tlsCert, tlsKey, tlsCa }: TlsSettings): Promise<Tls | undefined> {
  if (tlsCert === undefined && tlsKey === undefined && tlsCa === undefined) return undefined
  if (tlsCert === undefined && tlsKey !== undefined) refuse('tls-pair', '--tls-cert', 'the certificate of --tls-key', 'none')
  if (tlsKey === undefined && tlsCert !== undefined) refuse('tls-pair', '--tls-key', 'the key of --tls-cert', 'none')
  return {
    cert: await readPem(files, '--tls-cert', tlsCert, 'CERTIFICATE'), key: await readPem(files, '--tls-key', tlsKey, 'PRIVATE KEY'),
    ca: await readPem(files, '--tls-ca', tlsCa, 'CERTIFICATE'),
  }
}
