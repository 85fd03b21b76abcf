/**
 * The kernel cases as a tape of little-endian words, for programs without JavaScript: what to write where, which exports to
 * call with which numbers, and where the results lie. Made of the same table as all else; addresses are those that the arena
 * gives, with the size functions of the build that will run it. driver.ts writes the program that plays it.
 *
 *   case    bytes of this case, end of what is poisoned, fills, calls, outs; then each of these:
 *   fill    kind, address, element, count, and by kind: uniform seed, scale, offset (f32 bits), halvings, zeros;
 *           integers seed, limit, offset; counter offset; bytes length and the bytes, filled up to words
 *   call    export, arguments; two words for each: an i32 or an f32's bits and 0, or an f64
 *           or one of ACTIONS: write address, bytes, and the bytes; copy to, from, bytes; keep the last result at an address;
 *           clear address, bytes
 *   out     element (7: the last call's result), address, count
 */
import { addressesOf, placeSlots } from '../../runtime/cases/arena.ts'
import { ARRAYS, RECORDS, callCase, countOfSlot, nameCase } from '../../runtime/cases/case.ts'
import type { Case, Element, Slot } from '../../runtime/cases/case.ts'
import { CASES } from '../../runtime/cases/table.ts'
import type { Source } from '../../runtime/cases/source.ts'
import type { KernelExports } from '../../runtime/kernel/abi.ts'
import type { Abi } from '../abi.ts'

export const KINDS = { uniform: 1, integers: 2, counter: 3, values: 4 } as const
/** What a tape does beside calling exports. */
export const ACTIONS = { write: 1000, copy: 1001, keep: 1002, clear: 1003 } as const
export const ELEMENTS: readonly (Element | 'result')[] = ['f64', 'f32', 'i32', 'u32', 'u16', 'i8', 'u8', 'result']

/** A case on the tape: its outs in their order, by the names of its tensors. */
export type Entry = { name: string; outs: readonly string[]; elements: readonly Element[] }
export type Encoded = { words: readonly number[]; end: number; entry: Entry }
export type Tape = { bytes: Uint8Array; entries: readonly Entry[]; memoryBytes: number }

const f32Bits = (value: number) => new Uint32Array(Float32Array.of(value).buffer)[0]
const f64Words = (value: number) => [...new Uint32Array(Float64Array.of(value).buffer)]

function wordsOf(bytes: Uint8Array): number[] {
  const whole = new Uint8Array(Math.ceil(bytes.length / 4) * 4)
  whole.set(bytes)
  return [bytes.length, ...new Uint32Array(whole.buffer)]
}

function sourceWords(source: Source, element: Element): number[] {
  if (source.kind === 'uniform') return [source.seed, f32Bits(source.scale), f32Bits(source.offset), source.halvings, source.zeros]
  if (source.kind === 'integers') return [source.seed, source.limit, source.offset]
  if (source.kind === 'counter') return [source.offset]
  return wordsOf(new Uint8Array(ARRAYS[element].from(source.values).buffer))
}

function recordBytes(slot: Slot & { role: 'record' }, addresses: Record<string, number>): Uint8Array {
  const { bytes, fields } = RECORDS[slot.record]
  const view = new DataView(new ArrayBuffer(bytes))
  const values = slot.fields(addresses)
  for (const [name, { offset, type }] of Object.entries(fields as Record<string, { offset: number; type: string }>)) {
    if (type === 'f32') view.setFloat32(offset, values[name] ?? 0, true)
    else view.setUint32(offset, values[name] ?? 0, true)
  }
  return new Uint8Array(view.buffer)
}

/** The calls that a case makes at these addresses. */
function callWords(it: Case, addresses: Record<string, number>, abi: Abi): { calls: number[][]; returns: boolean } {
  const calls: number[][] = []
  let returns = false
  const recorder = new Proxy({}, {
    get: (_, name: string) => (...args: number[]) => {
      returns = abi.functions[name].result !== 'void'
      calls.push(wordsOfCall(abi, name, args))
      return 0
    },
  }) as KernelExports
  const result = callCase(it, recorder, addresses)
  return { calls, returns: returns && typeof result === 'number' }
}

function encodeCase(it: Case, kernel: KernelExports, abi: Abi): Encoded {
  const { places, end } = placeSlots(kernel, it.slots)
  const addresses = addressesOf(places)
  const fills: number[][] = [], outs: number[][] = []
  for (const [name, slot] of Object.entries(it.slots)) {
    const { address } = places.get(name)!
    if (slot.role === 'record') {
      fills.push([KINDS.values, address, ELEMENTS.indexOf('u8'), RECORDS[slot.record].bytes, ...wordsOf(recordBytes(slot, addresses))])
    } else if ('source' in slot) {
      const { source, element } = slot
      fills.push([KINDS[source.kind], address, ELEMENTS.indexOf(element), countOfSlot(slot), ...sourceWords(source, element)])
    }
    if (slot.role === 'output' || slot.role === 'running') outs.push([ELEMENTS.indexOf(slot.element), address, countOfSlot(slot)])
  }
  const { calls, returns } = callWords(it, addresses, abi)
  if (returns) outs.push([ELEMENTS.indexOf('result'), 0, 1])
  const names = Object.keys(it.slots).filter((name) => it.slots[name].role === 'output' || it.slots[name].role === 'running')
  const entry: Entry = {
    name: nameCase(it), outs: [...names, ...(returns ? ['result'] : [])],
    elements: outs.map(([element]) => (ELEMENTS[element] === 'result' ? 'f64' : ELEMENTS[element] as Element)),
  }
  return { words: joinWords(end, fills, calls, outs), end, entry }
}

/** A case's words behind their length in bytes. */
export function joinWords(end: number, fills: number[][], calls: number[][], outs: number[][]): number[] {
  const body = [[end, fills.length, calls.length, outs.length], ...fills, ...calls, ...outs].flat()
  return [4 * (body.length + 1), ...body]
}

/** An export's call, its arguments as words. */
export function wordsOfCall(abi: Abi, name: string, args: readonly number[]): number[] {
  const { parameters } = abi.functions[name]
  const words = args.flatMap((value, i) => {
    const { type } = parameters[i]
    return type === 'f64' ? f64Words(value) : [type === 'f32' ? f32Bits(value) : value, 0]
  })
  return [Object.keys(abi.functions).indexOf(name), args.length, ...words]
}

/** The kernel cases, and what else has been encoded, one behind another. */
export function encodeTape(kernel: KernelExports, abi: Abi, large: boolean, others: readonly Encoded[] = []): Tape {
  const all = [...CASES.filter((it) => large || !it.large).map((it) => encodeCase(it, kernel, abi)), ...others]
  const words = new Uint32Array(1 + all.reduce((sum, one) => sum + one.words.length, 0))
  words[0] = all.length
  let at = 1
  for (const one of all) {
    words.set(one.words, at)
    at += one.words.length
  }
  return { bytes: new Uint8Array(words.buffer), entries: all.map(({ entry }) => entry), memoryBytes: Math.max(...all.map(({ end }) => end)) }
}
