/**
 * The most that multiply and add in registers alone reach on this host and engine: a small WebAssembly module of many
 * independent chains, in the instruction mix of a matrix product.
 *   strict   as many multiplies as adds: m_i = m_i · v and a_i = a_i + b, in turn
 *   fast     fused, two operations each: a_i = a_i · v + b
 * Accumulators lie in neighbouring pairs, so that V8's revectorizer may take two for one of 256 bits. It wants v and b in
 * pairs, too; without it they would take two registers more.
 */
import { checkOutputs } from './numbers.ts'
import type { Task } from './protocol.ts'
import { pickFastest } from './protocol.ts'

/** Chains of 128 bits, a multiple of 4, and whether v and b are pairs. Few suit 16 registers of 128 bits, many those of 256. */
const SHAPES = [[8, false], [12, false], [12, true], [16, true], [20, true], [24, true]] as const
const LANES = 4
const LOOPS = 20_000
const CALLS = 400

const V128 = 0x7b, I32 = 0x7f, EMPTY = 0x40
const BLOCK_LOOP = 0x03, END = 0x0b, BR_IF = 0x0d, GET = 0x20, SET = 0x21, TEE = 0x22, CONST = 0x41, SUB = 0x6b
const SIMD = 0xfd, LOAD = 0, STORE = 11, MULTIPLY = 0xe6, ADD = 0xe4, FUSED = 0x105

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)]
}

function list(items: readonly (readonly number[])[]): number[] {
  return [...varint(items.length), ...items.flat()]
}

function section(id: number, content: readonly number[]): number[] {
  return [id, ...varint(content.length), ...content]
}

const ascii = (text: string) => [...varint(text.length), ...new TextEncoder().encode(text)]
const simd = (operation: number) => [SIMD, ...varint(operation)]
const access = (operation: number, offset: number) => [...simd(operation), 4, ...varint(offset)]
const get = (local: number) => [GET, ...varint(local)]
const set = (local: number) => [SET, ...varint(local)]

/** Exports `run(loops)` and `memory`: v at 0, b at 32, the accumulators from 64. Locals: the count, v0, v1, b0, b1, the accumulators. */
export function encodeModule(chains: number, paired: boolean, fused: boolean): Uint8Array<ArrayBuffer> {
  const v = 1, b = 3, first = 5
  const zero = [CONST, 0]
  const all = Array.from({ length: chains }, (_, chain) => chain)
  const places = [...Array(4).keys(), ...all.map((chain) => chain + 4)]
  const loads = places.flatMap((place) => [...zero, ...access(LOAD, 16 * place), ...set(1 + place)])
  const steps = all.flatMap((chain) => {
    const acc = first + chain, pair = paired ? chain & 1 : 0
    if (fused) return [...get(acc), ...get(v + pair), ...get(b + pair), ...simd(FUSED), ...set(acc)]
    return chain & 2
      ? [...get(acc), ...get(v + pair), ...simd(MULTIPLY), ...set(acc)]
      : [...get(acc), ...get(b + pair), ...simd(ADD), ...set(acc)]
  })
  const again = [...get(0), CONST, 1, SUB, TEE, 0, BR_IF, 0]
  const stores = all.flatMap((chain) => [...zero, ...get(first + chain), ...access(STORE, 16 * (4 + chain))])
  const body = [...list([[...varint(4 + chains), V128]]), ...loads, BLOCK_LOOP, EMPTY, ...steps, ...again, END, ...stores, END]
  return Uint8Array.from([
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    ...section(1, list([[0x60, ...list([[I32]]), ...list([])]])),
    ...section(3, list([[0]])),
    ...section(5, list([[0, 1]])),
    ...section(7, list([[...ascii('run'), 0, 0], [...ascii('memory'), 2, 0]])),
    ...section(10, list([[...varint(body.length), ...body]])),
  ])
}

type Peak = { run(loops: number): void; memory: WebAssembly.Memory }

async function openPeak(chains: number, paired: boolean, fused: boolean): Promise<Peak> {
  const { instance } = await WebAssembly.instantiate(encodeModule(chains, paired, fused))
  const peak = instance.exports as unknown as Peak
  new Float32Array(peak.memory.buffer, 0, LANES * (4 + chains)).fill(1)
  return peak
}

/** Each way takes about as long as the others; flops are those of the fastest. */
export async function measurePeak(fused: boolean): Promise<Task> {
  const ways = await Promise.all(SHAPES.map(async ([chains, paired]) => {
    const peak = await openPeak(chains, paired, fused)
    const loops = Math.round((LOOPS * 24) / chains)
    const flops = (fused ? 2 : 1) * LANES * chains * loops * CALLS
    const name = `${chains} chains${paired ? ' in pairs' : ''}`
    return { name, memory: peak.memory, flops, run: () => { for (let call = 0; call < CALLS; call++) peak.run(loops) } }
  }))
  const { name, run, memory, flops } = await pickFastest(ways)
  return { run, flops, note: name, check: () => checkOutputs({ v: new Float32Array(memory.buffer, 0, LANES) }) }
}
