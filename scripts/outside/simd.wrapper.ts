/**
 * JavaScript can neither pass nor read a v128, so each assertion of WebAssembly's own tests becomes a function of a module
 * around the module under test (core specification 2.0, chapter 5): () → (), which puts the arguments on the stack as
 * constants, calls the function, and stores its result in the exported memory at address 0.
 */
import { refuse } from '../../runtime/error.ts'

/** A constant's bits, little-endian, as long as its type. */
export type Constant = { type: ValueType; bits: Uint8Array }
export type ValueType = 'i32' | 'i64' | 'f32' | 'f64' | 'v128'
export type Invocation = { field: string; args: readonly Constant[]; result: ValueType | undefined }

export const VALUE_BYTES: Readonly<Record<ValueType, number>> = { i32: 4, i64: 8, f32: 4, f64: 8, v128: 16 }
const TYPE_CODES: Readonly<Record<ValueType, number>> = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b }
const CONSTANTS: Readonly<Record<ValueType, readonly number[]>> = { i32: [0x41], i64: [0x42], f32: [0x43], f64: [0x44], v128: [0xfd, 12] }
/** With alignment 0 and offset 0. */
const STORES: Readonly<Record<ValueType, readonly number[]>> = { i32: [0x36], i64: [0x37], f32: [0x38], f64: [0x39], v128: [0xfd, 11] }

const MODULE = 'under test'
const HEADER = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]

function unsigned(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)]
}

function signed(value: bigint): number[] {
  const byte = Number(value & 0x7fn), rest = value >> 7n
  return (rest === 0n && byte < 0x40) || (rest === -1n && byte >= 0x40) ? [byte] : [byte | 0x80, ...signed(rest)]
}

const vector = (items: readonly (readonly number[])[]) => [...unsigned(items.length), ...items.flat()]
const section = (id: number, items: readonly (readonly number[])[]) => {
  const content = vector(items)
  return [id, ...unsigned(content.length), ...content]
}
const text = (value: string) => vector([...new TextEncoder().encode(value)].map((byte) => [byte]))

function constant({ type, bits }: Constant): number[] {
  if (bits.length !== VALUE_BYTES[type]) refuse('outside.constant', type, `${VALUE_BYTES[type]} bytes`, bits.length)
  const view = new DataView(bits.buffer, bits.byteOffset, bits.byteLength)
  if (type === 'i32') return [...CONSTANTS.i32, ...signed(BigInt(view.getInt32(0, true)))]
  if (type === 'i64') return [...CONSTANTS.i64, ...signed(view.getBigInt64(0, true))]
  return [...CONSTANTS[type], ...bits]
}

/** Functions `0`, `1`, … in the order of the invocations, and `memory`; imports are those of importsOf. */
export function encodeWrapper(invocations: readonly Invocation[]): Uint8Array {
  const types: string[] = [], typeBytes: number[][] = []
  const typeOf = (args: readonly ValueType[], results: readonly ValueType[]) => {
    const key = `${args.join()}>${results.join()}`
    if (!types.includes(key)) {
      types.push(key)
      typeBytes.push([0x60, ...[args, results].flatMap((list) => vector(list.map((type) => [TYPE_CODES[type]])))])
    }
    return unsigned(types.indexOf(key))
  }
  const plain = typeOf([], [])
  const imports = new Map<string, { index: number; bytes: number[] }>()
  for (const { field, args, result } of invocations) {
    const type = typeOf(args.map((arg) => arg.type), result === undefined ? [] : [result])
    const known = imports.get(field)
    if (known === undefined) imports.set(field, { index: imports.size, bytes: [...text(MODULE), ...text(field), 0, ...type] })
  }
  const bodies = invocations.map(({ field, args, result }) => {
    const call = [...args.flatMap(constant), 0x10, ...unsigned(imports.get(field)!.index)]
    const body = [0, ...(result === undefined ? call : [0x41, 0, ...call, ...STORES[result], 0, 0]), 0x0b]
    return [...unsigned(body.length), ...body]
  })
  const exported = invocations.map((_, i) => [...text(String(i)), 0, ...unsigned(imports.size + i)])
  return Uint8Array.from([
    ...HEADER, ...section(1, typeBytes), ...section(2, [...imports.values()].map(({ bytes }) => bytes)),
    ...section(3, invocations.map(() => plain)), ...section(5, [[0, 1]]),
    ...section(7, [...exported, [...text('memory'), 2, 0]]), ...section(10, bodies),
  ])
}

/** What a wrapper's module imports. */
export function importsOf(exports: WebAssembly.Exports): WebAssembly.Imports {
  return { [MODULE]: exports }
}
