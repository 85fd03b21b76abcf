/**
 * Compiles the kernel's targets of asconfig.json, in order, and prints their milliseconds as one JSON array; leaves in
 * dist/abi.json the ABI that all of them have.
 * Run by build.ts in a process of its own without tsx, which would read Binaryen's 13 MB through its transforms: 8 s.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import asc from 'assemblyscript/asc'
import { readAbi } from './abi.read.mjs'

const { entries: [entry], targets } = JSON.parse(readFileSync('asconfig.json', 'utf8'))
const abis = []

class AbiReader {
  afterCompile() {
    abis.push(readAbi(this.program, entry))
  }
}

/** By the first target's binary, whose instructions every host has. */
function readVersion() {
  const [{ outFile }] = Object.values(targets)
  const memory = new WebAssembly.Memory({ initial: 1 })
  return new WebAssembly.Instance(new WebAssembly.Module(readFileSync(outFile)), { env: { memory } }).exports.abiVersion()
}

function fail(message) {
  console.error(message)
  process.exit(1)
}

const times = []
for (const target of Object.keys(targets)) {
  const start = performance.now()
  const options = { stdout: process.stderr, transforms: [AbiReader] }
  const { error, stderr } = await asc.main(['--config', 'asconfig.json', '--target', target], options)
  process.stderr.write(stderr.toString())
  if (error !== null) fail(`kernel ${target}: ${error.message}`)
  times.push(performance.now() - start)
}
const [abi, ...others] = abis.map((read) => JSON.stringify(read))
if (others.some((other) => other !== abi)) fail('kernel: expected one ABI in every target, got different ones')
writeFileSync('dist/abi.json', `${JSON.stringify({ version: readVersion(), ...abis[0] }, null, 2)}\n`)
console.log(JSON.stringify(times))
