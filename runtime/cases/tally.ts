/** What a suite's findings come to: each tensor's digest against the expected one, and one digest over all. */
import type { Element } from './case.ts'
import { addDigest, createDigest, digestBytes, settleNaN } from './digest.ts'

export type Result = { element: Element; bytes: Uint8Array }
/** What a case gave, by tensor; `damage` what it changed that it should not have, or null. */
export type Finding = { name: string; results: Readonly<Record<string, Result>>; damage: string | null }
/** Case → tensor → digest. */
export type ExpectedDigests = Readonly<Record<string, Readonly<Record<string, string>>>>

/** `hex`: the tensor's bytes, NaN settled, of the first failure alone. */
export type Failure = { case: string; way?: string; tensor: string; element: Element | null; expected: string; got: string; hex?: string }
export type Score = { cases: number; passed: number; digest: string }

const HEX_BYTES_MAX = 4 << 20

export function hexOf(bytes: Uint8Array): string {
  const parts: string[] = []
  for (let i = 0; i < bytes.length; i++) parts.push((bytes[i] < 16 ? '0' : '') + bytes[i].toString(16))
  return parts.join('')
}

/** The digest of each tensor. */
export function digestResults(results: Finding['results']): Record<string, string> {
  const digests: Record<string, string> = {}
  for (const tensor of Object.keys(results)) digests[tensor] = digestBytes(results[tensor].element, results[tensor].bytes)
  return digests
}

function compare(finding: Finding, digests: Readonly<Record<string, string>>, wanted: Readonly<Record<string, string>> | undefined): Failure | null {
  const { name, results, damage } = finding
  if (damage !== null) return { case: name, tensor: '', element: null, expected: 'nothing else written', got: damage }
  if (wanted === undefined) return { case: name, tensor: '', element: null, expected: 'a case that is published', got: name }
  for (const tensor of Object.keys(wanted)) {
    const got = digests[tensor] ?? 'none'
    if (got !== wanted[tensor]) return { case: name, tensor, element: results[tensor]?.element ?? null, expected: wanted[tensor], got }
  }
  const extra = Object.keys(digests).filter((tensor) => !(tensor in wanted))[0]
  return extra === undefined ? null : { case: name, tensor: extra, element: results[extra].element, expected: 'none', got: digests[extra] }
}

export type Tally = {
  take(finding: Finding): void
  /** A case that was taken before, run in another way that changes no bit. */
  repeat(finding: Finding, way: string): void
  finish(): Score
}

/** `fail` hears of every case that fails; `published` of every case's digests. */
export function createTally(
  expected: ExpectedDigests, fail: (failure: Failure) => void, published: (name: string, digests: Record<string, string>) => void = () => undefined,
): Tally {
  const all = createDigest()
  let cases = 0, passed = 0, words = 0
  const judge = (finding: Finding, digests: Record<string, string>, way: string) => {
    const failure = compare(finding, digests, expected[finding.name])
    cases += 1
    if (failure === null) {
      passed += 1
      return
    }
    const result = finding.results[failure.tensor]
    const first = cases - passed === 1 && result !== undefined && result.bytes.length <= HEX_BYTES_MAX
    const named = { ...failure, ...(way !== '' && { way }) }
    fail(first ? { ...named, hex: hexOf(settleNaN(result.element, result.bytes)) } : named)
  }
  return {
    take(finding) {
      const digests = digestResults(finding.results)
      for (const tensor of Object.keys(digests)) {
        addDigest(all, digests[tensor])
        words += 2
      }
      published(finding.name, digests)
      judge(finding, digests, '')
    },
    repeat: (finding, way) => judge(finding, digestResults(finding.results), way),
    finish: () => ({ cases, passed, digest: all.finish(4 * words) }),
  }
}
