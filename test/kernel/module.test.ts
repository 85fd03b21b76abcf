/** What the binaries are: one ABI, no state of their own, no opcode that a host may lack. */
import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ABI_VERSION } from '../../runtime/kernel/abi.ts'
import { PAGE_BYTES, TILES, instantiate, loadKernel } from '../../runtime/kernel/load.ts'
import type { KernelBuild } from '../../runtime/kernel/load.ts'
import { BUILDS, openKernelBuild } from '../kernels.ts'
import { refusalOf } from '../refusal.ts'
import { ATOMIC, RELAXED, SECTION, VECTOR, readInstructions, readSections } from './binary.ts'

const binaryOf = (build: KernelBuild) => new Uint8Array(readFileSync(new URL(`../../dist/kerf.${build}.wasm`, import.meta.url)))

for (const build of BUILDS) {
  const sections = readSections(binaryOf(build))
  const { module, exports } = await openKernelBuild(build)
  const instructions = [...readInstructions(sections.get(SECTION.code)!)]

  test(`${build}: imports its memory and nothing else`, () => {
    assert.equal(WebAssembly.Module.imports(module), [{ module: 'env', name: 'memory', kind: 'memory' }])
  })

  test(`${build}: no data, no memory or start of its own`, () => {
    const { data, memory, start } = SECTION
    for (const section of [data, memory, start]) assert.not.ok(sections.has(section), `section ${section}`)
  })

  test(`${build}: the same exports as every build`, async () => {
    const names = (of: WebAssembly.Module) => WebAssembly.Module.exports(of).map(({ name, kind }) => `${name} ${kind}`).sort()
    assert.equal(names(module), names((await openKernelBuild('scalar')).module))
    assert.is(exports.abiVersion(), ABI_VERSION)
  })

  test(`${build}: no relaxed vector instruction, no atomic one`, () => {
    assert.ok(instructions.length > 1000, 'the whole code section was read')
    const vectors = instructions.filter(({ prefix }) => prefix === VECTOR)
    assert.is(vectors.some(({ opcode }) => opcode >= RELAXED), false)
    assert.is(instructions.some(({ prefix }) => prefix === ATOMIC), false)
    assert.is(vectors.length > 0, build !== 'scalar', 'vector instructions')
  })

  test(`${build}: two instances share one memory without a clash, each with a tile of its own`, async () => {
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 })
    const [first, second] = await Promise.all([instantiate(module, memory, TILES[0]), instantiate(module, memory, TILES[1])])
    const words = new Float32Array(memory.buffer)
    first.fill(64, 3, 9)
    second.scale(128, 64, 2, 9)
    assert.equal([...words.subarray(32, 42)], [6, 6, 6, 6, 6, 6, 6, 6, 6, 0])
    assert.is(memory.buffer.byteLength, PAGE_BYTES)
  })
}

/** (module (import "env" "memory" (memory 1)) (func (export NAME) (result i32) i32.const 9)) */
function impostor(name: string): Uint8Array<ArrayBuffer> {
  const text = [...new TextEncoder().encode(name)]
  const section = (id: number, ...bytes: number[]) => [id, bytes.length, ...bytes]
  return Uint8Array.from([
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    ...section(1, 1, 0x60, 0, 1, 0x7f),
    ...section(2, 1, 3, ...new TextEncoder().encode('env'), 6, ...new TextEncoder().encode('memory'), 2, 0, 1),
    ...section(3, 1, 0),
    ...section(7, 1, text.length, ...text, 0, 0),
    ...section(10, 1, 4, 0, 0x41, 9, 0x0b),
  ])
}

test('a binary of another ABI is refused', async () => {
  for (const [name, version] of [['abiVersion', '9'], ['version', '"none"']]) {
    const error = await refusalOf(loadKernel(impostor(name), 'scalar'))
    assert.is(error.message, `kernel.abiVersion: expected ${ABI_VERSION}, got ${version}`)
  }
})

test.run()
