/** The embedded script as this process has it: built once, and run where no name but ES5's is to be had. */
import { createContext, runInContext } from 'node:vm'
import type { FoundHost } from '../../scripts/engines/script.ts'
import type { KernelExports } from '../../runtime/kernel/abi.ts'
import { bundleEmbedded } from '../../scripts/embedded.bundle.ts'
import type { DeviceParts, EmbeddedDevice } from '../../targets/embedded/device.ts'

export type Embedded = { openDevice(parts: DeviceParts): EmbeddedDevice; openKernel(buffer: ArrayBuffer): KernelExports }

/** What the script may take from its engine: ES5 and typed arrays. */
export const GLOBALS = [
  'Array', 'ArrayBuffer', 'Boolean', 'DataView', 'Error', 'Function', 'JSON', 'Math', 'Number', 'Object', 'ReferenceError', 'String',
  'TypeError',
  'Int8Array', 'Uint8Array', 'Int16Array', 'Uint16Array', 'Int32Array', 'Uint32Array', 'Float32Array', 'Float64Array', 'isFinite',
  'RangeError', 'RegExp', 'NaN', 'undefined',
  // Asked for with typeof, and used where they are.
  'Iterator', 'Reflect', 'Symbol',
] as const

export const script = await bundleEmbedded()

/** The script run in this process, with its own numbers and buffers but no other global of the host's. */
export function openEmbedded(): Embedded {
  const context = createContext({ ArrayBuffer, Uint8Array, Int32Array, Float32Array })
  return runInContext(`${script}\nkerf`, context) as Embedded
}

/** What ES5 and typed arrays have; everything else that V8 knows is taken away before the script runs. */
const KEPT = {
  Array: 'isArray',
  Object: 'create defineProperty defineProperties freeze getOwnPropertyDescriptor getOwnPropertyNames getPrototypeOf'
    + ' isExtensible isFrozen keys',
  Number: 'MAX_VALUE MIN_VALUE',
  Math: 'E LN10 LN2 LOG10E LOG2E PI SQRT1_2 SQRT2 abs acos asin atan atan2 ceil cos exp floor log max min pow random round sin sqrt tan',
  String: 'fromCharCode',
  Uint8Array: '', Int32Array: '', Float32Array: '', Promise: '', Symbol: '', Reflect: '',
  'Array.prototype': 'concat every filter forEach indexOf join lastIndexOf map pop push reduce reduceRight reverse shift slice some sort'
    + ' splice toLocaleString toString unshift',
  'String.prototype': 'charAt charCodeAt concat indexOf lastIndexOf localeCompare match replace search slice split substr substring'
    + ' toLocaleLowerCase toLocaleUpperCase toLowerCase toString toUpperCase trim valueOf',
  'Object.getPrototypeOf(Uint8Array.prototype)': 'buffer byteLength byteOffset length set subarray',
  'Object.getPrototypeOf(Uint8Array)': '',
} as const
const GONE = ['Map', 'Set', 'WeakMap', 'WeakSet', 'Promise', 'Reflect', 'Proxy', 'BigInt', 'TextEncoder', 'TextDecoder', 'WebAssembly',
  'Iterator', 'Symbol', 'console', 'globalThis']

/** Deletes what is not kept, symbols too: arrays are not iterable any more. */
const STRIP = `(function (print) {
  var own = Object.getOwnPropertyNames, symbolsOf = Object.getOwnPropertySymbols, global = this, kept = ${JSON.stringify(KEPT)}
  var objects = {}
  for (var name in kept) objects[name] = (0, eval)(name)
  for (name in objects) {
    var stays = ['length', 'name', 'prototype', 'constructor', 'BYTES_PER_ELEMENT'].concat(kept[name].split(' '))
    own(objects[name]).forEach(function (key) { if (stays.indexOf(key) < 0) delete objects[name][key] })
    symbolsOf(objects[name]).forEach(function (key) { delete objects[name][key] })
  }
  ${JSON.stringify(GONE)}.forEach(function (key) { delete global[key] })
})
`

/** This process's engine, stripped to what the smallest host has. */
export const bareHost: FoundHost = {
  version: process.versions.v8,
  async run(text) {
    const lines: string[] = [], start = performance.now()
    const context = createContext({ print: (line: string) => { lines.push(line) } })
    runInContext(`${STRIP}.call(this)`, context)
    runInContext(text, context, { filename: 'script.js', displayErrors: false })
    return { lines, seconds: (performance.now() - start) / 1000, heapBytes: null }
  },
}
