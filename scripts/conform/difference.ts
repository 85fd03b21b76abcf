/** Names what differs where a host's digest does: the reference is the scalar build on this host. */
import { readFileSync } from 'node:fs'
import { ARRAYS, nameCase } from '../../runtime/cases/case.ts'
import type { Element } from '../../runtime/cases/case.ts'
import { bytesOfCase } from '../../runtime/cases/arena.ts'
import { runAverageCases } from '../../runtime/conformance/averages.ts'
import { CASES } from '../../runtime/cases/table.ts'
import { settleNaN } from '../../runtime/cases/digest.ts'
import { runFrameCases } from '../../runtime/conformance/frames.ts'
import { runKernelCase } from '../../runtime/cases/run.ts'
import { STAGE_CASES, runStageCase } from '../../runtime/conformance/stages.ts'
import { hexOf } from '../../runtime/cases/tally.ts'
import type { Failure, Finding } from '../../runtime/cases/tally.ts'
import { createChecksum } from '../../runtime/kernel/checksum.ts'
import { PAGE_BYTES, createMemory, instantiate, loadKernel } from '../../runtime/kernel/load.ts'
import { readVectors } from './published.ts'

/** What the scalar build on this host gives for a case, or undefined for a name that is none. */
export async function runReference(name: string): Promise<Finding | undefined> {
  const kernel = await loadKernel(readFileSync(new URL('../../dist/kerf.scalar.wasm', import.meta.url)), 'scalar')
  const it = CASES.find((candidate) => nameCase(candidate) === name)
  if (it !== undefined) {
    const memory = createMemory(Math.ceil(bytesOfCase(kernel.exports, it) / PAGE_BYTES), false)
    return runKernelCase({ kernel: await instantiate(kernel.module, memory, kernel.tile), buffer: memory.buffer }, it)
  }
  const stage = STAGE_CASES.find((candidate) => candidate.name === name)
  if (stage !== undefined) return runStageCase(kernel, stage)
  const findings: Finding[] = []
  await runAverageCases(kernel, (finding) => { findings.push(finding) })
  runFrameCases(readVectors(), createChecksum(kernel), (finding) => { findings.push(finding) })
  return findings.find((finding) => finding.name === name)
}

function valueAt(element: Element, bytes: Uint8Array, index: number): string {
  const size = ARRAYS[element].BYTES_PER_ELEMENT
  const own = bytes.slice(index * size, (index + 1) * size)
  return `${new ARRAYS[element](own.buffer)[0]} (bits ${hexOf(own.reverse())})`
}

/** `case: tensor[index]: expected VALUE (bits …), got VALUE (bits …)`. */
export function nameElement(failure: Failure, expected: Uint8Array, got: Uint8Array): string {
  const { element, tensor } = failure
  const way = failure.way === undefined ? '' : ` (${failure.way})`
  if (element === null || expected.length !== got.length) return `${failure.case}${way}: ${tensor}: expected ${expected.length} bytes, got ${got.length}`
  const size = ARRAYS[element].BYTES_PER_ELEMENT
  const at = expected.findIndex((byte, i) => byte !== got[i])
  if (at < 0) return `${failure.case}${way}: ${tensor}: the reference on this host gives the same bits, and not the published ones`
  const index = Math.floor(at / size)
  return `${failure.case}${way}: ${tensor}[${index}]: expected ${valueAt(element, expected, index)}, got ${valueAt(element, got, index)}`
}

/** The first failure of a host, in words. */
export async function describeFailure(failure: Failure): Promise<string> {
  const way = failure.way === undefined ? '' : ` (${failure.way})`
  const plain = `${failure.case}${way}${failure.tensor === '' ? '' : `: ${failure.tensor}`}: expected ${failure.expected}, got ${failure.got}`
  if (failure.hex === undefined || failure.element === null) return plain
  const reference = (await runReference(failure.case))?.results[failure.tensor]
  if (reference === undefined) return plain
  const { hex } = failure
  const got = Uint8Array.from({ length: hex.length / 2 }, (_, i) => Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16))
  return nameElement(failure, settleNaN(reference.element, reference.bytes), got)
}
