/** Where hosts from the npm registry lie: a folder of their own that git ignores and `npm ci` removes. */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export const HOSTS_FOLDER = fileURLToPath(new URL('../../node_modules/.hosts/', import.meta.url))

/** A package's file, or undefined. */
export function findInstalled(path: string): string | undefined {
  const file = `${HOSTS_FOLDER}node_modules/${path}`
  return existsSync(file) ? file : undefined
}
