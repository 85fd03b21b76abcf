/** Bun. */
import { askCommand, runCommand } from '../command.ts'
import type { Host } from '../host.ts'
import { findInstalled } from '../place.ts'

const locate = () => findInstalled('.bin/bun') ?? 'bun'
const WRITE_VERSIONS = 'console.log(Bun.version + " " + process.versions.webkit)'

export const HOSTS: readonly Host[] = [{
  name: 'Bun', builds: ['scalar', 'simd', 'fast', 'threaded'], install: 'npm package bun', npm: ['bun'],
  find() {
    const [version, webkit] = askCommand(locate(), ['-e', WRITE_VERSIONS])?.split(' ') ?? []
    return version === undefined ? undefined : { version, engine: `JavaScriptCore ${webkit.slice(0, 9)}` }
  },
  run: ({ folder, binaries }, build) => runCommand({ file: locate(), args: [`${folder}drive.node.mjs`, build, binaries] }),
}]
