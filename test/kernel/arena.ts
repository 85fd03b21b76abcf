/** The table's cases run on a build: what the runtime's arena finds damaged fails here, and the float64 oracle judges the numbers. */
import * as assert from 'uvu/assert'
import type { Alias, Arena as Instance, Outcome } from '../../runtime/cases/arena.ts'
import { runCase as run } from '../../runtime/cases/arena.ts'
import type { Case, Element, Slot } from '../../runtime/cases/case.ts'
import { ARRAYS, nameCase } from '../../runtime/cases/case.ts'
import type { Expected } from '../../runtime/cases/oracle.ts'
import { draw, drawIntegers, read, readIntegers } from '../../runtime/cases/source.ts'
import type { KernelExports } from '../../runtime/kernel/abi.ts'
import type { KernelBuild, Tile } from '../../runtime/kernel/load.ts'
import { PAGE_BYTES, TILES, instantiate } from '../../runtime/kernel/load.ts'
import { distance } from '../distance.ts'
import { openKernelBuild } from '../kernels.ts'
import { ORACLE } from './oracle.ts'

export { sameBytes } from '../../runtime/cases/arena.ts'
export type { Outcome } from '../../runtime/cases/arena.ts'

const ARENA_BYTES = 96 * 1024 * 1024
const FIRST = 64

export type Arena = Instance & { build: KernelBuild; memory: WebAssembly.Memory }

export async function openArena(build: KernelBuild, tile: Tile = TILES[0]): Promise<Arena> {
  const { module } = await openKernelBuild(build)
  const pages = ARENA_BYTES / PAGE_BYTES
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages })
  return { build, memory, buffer: memory.buffer, kernel: await instantiate(module, memory, tile) }
}

/** Values of a source, as the oracle reads them. */
export const drawn = (...args: Parameters<typeof draw>): Float64Array => read(draw(...args))
export const drawnIntegers = (...args: Parameters<typeof drawIntegers>): Int32Array => readIntegers(drawIntegers(...args))

/** Runs `it`, with `alias` at one address if given; fails where a guard, an input or a record changes. */
export function runCase(arena: Arena, it: Case, alias?: Alias): Outcome {
  const outcome = run(arena, it, alias)
  assert.is(outcome.damage, null, `${arena.build} ${nameCase(it)}${alias ? ` ${alias[0]} = ${alias[1]}` : ''}: ${outcome.damage}`)
  return outcome
}

/** The numbers of a tensor that `runCase` returned. */
export function numbersOf(slot: Slot, bytes: Uint8Array): Float64Array {
  if (slot.role === 'scratch' || slot.role === 'record') throw new Error(`slot.role: expected a tensor, got ${slot.role}`)
  const { BYTES_PER_ELEMENT: size } = ARRAYS[slot.element]
  return Float64Array.from(new ARRAYS[slot.element](bytes.slice().buffer, 0, bytes.length / size))
}

/** The elements that are expected, and what is expected of them. */
export function pairUp(actual: Float64Array, expected: Expected): [actual: Float64Array, expected: ArrayLike<number>] {
  if (!('indices' in expected)) return [actual, expected]
  return [Float64Array.from(expected.indices, (index) => actual[index]), expected.values]
}

/** What multiplies matrices, and so depends on the tile and, in the fast build, on fused additions. */
export const MULTIPLIES = /^(matmul|linear|attention|block)/

/** Fails where a tensor is farther than `tolerance` from what the float64 oracle expects, or is expected by nobody. */
export function checkOracle(
  it: Case, { result, bytes }: Outcome, expected = it.expect(ORACLE), { tolerance, floor }: Pick<Case, 'tolerance' | 'floor'> = it,
): void {
  const written = [...bytes.keys(), ...(result === undefined ? [] : ['result'])]
  assert.equal(Object.keys(expected).sort(), written.sort(), `${nameCase(it)}: an expectation for everything written`)
  for (const [tensor, expectation] of Object.entries(expected)) {
    const actual = tensor === 'result' ? Float64Array.of(result as number) : numbersOf(it.slots[tensor], bytes.get(tensor)!)
    const [got, wanted] = pairUp(actual, expectation)
    const gap = tolerance === 0 ? exactGap(got, wanted) : distance(got, wanted, floor)
    assert.ok(gap <= tolerance, `${nameCase(it)}: expected ${tensor} within ${tolerance}, got ${gap}`)
  }
}

/** 0 where all numbers are the same, NaN and infinities among them; signs of zero are for the builds to agree on. */
function exactGap(actual: Float64Array, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Infinity
  return actual.every((value, i) => value === expected[i] || (Number.isNaN(value) && Number.isNaN(expected[i]))) ? 0 : distance(actual, expected)
}

/** An operation over vectors, out = f(x), on plain arrays. */
export function mapVector<Out extends Element>(
  { kernel, memory }: Arena, operation: (kernel: KernelExports, out: number, x: number, n: number, scratch: number) => void,
  x: ArrayBufferView & { length: number }, element: Out,
): InstanceType<(typeof ARRAYS)[Out]> {
  const out = FIRST, from = ARENA_BYTES / 2
  new Uint8Array(memory.buffer, from, x.byteLength).set(new Uint8Array(x.buffer, x.byteOffset, x.byteLength))
  operation(kernel, out, from, x.length, from + Math.ceil(x.byteLength / 4) * 4)
  return new ARRAYS[element](memory.buffer, out, x.length).slice() as InstanceType<(typeof ARRAYS)[Out]>
}
