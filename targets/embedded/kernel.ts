/**
 * WebAssembly where an engine has none, as far as runtime/kernel/wasm.ts asks for it: one module, the kernel's scalar build that
 * wasm2js has made into ES5. The bundle takes this in the place of the global of the same name.
 */

import type { KernelExports } from '../../runtime/kernel/abi.ts'

/** Made by scripts/embedded.kernel.ts: an instance of the kernel on `buffer`. */
declare const openScalarKernel: (buffer: ArrayBuffer) => KernelExports

const PAGE_BYTES = 65536

/** The kernel on the caller's buffer, whose bytes are a multiple of 8. Addresses are multiples of their elements' bytes. */
export function openKernel(buffer: ArrayBuffer): KernelExports {
  return openScalarKernel(buffer)
}

class LinearMemory {
  readonly buffer: ArrayBuffer

  constructor({ initial }: { initial: number }) {
    this.buffer = new ArrayBuffer(initial * PAGE_BYTES)
  }
}

/** What is wrong with a memory that is none. */
class LinkFailure extends Error {}

type Imports = { env: { memory: LinearMemory } }

const engine = {
  Memory: LinearMemory,
  LinkError: LinkFailure,
  compile: async () => ({}),
  validate: () => true,
  instantiate: async (_module: object, { env }: Imports) => ({ exports: openKernel(env.memory.buffer) }),
}

export { engine as WebAssembly }
