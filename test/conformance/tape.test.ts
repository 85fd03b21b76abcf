/** The tape that hosts without JavaScript play: the driver beside the kernel gives the published digests, and other bits where the tape is changed. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { STAGE_CASES } from '../../runtime/conformance/stages.ts'
import { PAGE_BYTES } from '../../runtime/kernel/load.ts'
import { digestOfCase, digestsOf, prepareProgram } from '../../scripts/conform/interpreter.ts'
import type { Program } from '../../scripts/conform/interpreter.ts'
import { readExpected } from '../../scripts/conform/published.ts'

type Driver = { caseCount(): number; run(index: number): bigint; outCount(): number; outDigest(out: number): bigint }

const binaries = fileURLToPath(new URL('../../dist', import.meta.url))
const scratch = mkdtempSync(join(tmpdir(), 'kerf-tape-'))
let program: Program
try {
  program = await prepareProgram({ folder: '', binaries, scratch }, 'scalar', true)
} finally {
  process.on('exit', () => rmSync(scratch, { recursive: true, force: true }))
}

function openDriver(change: (tape: Uint8Array) => void = () => undefined): Driver {
  const memory = new WebAssembly.Memory({ initial: program.pages, maximum: program.pages })
  const tape = new Uint8Array(memory.buffer, program.tapeAt, program.tape.length)
  tape.set(program.tape)
  change(tape)
  const instance = (file: string, imports: WebAssembly.Imports) => new WebAssembly.Instance(new WebAssembly.Module(readFileSync(file)), imports)
  const kernel = instance(program.kernel, { env: { memory } })
  return instance(program.driver, { env: { memory }, kerf: kernel.exports }).exports as unknown as Driver
}

const hex = (digest: bigint) => BigInt.asUintN(64, digest).toString(16).padStart(16, '0')

test('every case and model has its published digests', () => {
  const driver = openDriver(), expected = readExpected()
  assert.is(driver.caseCount(), program.entries.length)
  assert.ok(STAGE_CASES.every(({ name }) => program.entries.some((entry) => entry.name === name)))
  assert.ok(program.pages * PAGE_BYTES > program.tapeAt)
  for (const [index, entry] of program.entries.entries()) {
    const wanted = digestsOf(entry, expected)
    assert.is(hex(driver.run(index)), digestOfCase(wanted), entry.name)
    assert.equal(Array.from({ length: driver.outCount() }, (_, out) => hex(driver.outDigest(out))), wanted, entry.name)
  }
})

test('another input gives other bits', () => {
  const index = program.entries.findIndex(({ name }) => name === 'add n=7')
  const wanted = digestOfCase(digestsOf(program.entries[index], readExpected()))
  let at = 4
  for (let i = 0; i < index; i++) at += new DataView(program.tape.buffer).getUint32(at, true)
  // The seed of the first tensor: behind the case's 5 words and the fill's own 4.
  const changed = openDriver((tape) => { tape[at + 36] ^= 1 })
  assert.is.not(hex(changed.run(index)), wanted)
  assert.is(hex(openDriver().run(index)), wanted)
})

test.run()
