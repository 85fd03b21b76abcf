/**
 * Runs a case on one build, in memory whose every word is another signalling NaN but
 * for the case's inputs: what is read without being written poisons the result, and
 * what is written where nothing should be shows.
 */
import * as assert from 'uvu/assert'
import type { KernelExports } from '../../runtime/kernel/abi.ts'
import type { KernelBuild, Tile } from '../../runtime/kernel/load.ts'
import { PAGE_BYTES, TILES, instantiate } from '../../runtime/kernel/load.ts'
import { distance } from '../distance.ts'
import { openKernelBuild } from '../kernels.ts'
import type { Addresses, Case, Element, Expected, Slot, Slots } from './case.ts'
import { ARRAYS } from './case.ts'

const ARENA_BYTES = 64 * 1024 * 1024
const GUARD_BYTES = 64
const POISON = 0x7fa00000

export type Arena = { build: KernelBuild; kernel: KernelExports; memory: WebAssembly.Memory }
export type Outcome = { result: number | void; bytes: ReadonlyMap<string, Uint8Array> }
export type Alias = readonly [output: string, input: string]

type Place = { address: number; bytes: number }
type Places = ReadonlyMap<string, Place>

export async function openArena(build: KernelBuild, tile: Tile = TILES[0]): Promise<Arena> {
  const { module } = await openKernelBuild(build)
  const pages = ARENA_BYTES / PAGE_BYTES
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages })
  return { build, memory, kernel: await instantiate(module, memory, tile) }
}

function bytesOf(slot: Slot, kernel: KernelExports): number {
  if (slot.role === 'scratch') return slot.bytes(kernel)
  if (slot.role === 'record') return slot.bytes
  return (slot.role === 'output' ? slot.count : slot.values.length) * ARRAYS[slot.element].BYTES_PER_ELEMENT
}

/** Slots one after another, a guard before and right behind each; f32 start at odd multiples of four, as in an adapter set. */
function placeSlots({ kernel, memory }: Arena, slots: Slots, alias?: Alias): { places: Places; end: number } {
  const places = new Map<string, Place>()
  let next = GUARD_BYTES
  for (const [name, slot] of Object.entries(slots)) {
    if (alias?.[0] === name) continue
    const wide = slot.role !== 'scratch' && slot.role !== 'record' && slot.element === 'f64'
    const address = Math.ceil((next + GUARD_BYTES) / 8) * 8 + (wide ? 0 : 4)
    const bytes = bytesOf(slot, kernel)
    places.set(name, { address, bytes })
    next = address + bytes
  }
  if (alias) places.set(alias[0], places.get(alias[1])!)
  const end = Math.ceil((next + GUARD_BYTES) / 4) * 4
  assert.ok(end <= memory.buffer.byteLength, `arena: expected at most ${memory.buffer.byteLength} bytes, got ${end}`)
  return { places, end }
}

function poison(memory: WebAssembly.Memory, end: number): void {
  const words = new Uint32Array(memory.buffer, 0, end / 4)
  for (let i = 0; i < words.length; i++) words[i] = POISON | ((i + 1) & 0xfffff)
}

/** The byte that `poison` puts at an address. */
function poisonAt(address: number): number {
  const word = POISON | (((address >> 2) + 1) & 0xfffff)
  return (word >>> (8 * (address & 3))) & 255
}

function fillSlots({ memory }: Arena, slots: Slots, places: Places, addresses: Addresses): void {
  for (const [name, slot] of Object.entries(slots)) {
    const { address } = places.get(name)!
    if (slot.role === 'record') slot.write(memory.buffer as ArrayBuffer, address, addresses)
    else if ('values' in slot) new ARRAYS[slot.element](memory.buffer, address, slot.values.length).set(slot.values)
  }
}

