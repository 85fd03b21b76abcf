/**
 * The program that plays a tape (tape.ts) beside the kernel's binary, in AssemblyScript, for an interpreter or a C compiler:
 * it imports the kernel's exports and their memory, and has no state of a host's.
 *
 *   caseCount()           run(case) → digest of its results' digests; after it:
 *   outCount()            outDigest(out), outAddress(out), outBytes(out), outElement(out), outBits(out, index)
 *   total()               the digest over all results of all cases run so far
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Abi } from '../abi.ts'
import { ACTIONS, ELEMENTS, KINDS } from './tape.ts'

const ASC = fileURLToPath(new URL('../../node_modules/assemblyscript/bin/asc.js', import.meta.url))
const ABI_FILE = new URL('../../dist/abi.json', import.meta.url)

export function readAbi(): Abi {
  return JSON.parse(readFileSync(ABI_FILE, 'utf8')) as Abi
}

/** Functions that the table calls; joinTeam and its like stay out. */
function callable({ functions }: Abi): [name: string, index: number][] {
  return Object.keys(functions).map((name, index): [string, number] => [name, index])
}

function dispatchLine(abi: Abi, name: string, index: number): string {
  const { parameters, result } = abi.functions[name]
  const args = parameters.map(({ type }, i) => (
    type === 'f64' ? `load<f64>(p, ${8 * i})` : type === 'f32' ? `load<f32>(p, ${8 * i})` : `load<${type === 'u32' ? 'u32' : 'i32'}>(p, ${8 * i})`))
  const call = `k_${name}(${args.join(', ')})`
  return `    case ${index}: ${result === 'void' ? call : `result = <f64>${call}`}; break`
}

function declareLine(abi: Abi, name: string): string {
  const { parameters, result } = abi.functions[name]
  const numbers = parameters.map(({ name: parameter, type }) => `${parameter}_: ${['f32', 'f64', 'u32'].includes(type) ? type : 'i32'}`)
  return `@external("kerf", "${name}") declare function k_${name}(${numbers.join(', ')}): ${result === 'usize' ? 'i32' : result}`
}

