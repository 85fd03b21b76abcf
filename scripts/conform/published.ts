/** What is published beside the table: cases.ndjson's digests, and the wire's vectors. */
import { readFileSync } from 'node:fs'
import type { FrameVectors } from '../../runtime/conformance/frames.ts'
import type { ExpectedDigests } from '../../runtime/cases/tally.ts'

export const SELF_TEST_FILE = new URL('../../runtime/cases/selftest.digests.ts', import.meta.url)
export const CASES_FILE = new URL('../../runtime/conformance/cases.ndjson', import.meta.url)
const VECTORS = new URL('../../runtime/wire/vectors/', import.meta.url)

/** A line of cases.ndjson; what is more than a digest only kernel cases have. */
export type PublishedCase = {
  case: string
  large?: boolean
  calls?: (string | number)[][]
  tensors?: Record<string, Record<string, unknown>>
  bits?: Record<string, string>
  expect: Record<string, string>
}

export function readCases(): PublishedCase[] {
  return readFileSync(CASES_FILE, 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line) as PublishedCase)
}

export function readExpected(): ExpectedDigests {
  return Object.fromEntries(readCases().map(({ case: name, expect }) => [name, expect]))
}

export function readVectors(): FrameVectors {
  const { expectation, vectors } = JSON.parse(readFileSync(new URL('index.json', VECTORS), 'utf8')) as {
    expectation: FrameVectors['expectation']; vectors: { file: string; code: string | null }[]
  }
  const files = vectors.map(({ file, code }) => ({ file, code, bytes: new Uint8Array(readFileSync(new URL(file, VECTORS))) }))
  return { expectation, files }
}
