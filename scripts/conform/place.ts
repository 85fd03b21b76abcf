/** Where hosts from the npm registry lie: a folder of their own that git ignores and `npm ci` removes, or KERF_HOSTS (ending in /). */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export const HOSTS_FOLDER = process.env.KERF_HOSTS ?? fileURLToPath(new URL('../../node_modules/.hosts/', import.meta.url))

/** The folder that npm installs into: another processor's packages keep apart. */
export function folderOf(cpu: string | undefined): string {
  return cpu === undefined ? HOSTS_FOLDER : `${HOSTS_FOLDER}${cpu}/`
}

/** A package's file, or undefined. */
export function findInstalled(path: string, cpu?: string): string | undefined {
  const file = `${folderOf(cpu)}node_modules/${path}`
  return existsSync(file) ? file : undefined
}
