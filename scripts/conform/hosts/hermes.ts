/**
 * Hermes, React Native's engine: bytecode, no compiler to machine code. Its package holds programs for three systems and is
 * unpacked into build/, since 133 MB are no dependency.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ScriptHost } from './script.ts'
import { askProgram, runProgram } from './program.ts'

const FOLDER = 'build/conform/hermes'
const PACKAGE = 'hermes-engine-cli', VERSION = '0.12.0'
const FOLDERS: Readonly<Partial<Record<NodeJS.Platform, string>>> = { linux: 'linux64-bin', darwin: 'osx-bin', win32: 'win64-bin' }

/** Puts the program into its folder, unless it lies there. */
function install(program: string): void {
  if (existsSync(program)) return
  mkdirSync(FOLDER, { recursive: true })
  writeFileSync(join(FOLDER, 'package.json'), `${JSON.stringify({ private: true, dependencies: { [PACKAGE]: VERSION } })}\n`)
  spawnSync('npm', ['install', '--ignore-scripts', '--no-package-lock', '--no-audit', '--no-fund', '--loglevel=error'],
    { cwd: FOLDER, stdio: 'ignore', shell: process.platform === 'win32' })
}

export const hermes: ScriptHost = {
  name: 'Hermes',
  installedBy: `npm install ${PACKAGE}@${VERSION} (by itself, into ${FOLDER})`,
  async find() {
    const program = join(FOLDER, 'node_modules', PACKAGE, FOLDERS[process.platform] ?? 'none', 'hermes')
    install(program)
    const version = /release version: (\S+)/.exec(askProgram(program, ['--version']) ?? '')?.[1]
    return version === undefined ? null : { version, run: (script) => runProgram(program, ['-O'], script) }
  },
}
