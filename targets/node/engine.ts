/** What runs this program, by what it says of itself. */
import type { Engine } from '../../runtime/host/engine.ts'

/** Deno and Bun give Node's version beside their own. */
export function nameEngine(versions: Readonly<Record<string, string | undefined>>): Pick<Engine, 'name' | 'version'> {
  if (versions.deno) return { name: 'deno', version: versions.deno }
  if (versions.bun) return { name: 'bun', version: versions.bun }
  return { name: 'node', version: versions.node ?? 'unknown' }
}
