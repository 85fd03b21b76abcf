/** The embedded script as this process has it: built once, and run where no name but ES5's is to be had. */
import { createContext, runInContext } from 'node:vm'
import type { KernelExports } from '../../runtime/kernel/abi.ts'
import { bundleEmbedded } from '../../scripts/embedded.bundle.ts'
import type { DeviceParts, EmbeddedDevice } from '../../targets/embedded/device.ts'

export type Embedded = { openDevice(parts: DeviceParts): EmbeddedDevice; openKernel(buffer: ArrayBuffer): KernelExports }

/** What the script may take from its engine: ES5 and typed arrays. Reflect and Symbol it uses where they are, and asks with typeof. */
export const GLOBALS = [
  'Array', 'ArrayBuffer', 'Boolean', 'DataView', 'Error', 'Function', 'JSON', 'Math', 'Number', 'Object', 'ReferenceError', 'String', 'TypeError',
  'Int8Array', 'Uint8Array', 'Int16Array', 'Uint16Array', 'Int32Array', 'Uint32Array', 'Float32Array', 'Float64Array', 'isFinite',
  'Reflect', 'Symbol',
] as const

export const script = await bundleEmbedded()

/** The script run in this process, with its own numbers and buffers but no other global of the host's. */
export function openEmbedded(): Embedded {
  const context = createContext({ ArrayBuffer, Uint8Array, Int32Array, Float32Array })
  return runInContext(`${script}\nkerf`, context) as Embedded
}
