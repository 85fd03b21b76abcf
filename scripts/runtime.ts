/** The runtime that this process runs on, and how it starts another process of itself: scripts and tests run on any of the three. */
import { nameEngine } from '../targets/node/engine.ts'

export type Runtime = 'node' | 'deno' | 'bun'

const TITLES: Readonly<Record<Runtime, string>> = { node: 'Node', deno: 'Deno', bun: 'Bun' }
/** Deno lets a child do everything by itself only where it starts it as Node would, which a shell can't. */
const BEFORE: Readonly<Record<Runtime, readonly string[]>> = { node: [], deno: ['run', '--allow-all'], bun: [] }

/** Deno and Bun give a version of Node's as `process.version`. */
const engine = nameEngine(process.versions)

export const RUNTIME = engine.name as Runtime
/** Such as `Deno 2.9.6`. */
export const RUNTIME_TITLE = `${TITLES[RUNTIME]} ${engine.version}`

/** What follows the path of this runtime where a program in JavaScript is started. */
export function programArgs(program: string, args: readonly string[] = []): string[] {
  return [...BEFORE[RUNTIME], program, ...args]
}

/** The same for a script in TypeScript, for which Node needs a loader. */
export function scriptArgs(script: string, args: readonly string[] = []): string[] {
  return [...(RUNTIME === 'node' ? ['--import', 'tsx'] : []), ...programArgs(script, args)]
}
