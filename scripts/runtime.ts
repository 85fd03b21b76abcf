/** The runtime that this process runs on, and how it starts a script in a process of its own: scripts and tests run on any of the three. */
import { nameEngine } from '../targets/node/host.ts'

export type Runtime = 'node' | 'deno' | 'bun'

const TITLES: Readonly<Record<Runtime, string>> = { node: 'Node', deno: 'Deno', bun: 'Bun' }
/** What stands before a script: Node needs a loader for TypeScript. What Deno runs for a script may do what the script may. */
const BEFORE: Readonly<Record<Runtime, readonly string[]>> = { node: ['--import', 'tsx'], deno: ['run', '--allow-all'], bun: [] }

/** Deno and Bun give a version of Node's as `process.version`. */
const engine = nameEngine(process.versions)

export const RUNTIME = engine.name as Runtime
/** Such as `Deno 2.9.6`. */
export const RUNTIME_TITLE = `${TITLES[RUNTIME]} ${engine.version}`

/** The arguments of `process.execPath` that run a script of TypeScript; plain JavaScript needs none on any of them. */
export function scriptArgs(script: string, args: readonly string[] = []): string[] {
  return [...BEFORE[RUNTIME], script, ...args]
}
