/** Duktape: ES5 with typed arrays, an interpreter for microcontrollers. */
import type { ScriptHost } from './script.ts'
import { askProgram, runProgram } from './program.ts'

const PROGRAM = 'duk'

export const duktape: ScriptHost = {
  name: 'Duktape',
  installedBy: 'apt-get install duktape',
  find() {
    // Its command line has no flag for the version; a script's Duktape.version has: 20700 is 2.7.0.
    const told = askProgram(PROGRAM, ['-e', 'print(Duktape.version)'])
    const number = Number(/^\d{5}$/m.exec(told ?? '')?.[0])
    if (!(number > 0)) return null
    const version = [Math.floor(number / 10000), Math.floor(number / 100) % 100, number % 100].join('.')
    return { version, run: (script) => runProgram(PROGRAM, [], script) }
  },
}
