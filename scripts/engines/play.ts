/**
 * Runs a script in one of the engines and prints its lines, in a process of its own: an engine that is WebAssembly in this process
 * would keep its caller from everything else.
 *
 *   node --import tsx scripts/engines/play.ts ENGINE FILE
 */
import { readFileSync } from 'node:fs'
import { SCRIPT_HOSTS } from './scripts.ts'

const [name, file] = process.argv.slice(2)
const found = SCRIPT_HOSTS.find((host) => host.name === name)?.find()
if (!found) throw new Error(`engine: expected one that is here, got ${name}`)
const { lines } = await found.run(readFileSync(file, 'utf8'))
for (const line of lines) console.log(line)
