/**
 * Hermes, React Native's engine: bytecode, no compiler to machine code. Its package holds programs for three systems and is
 * unpacked into build/, since 133 MB are no dependency.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ScriptHost } from './script.ts'
import { askProgram, runProgram } from './program.ts'

const FOLDER = 'build/conform/hermes'
const PACKAGE = 'hermes-engine-cli', VERSION = '0.12.0'
const FOLDERS: Readonly<Partial<Record<NodeJS.Platform, string>>> = { linux: 'linux64-bin', darwin: 'osx-bin', win32: 'win64-bin' }

const PROGRAM = join(FOLDER, 'node_modules', PACKAGE, FOLDERS[process.platform] ?? 'none', 'hermes')

export const hermes: ScriptHost = {
  name: 'Hermes',
  installedBy: `npm install --prefix ${FOLDER} ${PACKAGE}@${VERSION}`,
  find() {
    const version = /release version: (\S+)/.exec(askProgram(PROGRAM, ['--version']) ?? '')?.[1]
    return version === undefined ? null : { version, run: (script) => runProgram(PROGRAM, ['-O'], script) }
  },
  install() {
    mkdirSync(FOLDER, { recursive: true })
    writeFileSync(join(FOLDER, 'package.json'), `${JSON.stringify({ private: true, dependencies: { [PACKAGE]: VERSION } })}\n`)
    spawnSync('npm', ['install', '--ignore-scripts', '--no-package-lock', '--no-audit', '--no-fund', '--loglevel=error'],
      { cwd: FOLDER, stdio: 'inherit', shell: process.platform === 'win32' })
  },
}
