/** What the binaries are: one ABI, no state of their own, no opcode that a host may lack. */
import { readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ABI_VERSION } from '../../runtime/kernel/abi.ts'
import { KERNEL_BUILDS, PAGE_BYTES, TILES, createMemory, instantiate, loadKernel } from '../../runtime/kernel/load.ts'
import type { KernelBuild } from '../../runtime/kernel/load.ts'
import { BUILDS, openKernelBuild } from '../kernels.ts'
import { refusalOf } from '../refusal.ts'
import { ATOMIC, RELAXED, SECTION, VECTOR, readExports, readInstructions, readMemories, readSections } from './binary.ts'

/** What the kernel may take of a device's flash, and of a link that brings it. */
const BYTES_MAX = 64_000
const GZIPPED_BYTES_MAX = 20_000
/** Builds that have a second binary, for shared memory. */
const SHARED = ['simd', 'relaxed'] as const

const binaryOf = (build: KernelBuild | `${KernelBuild}.shared`) => new Uint8Array(readFileSync(new URL(`../../dist/kerf.${build}.wasm`, import.meta.url)))

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

const isRelaxed = ({ prefix, opcode }: { prefix: number; opcode: number }) => prefix === VECTOR && opcode >= RELAXED
const instructionsOf = (build: Parameters<typeof binaryOf>[0]) => [...readInstructions(readSections(binaryOf(build)).get(SECTION.code)!)]
const exportsOf = (build: Parameters<typeof binaryOf>[0]) =>
  readExports(readSections(binaryOf(build)).get(SECTION.exports)!).map(({ name, kind }) => `${name} ${kind}`).sort()

test('relaxed: fused instructions and no atomic one, the exports of every build, and no state', () => {
  const instructions = instructionsOf('relaxed')
  // One for each accumulator of four lanes.
  const accumulators = TILES.map((tile) => tile.split('x').map(Number)).map(([rows, columns]) => (rows * columns) / 4)
  assert.ok(instructions.filter(isRelaxed).length >= accumulators.reduce((sum, count) => sum + count), 'every tile of the product is fused')
  assert.is(instructions.some(({ prefix }) => prefix === ATOMIC), false)
  assert.equal(exportsOf('relaxed'), exportsOf('scalar'))
  assert.ok(exportsOf('relaxed').includes('blockForward function'))
  const [memory, ...others] = readMemories(readSections(binaryOf('relaxed')).get(SECTION.imports)!)
  assert.equal([memory.module, memory.name, memory.shared, others], ['env', 'memory', false, []])
})

for (const build of SHARED) {
  test(`${build}.shared: a shared memory of any size, atomic instructions, and the exports of every build`, () => {
    const sections = readSections(binaryOf(`${build}.shared`))
    assert.equal(readMemories(sections.get(SECTION.imports)!), [{ module: 'env', name: 'memory', shared: true, initial: 1, maximum: 65536 }])
    for (const section of [SECTION.data, SECTION.memory, SECTION.start]) assert.not.ok(sections.has(section), `section ${section}`)
    const instructions = instructionsOf(`${build}.shared`)
    assert.ok(instructions.some(({ prefix }) => prefix === ATOMIC))
    assert.is(instructions.some(isRelaxed), build === 'relaxed')
    assert.equal(exportsOf(`${build}.shared`), exportsOf('scalar'))
  })
}

test('simd.shared: a memory that is not shared is no memory of its', async () => {
  const module = await WebAssembly.compile(binaryOf('simd.shared'))
  const error: unknown = await instantiate(module, createMemory(1, false), TILES[0]).then(() => null, (reason: unknown) => reason)
  assert.instance(error, WebAssembly.LinkError)
  assert.is((await instantiate(module, createMemory(1, true), TILES[0])).abiVersion(), ABI_VERSION)
})

test('every binary is small enough to embed', () => {
  for (const build of [...KERNEL_BUILDS, ...SHARED.map((name) => `${name}.shared` as const)]) {
    const binary = binaryOf(build), gzipped = gzipSync(binary, { level: 9 }).length
    assert.ok(binary.length <= BYTES_MAX, `${build}: expected at most ${BYTES_MAX} bytes, got ${binary.length}`)
    assert.ok(gzipped <= GZIPPED_BYTES_MAX, `${build}: expected at most ${GZIPPED_BYTES_MAX} bytes gzipped, got ${gzipped}`)
  }
})

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
