/** What an interpreter and a C compiler share: tape, driver, memory and the digests that a case must have. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createDigest } from '../../runtime/cases/digest.ts'
import type { ExpectedDigests } from '../../runtime/cases/tally.ts'
import type { KernelBuild } from '../../runtime/kernel/load.ts'
import { PAGE_BYTES, loadKernel } from '../../runtime/kernel/load.ts'
import { compileDriver, readAbi } from './driver.ts'
import type { Suite } from './host.ts'
import { encodeStages } from './tape.stages.ts'
import { encodeTape } from './tape.ts'
import type { Entry } from './tape.ts'

export type Program = {
  entries: readonly Entry[]; tape: Uint8Array; tapeAt: number; pages: number
  /** Files in the suite's scratch. */
  driver: string; kernel: string; tapeFile: string
}

/** @param whole the cases of a BERT's size too, and models */
export async function prepareProgram({ binaries, scratch }: Suite, build: KernelBuild, whole: boolean): Promise<Program> {
  const abi = readAbi()
  const kernelFile = `${binaries}/kerf.${build}.wasm`
  const kernel = await loadKernel(readFileSync(kernelFile), build)
  const { bytes, entries, memoryBytes } = encodeTape(kernel.exports, abi, whole, whole ? await encodeStages(kernel, abi) : [])
  const tapeAt = Math.ceil(memoryBytes / PAGE_BYTES) * PAGE_BYTES
  const pages = Math.ceil((tapeAt + bytes.length) / PAGE_BYTES)
  const driver = join(scratch, `driver.${build}.wasm`), tapeFile = join(scratch, `tape.${build}.bin`)
  compileDriver(abi, tapeAt, pages, driver)
  writeFileSync(tapeFile, bytes)
  return { entries, tape: bytes, tapeAt, pages, driver, kernel: kernelFile, tapeFile }
}

/** The digests of a case's outs, in their order. */
export function digestsOf({ name, outs }: Entry, expected: ExpectedDigests): string[] {
  return outs.map((tensor) => expected[name][tensor])
}

/** What run() must return. */
export function digestOfCase(digests: readonly string[]): string {
  const all = createDigest()
  for (const digest of digests) {
    all.addWord(Number.parseInt(digest.slice(0, 8), 16))
    all.addWord(Number.parseInt(digest.slice(8), 16))
  }
  return all.finish(8 * digests.length)
}
