/** The parts of the suite that hosts run: which cases each holds, and the digest that all their tensors come to. */
import { nameCase } from '../../runtime/cases/case.ts'
import { addDigest, createDigest } from '../../runtime/cases/digest.ts'
import { CASES } from '../../runtime/cases/table.ts'
import { DEVICE_CASE, STAGE_CASES } from '../../runtime/conformance/stages.ts'
import { readCases } from './published.ts'

export const PARTS = ['all', 'kernel and models', 'kernel, not large', 'all but large, one model'] as const
export type PartName = (typeof PARTS)[number]

/** `without`: the names of the suite's other cases. */
export type Part = { cases: number; digest: string; without: readonly string[] }

const KERNEL = new Set(CASES.map(nameCase)), MODELS = new Set(STAGE_CASES.map(({ name }) => name))
const LARGE = new Set(CASES.filter(({ large }) => large).map(nameCase))

const HELD: Readonly<Record<PartName, (name: string) => boolean>> = {
  all: () => true,
  'kernel and models': (name) => KERNEL.has(name) || MODELS.has(name),
  'kernel, not large': (name) => KERNEL.has(name) && !LARGE.has(name),
  'all but large, one model': (name) => !LARGE.has(name) && (!MODELS.has(name) || name === DEVICE_CASE.name),
}

function readPart(holds: (name: string) => boolean): Part {
  const published = readCases()
  const chosen = published.filter(({ case: name }) => holds(name))
  const digests = chosen.flatMap(({ expect }) => Object.values(expect))
  const all = createDigest()
  for (const digest of digests) addDigest(all, digest)
  return {
    cases: chosen.length, digest: all.finish(8 * digests.length), without: published.map(({ case: name }) => name).filter((name) => !holds(name)),
  }
}

/** As cases.ndjson has them. */
export function readParts(): Record<PartName, Part> {
  return Object.fromEntries(PARTS.map((name) => [name, readPart(HELD[name])])) as Record<PartName, Part>
}
