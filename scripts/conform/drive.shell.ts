/** Runs the suite in a shell of JavaScriptCore: `jsc suite.js drive.shell.js -- BUILD BINARIES`. */
import type { ConformGlobal } from './suite.ts'

declare const print: (line: string) => void
declare const readFile: (path: string, kind: 'binary') => Uint8Array<ArrayBuffer>
declare const preciseTime: () => number
declare const scriptArgs: readonly string[] | undefined

const { run } = (globalThis as unknown as { kerfConform: ConformGlobal }).kerfConform
const [build, binaries] = (globalThis as unknown as { arguments: readonly string[] }).arguments ?? scriptArgs ?? []
void run({
  build, print, now: () => 1000 * preciseTime(),
  load: (file) => Promise.resolve(new WebAssembly.Module(readFile(`${binaries}/${file}`, 'binary'))),
})
