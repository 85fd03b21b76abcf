/** What an interpreter and a C compiler share: tape, driver, memory and the digests that a case must have. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Case } from '../../runtime/conformance/case.ts'
import { createDigest } from '../../runtime/conformance/digest.ts'
import type { ExpectedDigests } from '../../runtime/conformance/tally.ts'
import type { KernelBuild } from '../../runtime/kernel/load.ts'
import { PAGE_BYTES, loadKernel } from '../../runtime/kernel/load.ts'
import { compileDriver, readAbi } from './driver.ts'
import type { Suite } from './host.ts'
import { readExpected } from './published.ts'
import { encodeTape, nameCase, outNames } from './tape.ts'

export type Program = {
  cases: readonly Case[]; tape: Uint8Array; tapeAt: number; pages: number
  /** Files in the suite's scratch. */
  driver: string; kernel: string; tapeFile: string
}

export async function prepareProgram({ binaries, scratch }: Suite, build: KernelBuild, large: boolean): Promise<Program> {
  const abi = readAbi()
  const kernel = `${binaries}/kerf.${build}.wasm`
  const { exports } = await loadKernel(readFileSync(kernel), build)
  const { bytes, cases, memoryBytes } = encodeTape(exports, abi, large)
  const tapeAt = Math.ceil(memoryBytes / PAGE_BYTES) * PAGE_BYTES
  const pages = Math.ceil((tapeAt + bytes.length) / PAGE_BYTES)
  const driver = join(scratch, `driver.${build}.wasm`), tapeFile = join(scratch, `tape.${build}.bin`)
  compileDriver(abi, tapeAt, pages, driver)
  writeFileSync(tapeFile, bytes)
  return { cases, tape: bytes, tapeAt, pages, driver, kernel, tapeFile }
}

/** The digests of a case's outs, in their order. */
export function digestsOf(it: Case, expected: ExpectedDigests = readExpected()): string[] {
  const digests = expected[nameCase(it)]
  const names = outNames(it)
  return [...names, ...Object.keys(digests).filter((name) => name === 'result')].map((name) => digests[name])
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
