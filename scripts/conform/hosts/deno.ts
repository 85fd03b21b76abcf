/** Deno, allowed to read and nothing else. */
import { askCommand, runCommand } from '../command.ts'
import type { Host } from '../host.ts'
import { findInstalled } from '../place.ts'

const locate = () => findInstalled('.bin/deno') ?? 'deno'

export const HOSTS: readonly Host[] = [{
  name: 'Deno', builds: ['scalar', 'simd', 'fast', 'threaded'], install: 'npm package deno', npm: ['deno'],
  find() {
    const said = askCommand(locate(), ['--version'])
    const [, version] = /deno (\S+)/.exec(said ?? '') ?? [], [, v8] = /v8 (\S+)/.exec(said ?? '') ?? []
    return version === undefined ? undefined : { version, engine: `V8 ${v8}` }
  },
  run: ({ folder, binaries }, build) =>
    runCommand({ file: locate(), args: ['run', '--quiet', '--no-prompt', '--allow-read', `${folder}drive.node.mjs`, build, binaries] }),
}]
