/** The shell of JavaScriptCore: an engine and a few functions, no web. */
import { existsSync } from 'node:fs'
import { askCommand, runCommand, versionIn } from '../command.ts'
import type { Host } from '../host.ts'

const PLACES = ['4.0', '4.1', '6.0'].map((api) => `/usr/lib/x86_64-linux-gnu/webkitgtk-${api}/jsc`)
const locate = () => ['/usr/bin/jsc', ...PLACES].find((file) => existsSync(file))
const PACKAGES = ['libjavascriptcoregtk-4.0-bin', 'libjavascriptcoregtk-4.1-bin', 'libjavascriptcoregtk-6.0-bin']

/** The shell does not tell its version; the package has it. */
function packageVersion(): string {
  const found = PACKAGES.map((name) => askCommand('dpkg-query', ['-W', '-f=${Version}', name])).find((version) => version !== undefined && version !== '')
  return versionIn(found ?? 'unknown')
}

export const HOSTS: readonly Host[] = [{
  name: 'jsc', builds: ['scalar', 'simd'], without: 'fast and threaded: behind options of the engine; WebKitGTK runs them',
  install: `Debian package ${PACKAGES[0]}`, debian: [PACKAGES[0]],
  find: () => (locate() === undefined ? undefined : { version: packageVersion(), engine: `JavaScriptCore ${packageVersion()}` }),
  run: ({ folder, binaries }, build) =>
    runCommand({ file: locate()!, args: [`${folder}suite.js`, `${folder}drive.shell.js`, '--', build, binaries] }),
}]
