/**
 * Writes runtime/conformance/cases.ndjson, which CONFORMANCE.md explains: every case with its calls, its inputs by their
 * sources and the digest of every tensor it writes, as the scalar build on this host gives them; of small tensors the bits too.
 * Writes the self-test's digests likewise (runtime/cases/selftest.digests.ts).
 *
 *   node --import tsx scripts/conform/publish.ts          needs dist/ (npm run build)
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Case, Slot } from '../../runtime/cases/case.ts'
import { ARRAYS, RECORDS, callCase, countOfSlot, nameCase } from '../../runtime/cases/case.ts'
import { CASES } from '../../runtime/cases/table.ts'
import { settleNaN } from '../../runtime/cases/digest.ts'
import { bytesOfCase } from '../../runtime/cases/arena.ts'
import { runKernelCase } from '../../runtime/cases/run.ts'
import { digestSelfTest } from '../../runtime/cases/selftest.ts'
import type { Source } from '../../runtime/cases/source.ts'
import { runStrict } from '../../runtime/conformance/suite.ts'
import { hexOf } from '../../runtime/cases/tally.ts'
import type { KernelExports } from '../../runtime/kernel/abi.ts'
import type { Kernel } from '../../runtime/kernel/load.ts'
import { PAGE_BYTES, createMemory, instantiate, loadKernel } from '../../runtime/kernel/load.ts'
import type { Abi } from '../abi.ts'
import { CASES_FILE, SELF_TEST_FILE, readVectors } from './published.ts'

/** Larger tensors have a digest alone. */
const BITS_BYTES_MAX = 64
const ADDRESS = 0x10000000

type Json = string | number | boolean | Json[] | { [key: string]: Json }

const abi = JSON.parse(readFileSync(new URL('../../dist/abi.json', import.meta.url), 'utf8')) as Abi

/** Addresses that stand for names. */
function nameAddresses(it: Case): { at: Record<string, number>; symbolOf: (value: number) => string | number } {
  const names = Object.keys(it.slots)
  const at = Object.fromEntries(names.map((name, index) => [name, ADDRESS + index]))
  return { at, symbolOf: (value) => (value === 0 ? 0 : names[value - ADDRESS]) }
}

/** The calls of a case with names for addresses, in the ABI's order of arguments. */
export function recordCalls(it: Case): (string | number)[][] {
  const { at, symbolOf } = nameAddresses(it)
  const calls: (string | number)[][] = []
  const recorder = new Proxy({}, {
    get: (_, name: string) => (...args: number[]) => {
      const { parameters } = abi.functions[name]
      calls.push([name, ...args.map((value, i) => {
        const type = parameters[i].type
        return type === 'f32' ? Math.fround(value) : type === 'f64' || type === 'i32' || type === 'u32' ? value : symbolOf(value)
      })])
      return 0
    },
  }) as KernelExports
  callCase(it, recorder, at)
  return calls
}

function describeSource(source: Source, element: keyof typeof ARRAYS): Json {
  if (source.kind === 'counter') return { counter: { offset: source.offset } }
  if (source.kind === 'integers') return { integers: { seed: source.seed, limit: source.limit, offset: source.offset } }
  if (source.kind === 'values') {
    const values = ARRAYS[element].from(source.values)
    return { bytes: hexOf(new Uint8Array(values.buffer)) }
  }
  const { seed, scale, offset, halvings, zeros } = source
  return { uniform: { seed, scale, ...(offset !== 0 && { offset }), ...(halvings > 1 && { halvings }), ...(zeros > 0 && { zeros }) } }
}

/** `scratch` is of the scalar build. */
function describeSlot(it: Case, slot: Slot, kernel: KernelExports): Json {
  if (slot.role === 'scratch') return { role: 'scratch', bytes: slot.bytes(kernel) }
  if (slot.role === 'record') {
    const { at, symbolOf } = nameAddresses(it)
    const values = slot.fields(at)
    const types = RECORDS[slot.record].fields as Record<string, { type: string }>
    const entries = Object.keys(types).filter((name) => values[name]).map((name) =>
      [name, types[name].type === 'usize' ? symbolOf(values[name]) : types[name].type === 'f32' ? Math.fround(values[name]) : values[name]] as const)
    return { role: 'record', record: slot.record, fields: Object.fromEntries(entries) }
  }
  const { role, element } = slot
  return { role, element, count: countOfSlot(slot), ...('source' in slot ? describeSource(slot.source, element) as object : {}) }
}

async function describeCases(kernel: Kernel): Promise<Map<string, Record<string, Json>>> {
  const bytes = CASES.reduce((most, it) => Math.max(most, bytesOfCase(kernel.exports, it)), 0)
  const memory = createMemory(Math.ceil(bytes / PAGE_BYTES), false)
  const arena = { kernel: await instantiate(kernel.module, memory, kernel.tile), buffer: memory.buffer }
  const lines = new Map<string, Record<string, Json>>()
  for (const it of CASES) {
    const { results } = runKernelCase(arena, it)
    const small = Object.entries(results).filter(([, result]) => result.bytes.length <= BITS_BYTES_MAX)
    lines.set(nameCase(it), {
      ...(it.large && { large: true }), calls: recordCalls(it),
      tensors: Object.fromEntries(Object.entries(it.slots).map(([name, slot]) => [name, describeSlot(it, slot, arena.kernel)])),
      ...(small.length > 0 && { bits: Object.fromEntries(small.map(([name, { element, bytes }]) => [name, hexOf(settleNaN(element, bytes))])) }),
    })
  }
  if (lines.size !== CASES.length) throw new Error(`cases: expected ${CASES.length} names, got ${lines.size} different ones`)
  return lines
}

function openScalar(): Promise<Kernel> {
  return loadKernel(readFileSync(new URL('../../dist/kerf.scalar.wasm', import.meta.url)), 'scalar')
}

/** The text of cases.ndjson. */
/** The text of selftest.digests.ts. */
export async function buildSelfTest(): Promise<string> {
  const { digest, digests } = await digestSelfTest(await openScalar())
  const lines = Array.from({ length: Math.ceil(digests.length / 6) }, (_, row) => `  ${digests.slice(6 * row, 6 * row + 6).map((it) => `'${it}'`).join(', ')},`)
  return `/** Written by scripts/conform/publish.ts: what every strict kernel gives for selftest.ts, over all of its cases and for each. */
export const SELF_TEST_DIGEST = '${digest}'
export const SELF_TEST_DIGESTS: readonly string[] = [\n${lines.join('\n')}\n]\n`
}

export async function buildCases(): Promise<string> {
  const kernel = await openScalar()
  const described = await describeCases(kernel)
  const lines: string[] = []
  await runStrict({
    kernel, threads: 1, expected: {}, vectors: readVectors(), large: true, fail: () => undefined,
    published(name, expect) {
      lines.push(JSON.stringify({ case: name, ...described.get(name), expect }))
    },
  })
  return `${lines.join('\n')}\n`
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(CASES_FILE, await buildCases())
  writeFileSync(SELF_TEST_FILE, await buildSelfTest())
}