/** @param tapeAt the address of the tape */
function writeSource(abi: Abi, tapeAt: number): string {
  const functions = callable(abi)
  const element = (name: (typeof ELEMENTS)[number]) => ELEMENTS.indexOf(name)
  return `${functions.map(([name]) => declareLine(abi, name)).join('\n')}

const TAPE: usize = ${tapeAt}
const POISON: u32 = 0x7fa00000
let result: f64 = 0
let a: u32 = 0, b: u32 = 0
let allA: u32 = 0, allB: u32 = 0, allWords: u32 = 0
let outs: usize = 0, outs_: i32 = 0

function mix(seed: u32, counter: u32): u32 {
  let x: u32 = counter * 0x9e3779b9 + seed
  x = (x ^ (x >> 16)) * 0x7feb352d
  x = (x ^ (x >> 15)) * 0x846ca68b
  return x ^ (x >> 16)
}

function put(at: usize, element: i32, i: i32, value: f64): void {
  switch (element) {
    case ${element('f64')}: store<f64>(at + (<usize>i << 3), value); break
    case ${element('f32')}: store<f32>(at + (<usize>i << 2), <f32>value); break
    case ${element('i32')}: store<i32>(at + (<usize>i << 2), <i32>value); break
    case ${element('u32')}: store<u32>(at + (<usize>i << 2), <u32>value); break
    case ${element('u16')}: store<u16>(at + (<usize>i << 1), <u16>value); break
    default: store<u8>(at + <usize>i, <u8><i32>value)
  }
}

function uniform(p: usize, i: i32): f64 {
  if (i < load<i32>(p, 16)) return 0
  const u: f32 = <f32>(<i32>(mix(load<u32>(p), i) >> 8) - 8388608) / 8388608
  let value: f32 = u * load<f32>(p, 4)
  value = value + load<f32>(p, 8)
  for (let n = i % load<i32>(p, 12); n > 0; n--) value = value * 0.5
  return <f64>value
}

function fill(p: usize): usize {
  const kind = load<i32>(p), at = <usize>load<u32>(p, 4), element = load<i32>(p, 8), count = load<i32>(p, 12)
  p += 16
  if (kind == ${KINDS.uniform}) {
    for (let i = 0; i < count; i++) put(at, element, i, uniform(p, i))
    return p + 20
  }
  if (kind == ${KINDS.integers}) {
    for (let i = 0; i < count; i++) put(at, element, i, <f64>(<i32>(mix(load<u32>(p), i) % load<u32>(p, 4)) + load<i32>(p, 8)))
    return p + 12
  }
  if (kind == ${KINDS.counter}) {
    for (let i = 0; i < count; i++) put(at, element, i, <f64>(i + load<i32>(p)))
    return p + 4
  }
  const length = load<u32>(p)
  memory.copy(at, p + 4, length)
  return p + 4 + <usize>((length + 3) & ~3)
}

function call(p: usize): usize {
  const operation = load<i32>(p), count = load<i32>(p, 4)
  p += 8
  switch (operation) {
${functions.map(([name, index]) => dispatchLine(abi, name, index)).join('\n')}
    case ${ACTIONS.write}: memory.copy(load<u32>(p), p + 16, load<u32>(p, 8)); break
    case ${ACTIONS.copy}: memory.copy(load<u32>(p), load<u32>(p, 8), load<u32>(p, 16)); break
    case ${ACTIONS.keep}: store<f64>(load<u32>(p), result); break
    case ${ACTIONS.clear}: memory.fill(load<u32>(p), 0, load<u32>(p, 8)); break
    default: unreachable()
  }
  return p + (<usize>count << 3)
}

function addWord(word: u32): void {
  let k: u32 = word * 0xcc9e2d51
  k = rotl<u32>(k, 15) * 0x1b873593
  a = rotl<u32>(a ^ k, 13) * 5 + 0xe6546b64
  k = word * 0x1b873593
  k = rotl<u32>(k, 15) * 0xcc9e2d51
  b = rotl<u32>(b ^ k, 13) * 5 + 0xe6546b64
}

function sizeOf(element: i32): u32 {
  return element == ${element('f64')} || element == ${element('result')} ? 8 : element <= ${element('u32')} ? 4 : element == ${element('u16')} ? 2 : 1
}

function addWide(bits: u64): void {
  if ((bits & 0x7fffffffffffffff) > 0x7ff0000000000000) bits = 0x7ff8000000000000
  addWord(<u32>bits)
  addWord(<u32>(bits >> 32))
}

function digestOut(p: usize): u64 {
  const element = load<i32>(p), at = <usize>load<u32>(p, 4), count = load<i32>(p, 8)
  const bytes = <u32>count * sizeOf(element)
  a = 0
  b = 0
  if (element == ${element('result')}) addWide(reinterpret<u64>(result))
  else if (element == ${element('f64')}) for (let i = 0; i < count; i++) addWide(load<u64>(at + (<usize>i << 3)))
  else {
    const whole = bytes & ~3
    for (let i: u32 = 0; i < whole; i += 4) {
      let word = load<u32>(at + i)
      if (element == ${element('f32')} && (word & 0x7fffffff) > 0x7f800000) word = 0x7fc00000
      addWord(word)
    }
    if (whole < bytes) {
      let word: u32 = 0
      for (let i = whole; i < bytes; i++) word |= <u32>load<u8>(at + i) << (8 * (i - whole))
      addWord(word)
    }
  }
  addWord(bytes)
  return (<u64>a << 32) | b
}

export function caseCount(): i32 {
  return load<i32>(TAPE)
}

export function run(index: i32): u64 {
  let p = TAPE + 4
  for (let i = 0; i < index; i++) p += <usize>load<u32>(p)
  const words = load<u32>(p, 4) >> 2
  for (let i: u32 = 0; i < words; i++) store<u32>(<usize>i << 2, POISON | ((i + 1) & 0xfffff))
  const fills = load<i32>(p, 8), calls = load<i32>(p, 12)
  outs_ = load<i32>(p, 16)
  p += 20
  for (let i = 0; i < fills; i++) p = fill(p)
  for (let i = 0; i < calls; i++) p = call(p)
  outs = p
  let caseA: u32 = 0, caseB: u32 = 0
  for (let i = 0; i < outs_; i++) {
    const digest = digestOut(p + <usize>(12 * i))
    a = caseA
    b = caseB
    addWord(<u32>(digest >> 32))
    addWord(<u32>digest)
    caseA = a
    caseB = b
    a = allA
    b = allB
    addWord(<u32>(digest >> 32))
    addWord(<u32>digest)
    allA = a
    allB = b
    allWords += 2
  }
  a = caseA
  b = caseB
  addWord(8 * outs_)
  return (<u64>a << 32) | b
}

export function total(): u64 {
  a = allA
  b = allB
  addWord(4 * allWords)
  return (<u64>a << 32) | b
}

export function outCount(): i32 {
  return outs_
}

export function outDigest(out: i32): u64 {
  return digestOut(outs + <usize>(12 * out))
}

export function outElement(out: i32): i32 {
  return load<i32>(outs + <usize>(12 * out))
}

export function outAddress(out: i32): u32 {
  return load<u32>(outs + <usize>(12 * out), 4)
}

export function outBytes(out: i32): u32 {
  return load<u32>(outs + <usize>(12 * out), 8) * sizeOf(outElement(out))
}

/** The bits of an element. */
export function outBits(out: i32, i: i32): u64 {
  const element = outElement(out)
  const at = <usize>outAddress(out) + <usize>i * <usize>sizeOf(element)
  switch (sizeOf(element)) {
    case 8: return element == ${element('result')} ? reinterpret<u64>(result) : load<u64>(at)
    case 4: return <u64>load<u32>(at)
    case 2: return <u64>load<u16>(at)
    default: return <u64>load<u8>(at)
  }
}

/** Of the last call. */
export function resultBits(): u64 {
  return reinterpret<u64>(result)
}
`
}

/** Compiles the driver for a tape at `tapeAt` in a memory of `pages` to `outFile`. */
export function compileDriver(abi: Abi, tapeAt: number, pages: number, outFile: string): void {
  const source = outFile.replace(/\.wasm$/, '.ts')
  writeFileSync(source, writeSource(abi, tapeAt))
  execFileSync(process.execPath, [
    ASC, source, '--outFile', outFile, '-O2', '--runtime', 'stub', '--importMemory', '--initialMemory', String(pages), '--noAssert', '--use', 'abort=',
    '--disable', 'simd', '--noExportMemory',
  ], { cwd: dirname(outFile), stdio: ['ignore', 'ignore', 'inherit'] })
}
