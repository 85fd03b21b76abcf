/** One build of the kernel with memory to lay a case's tensors in: NaN wherever nothing was laid. */
import type { KernelExports } from '../../runtime/kernel/abi.ts'
import type { Kernel, KernelBuild } from '../../runtime/kernel/load.ts'
import { PAGE_BYTES, createMemory, instantiate } from '../../runtime/kernel/load.ts'
import { refuse } from '../../runtime/error.ts'

const MEMORY_BYTES = 64 * 1024 ** 2
const ALIGNMENT_BYTES = 16
const NAN_BITS = 0x7fc00000

type Laid = Float32Array | Int32Array | Int8Array | Uint16Array

export type Workspace = {
  build: KernelBuild
  kernel: KernelExports
  /** Forgets every tensor. */
  clear(): void
  /** The address of `bytes` bytes; refuses `outside.memory` beyond MEMORY_BYTES. */
  take(bytes: number): number
  /** The address of a copy. */
  lay(values: Laid): number
  floats(address: number, count: number): Float32Array
  halves(address: number, count: number): Uint16Array
  buffer: ArrayBuffer
}

export async function openWorkspace({ module, tile, build }: Kernel): Promise<Workspace> {
  const memory = createMemory(MEMORY_BYTES / PAGE_BYTES, false)
  const kernel = await instantiate(module, memory, tile)
  const buffer = memory.buffer as ArrayBuffer
  // Address 0 is "none" to the kernel.
  let next = ALIGNMENT_BYTES, dirty = MEMORY_BYTES
  const take = (bytes: number) => {
    const address = next
    next = Math.ceil((address + bytes) / ALIGNMENT_BYTES) * ALIGNMENT_BYTES
    if (next > MEMORY_BYTES) refuse('outside.memory', 'case', `at most ${MEMORY_BYTES} bytes`, next)
    dirty = next
    return address
  }
  return {
    build, kernel, take, buffer,
    clear() {
      new Uint32Array(buffer, 0, dirty / 4).fill(NAN_BITS)
      next = ALIGNMENT_BYTES
    },
    lay(values) {
      const address = take(values.byteLength)
      new Uint8Array(buffer, address, values.byteLength).set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
      return address
    },
    floats: (address, count) => new Float32Array(buffer, address, count).slice(),
    halves: (address, count) => new Uint16Array(buffer, address, count).slice(),
  }
}
