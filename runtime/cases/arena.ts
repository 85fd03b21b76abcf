/**
 * Runs a case on one instance, in memory whose every word is another signalling NaN but for the case's inputs: what is read
 * without being written poisons the result, and what is written where nothing should be shows.
 */
import type { KernelExports } from '../kernel/abi.ts'
import type { Addresses, Case, Slot, Slots } from './case.ts'
import { ARRAYS, RECORDS, callCase, countOfSlot } from './case.ts'
import { writeSource } from './source.ts'

const GUARD_BYTES = 64
const POISON = 0x7fa00000

/** An instance and its memory, whose buffer must not be replaced. */
export type Arena = { kernel: KernelExports; buffer: ArrayBufferLike }
export type Alias = readonly [output: string, input: string]
export type Place = { address: number; bytes: number }
export type Places = ReadonlyMap<string, Place>

/** `damage`: what changed that should not have, or null. */
export type Outcome = { result: number | void; bytes: ReadonlyMap<string, Uint8Array>; damage: string | null }

/** Bytes that a slot takes; scratch as this kernel says. */
export function bytesOfSlot(slot: Slot, kernel: KernelExports): number {
  if (slot.role === 'scratch') return slot.bytes(kernel)
  if (slot.role === 'record') return RECORDS[slot.record].bytes
  return countOfSlot(slot) * ARRAYS[slot.element].BYTES_PER_ELEMENT
}

/** Slots one after another, a guard before and right behind each; f32 start at odd multiples of four, as in an adapter set. */
export function placeSlots(kernel: KernelExports, slots: Slots, alias?: Alias): { places: Places; end: number } {
  const places = new Map<string, Place>()
  let next = GUARD_BYTES
  for (const name of Object.keys(slots)) {
    const slot = slots[name]
    if (alias?.[0] === name) continue
    const wide = slot.role !== 'scratch' && slot.role !== 'record' && slot.element === 'f64'
    const address = Math.ceil((next + GUARD_BYTES) / 8) * 8 + (wide ? 0 : 4)
    const bytes = bytesOfSlot(slot, kernel)
    places.set(name, { address, bytes })
    next = address + bytes
  }
  if (alias) places.set(alias[0], places.get(alias[1])!)
  return { places, end: Math.ceil((next + GUARD_BYTES) / 4) * 4 }
}

function poison(buffer: ArrayBufferLike, end: number): void {
  const words = new Uint32Array(buffer, 0, end / 4)
  for (let i = 0; i < words.length; i++) words[i] = POISON | ((i + 1) & 0xfffff)
}

/** The byte that `poison` puts at an address. */
function poisonAt(address: number): number {
  const word = POISON | (((address >> 2) + 1) & 0xfffff)
  return (word >>> (8 * (address & 3))) & 255
}

export function addressesOf(places: Places): Record<string, number> {
  const addresses: Record<string, number> = {}
  places.forEach(({ address }, name) => { addresses[name] = address })
  return addresses
}

/** Fields of a record by the ABI's table; those not named are 0. */
function writeRecord(buffer: ArrayBufferLike, address: number, slot: Slot & { role: 'record' }, addresses: Addresses): void {
  const { bytes, fields } = RECORDS[slot.record]
  const values = slot.fields(addresses)
  const view = new DataView(buffer, address, bytes)
  for (const name of Object.keys(fields)) {
    const { offset, type } = (fields as Record<string, { offset: number; type: string }>)[name]
    if (type === 'f32') view.setFloat32(offset, values[name] ?? 0, true)
    else view.setUint32(offset, values[name] ?? 0, true)
  }
}

export function fillSlots(buffer: ArrayBufferLike, slots: Slots, places: Places, addresses: Addresses): void {
  for (const name of Object.keys(slots)) {
    const slot = slots[name]
    const { address } = places.get(name)!
    if (slot.role === 'record') writeRecord(buffer, address, slot, addresses)
    else if ('source' in slot) writeSource(slot.source, new ARRAYS[slot.element](buffer as ArrayBuffer, address, countOfSlot(slot)))
  }
}

/** What a guard shows, or null. */
function checkGuards(buffer: ArrayBufferLike, places: readonly (readonly [string, Place])[], end: number): string | null {
  const bytes = new Uint8Array(buffer, 0, end)
  let from = 0
  for (const [name, place] of places.concat([['the end', { address: end, bytes: 0 }]])) {
    for (let address = from; address < place.address; address++) {
      if (bytes[address] !== poisonAt(address)) return `expected byte ${address - place.address} before ${name} untouched, got ${bytes[address]}`
    }
    from = Math.max(from, place.address + place.bytes)
  }
  return null
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/** Bytes of memory that a case needs. */
export function bytesOfCase(kernel: KernelExports, it: Case): number {
  return placeSlots(kernel, it.slots).end
}

/** Runs `it`, with `alias` at one address if given. */
export function runCase({ kernel, buffer }: Arena, it: Case, alias?: Alias): Outcome {
  const { places, end } = placeSlots(kernel, it.slots, alias)
  if (end > buffer.byteLength) throw new Error(`arena: expected at least ${end} bytes, got ${buffer.byteLength}`)
  const addresses = addressesOf(places)
  const copy = (name: string) => new Uint8Array(buffer, addresses[name], places.get(name)!.bytes).slice()
  const names = Object.keys(it.slots)
  const kept = names.filter((name) => (it.slots[name].role === 'input' || it.slots[name].role === 'record') && name !== alias?.[1])

  poison(buffer, end)
  fillSlots(buffer, it.slots, places, addresses)
  const before = kept.map(copy)
  const result = callCase(it, kernel, addresses)
  const guarded = names.filter((name) => name !== alias?.[0]).map((name) => [name, places.get(name)!] as const)
  const changed = kept.filter((name, i) => !sameBytes(copy(name), before[i])).map((name) => `expected ${name} unchanged`)
  const bytes = new Map<string, Uint8Array>()
  for (const name of names) if (it.slots[name].role === 'output' || it.slots[name].role === 'running') bytes.set(name, copy(name))
  return { result, bytes, damage: checkGuards(buffer, guarded, end) ?? changed[0] ?? null }
}
