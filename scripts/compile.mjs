/**
 * Compiles the kernel's targets of asconfig.json, in order, and prints their milliseconds as one JSON array.
 * Run by build.ts in a process of its own without tsx, which would read Binaryen's 13 MB through its transforms: 8 s.
 */
import { readFileSync } from 'node:fs'
import asc from 'assemblyscript/asc'

const { targets } = JSON.parse(readFileSync('asconfig.json', 'utf8'))
const times = []
for (const target of Object.keys(targets)) {
  const start = performance.now()
  const { error, stderr } = await asc.main(['--config', 'asconfig.json', '--target', target], { stdout: process.stderr })
  process.stderr.write(stderr.toString())
  if (error !== null) {
    console.error(`kernel ${target}: ${error.message}`)
    process.exit(1)
  }
  times.push(performance.now() - start)
}
console.log(JSON.stringify(times))