function checkGuards({ memory }: Arena, places: Places, end: number, what: string): void {
  const bytes = new Uint8Array(memory.buffer, 0, end)
  let from = 0
  for (const [name, place] of [...places, ['the end', { address: end, bytes: 0 }] as const]) {
    for (let address = from; address < place.address; address++) {
      if (bytes[address] !== poisonAt(address)) {
        assert.unreachable(`${what}: expected byte ${address - place.address} before ${name} untouched, got ${bytes[address]}`)
      }
    }
    from = Math.max(from, place.address + place.bytes)
  }
}

const UNCHANGED: ReadonlySet<Slot['role']> = new Set(['input', 'record'])
const WRITTEN: ReadonlySet<Slot['role']> = new Set(['output', 'running'])

/** Runs `it`, with `alias` at one address if given; fails where a guard, an input or a record changes. */
export function runCase(arena: Arena, it: Case, alias?: Alias): Outcome {
  const what = `${arena.build} ${it.operation} ${it.sizes}${alias ? ` ${alias[0]} = ${alias[1]}` : ''}`
  const { places, end } = placeSlots(arena, it.slots, alias)
  const addresses = Object.fromEntries([...places].map(([name, { address }]) => [name, address]))
  const copy = (name: string) => new Uint8Array(arena.memory.buffer, addresses[name], places.get(name)!.bytes).slice()
  const names = (roles: ReadonlySet<Slot['role']>) => Object.keys(it.slots).filter((name) => roles.has(it.slots[name].role))

  poison(arena.memory, end)
  fillSlots(arena, it.slots, places, addresses)
  const kept = names(UNCHANGED).filter((name) => name !== alias?.[1])
  const before = kept.map(copy)
  const result = it.call(arena.kernel, addresses)
  checkGuards(arena, new Map([...places].filter(([name]) => name !== alias?.[0])), end, what)
  kept.forEach((name, i) => assert.ok(sameBytes(copy(name), before[i]), `${what}: expected ${name} unchanged`))
  return { result, bytes: new Map(names(WRITTEN).map((name) => [name, copy(name)])) }
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i])
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

export const nameCase = ({ operation, sizes }: Case) => `${operation} ${sizes}`

/** What multiplies matrices, and so depends on the tile and, in the fast build, on fused additions. */
export const MULTIPLIES = /^(matmul|linear|attention|block)/

/** Fails where a tensor is farther than `tolerance` from what the float64 oracle expects, or is expected by nobody. */
export function checkOracle(
  it: Case, { result, bytes }: Outcome, expected = it.expect(), { tolerance, floor }: Pick<Case, 'tolerance' | 'floor'> = it,
): void {
  const written = [...bytes.keys(), ...(result === undefined ? [] : ['result'])]
  assert.equal(Object.keys(expected).sort(), written.sort(), `${nameCase(it)}: an expectation for everything written`)
  for (const [tensor, expectation] of Object.entries(expected)) {
    const actual = tensor === 'result' ? Float64Array.of(result as number) : numbersOf(it.slots[tensor], bytes.get(tensor)!)
    const gap = distance(...pairUp(actual, expectation), floor)
    assert.ok(gap <= tolerance, `${nameCase(it)}: expected ${tensor} within ${tolerance}, got ${gap}`)
  }
}

/** An operation over vectors, out = f(x), on plain arrays. */
export function mapVector<Out extends Element>(
  { kernel, memory }: Arena, operation: (kernel: KernelExports, out: number, x: number, n: number, scratch: number) => void,
  x: ArrayBufferView & { length: number }, element: Out,
): InstanceType<(typeof ARRAYS)[Out]> {
  const out = GUARD_BYTES, from = ARENA_BYTES / 2
  new Uint8Array(memory.buffer, from, x.byteLength).set(new Uint8Array(x.buffer, x.byteOffset, x.byteLength))
  operation(kernel, out, from, x.length, from + Math.ceil(x.byteLength / 4) * 4)
  return new ARRAYS[element](memory.buffer, out, x.length).slice() as InstanceType<(typeof ARRAYS)[Out]>
}
