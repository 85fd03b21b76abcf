/**
 * wabt's interpreter, which runs the specification's own scripts: one is written that loads the memory with the tape, the
 * kernel's binary and the driver, and asserts the digest of every case. The cases of a BERT's size are left out.
 */
import { copyFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { ARRAYS } from '../../../runtime/cases/case.ts'
import { createDigest } from '../../../runtime/cases/digest.ts'
import { hexOf } from '../../../runtime/cases/tally.ts'
import type { Result } from '../../../runtime/cases/tally.ts'
import { askCommand, runCommand, versionIn } from '../command.ts'
import { runReference } from '../difference.ts'
import type { Host, Suite } from '../host.ts'
import { digestOfCase, digestsOf, prepareProgram } from '../interpreter.ts'
import type { Program } from '../interpreter.ts'
import { formatMessage } from '../protocol.ts'
import { readExpected } from '../published.ts'

const INTERPRETER = 'spectest-interp'

function leb(value: number): number[] {
  const bytes: number[] = []
  for (let rest = value; ;) {
    const low = rest & 127
    rest >>>= 7
    if (rest === 0) return [...bytes, low]
    bytes.push(low | 128)
  }
}

/** Signed, for i32.const. */
function signedLeb(value: number): number[] {
  const bytes: number[] = []
  for (let rest = value | 0; ;) {
    const low = rest & 127
    rest >>= 7
    if ((rest === 0 && !(low & 64)) || (rest === -1 && low & 64)) return [...bytes, low]
    bytes.push(low | 128)
  }
}

const section = (id: number, body: readonly number[]) => [id, ...leb(body.length), ...body]

/** A module that is a memory, exported, with the tape in it. */
function memoryModule({ pages, tapeAt, tape }: Program): Uint8Array {
  const head = [
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    ...section(5, [1, 1, ...leb(pages), ...leb(pages)]), ...section(7, [1, 6, ...new TextEncoder().encode('memory'), 2, 0]),
  ]
  const data = [1, 0, 0x41, ...signedLeb(tapeAt), 0x0b, ...leb(tape.length)]
  return Uint8Array.from([...head, 11, ...leb(data.length + tape.length), ...data, ...tape])
}

/** The lines of modules and what they are registered as; assertions stand behind them. */
const MODULE_LINES = 5
/** What the interpreter counts beside assertions: the modules. */
const MODULES = 3

const decimal = (digest: string) => BigInt(`0x${digest}`).toString()

/** As wast2json writes it: the reader wants this order of keys. */
function writeScript(program: Program, memory: string, name: string, asserts: readonly { field: string; args: number[]; expected: string }[]): string {
  const modules: Record<string, unknown>[] = [
    { type: 'module', filename: memory }, { type: 'register', as: 'env' },
    { type: 'module', filename: basename(program.kernel) }, { type: 'register', as: 'kerf' }, { type: 'module', filename: basename(program.driver) },
  ]
  const actions = asserts.map(({ field, args, expected }) => ({
    action: { type: 'invoke', field, args: args.map((value) => ({ type: 'i32', value: String(value) })) },
    expected: [{ type: 'i64', value: expected }],
  }))
  const commands = [...modules, ...actions].map((command, index) => ({ type: 'assert_return', ...command, line: index + 1 }))
    .map(({ type, line, ...rest }) => ({ type, line, ...rest }))
  writeFileSync(name, JSON.stringify({ source_filename: 'tape.wast', commands }))
  return name
}

/** What an assertion that failed got, by its line. */
function readFailures(printed: readonly string[]): Map<number, string> {
  const failures = printed.flatMap((line) => {
    const found = /tape\.wast:(\d+): mismatch.*got i64:(\d+)/.exec(line)
    return found === null ? [] : [[Number(found[1]) - MODULE_LINES, BigInt(found[2]).toString(16).padStart(16, '0')] as const]
  })
  return new Map(failures)
}

/** Each element's bits as a decimal number. */
function bitsOf({ element, bytes }: Result): string[] {
  const size = ARRAYS[element].BYTES_PER_ELEMENT
  return Array.from({ length: bytes.length / size }, (_, i) => decimal(hexOf(bytes.slice(i * size, (i + 1) * size).reverse())))
}

/** The reference's bytes with those elements that differ, by their assertions (the first is the run). */
function replaceBits({ element, bytes }: Result, differing: ReadonlyMap<number, string>): string {
  const size = ARRAYS[element].BYTES_PER_ELEMENT
  const own = bytes.slice()
  for (const [assertion, hex] of differing) {
    if (assertion < 2) continue
    for (let byte = 0; byte < size; byte++) own[(assertion - 2) * size + byte] = Number.parseInt(hex.slice(14 - 2 * byte, 16 - 2 * byte), 16)
  }
  return hexOf(own)
}

async function play(suite: Suite, build: 'scalar' | 'simd'): Promise<string[]> {
  const program = await prepareProgram(suite, build, false)
  const memory = `memory.${build}.wasm`, script = join(suite.scratch, `tape.${build}.json`)
  writeFileSync(join(suite.scratch, memory), memoryModule(program))
  copyFileSync(program.kernel, join(suite.scratch, basename(program.kernel)))
  const expected = readExpected()
  const digests = program.entries.map((entry) => digestsOf(entry, expected))
  const all = createDigest()
  for (const digest of digests.flat()) {
    all.addWord(Number.parseInt(digest.slice(0, 8), 16))
    all.addWord(Number.parseInt(digest.slice(8), 16))
  }
  const total = all.finish(8 * digests.flat().length)
  const run = (index: number) => ({ field: 'run', args: [index], expected: decimal(digestOfCase(digests[index])) })
  const asserts = [...digests.map((_, index) => run(index)), { field: 'total', args: [], expected: decimal(total) }]
  const start = performance.now()
  const interpret = async (name: string) => runCommand({ file: 'sh', args: ['-c', `${INTERPRETER} --enable-all ${name}; true`], cwd: suite.scratch })
  const printed = await interpret(writeScript(program, memory, script, asserts))
  const ms = performance.now() - start
  // The last line counts what passed, so that an interpreter which stopped early is no success.
  const [, passedAll, ranAll] = /(\d+)\/(\d+) tests passed/.exec(printed.join('\n')) ?? []
  const last = printed.slice(-5).join(' | ')
  const ran = asserts.length + MODULES
  if (Number(ranAll) !== ran) throw new Error(`${INTERPRETER}: expected ${ran} assertions and modules, got ${ranAll ?? last}`)
  const failures = readFailures(printed)
  const failed = Number(ranAll) - Number(passedAll)
  if (failures.size !== failed) throw new Error(`${INTERPRETER}: expected ${failed} failures by line, got ${failures.size}: ${printed.slice(0, 3).join(' | ')}`)
  const lines: string[] = []
  for (const [line] of failures) {
    if (line > program.entries.length) continue
    const it = program.entries[line - 1], wanted = digests[line - 1]
    const tensors = wanted.map((digest, out) => ({ field: 'outDigest', args: [out], expected: decimal(digest) }))
    const one = join(suite.scratch, 'one.json')
    const differing = readFailures(await interpret(writeScript(program, memory, one, [run(line - 1), ...tensors])))
    const [at = 2, got = 'another digest'] = [...differing].find(([assertion]) => assertion > 1) ?? []
    const tensor = it.outs[at - 2]
    const reference = lines.length === 0 ? (await runReference(it.name))?.results[tensor] : undefined
    const named = { kind: 'failure', case: it.name, tensor, element: reference?.element ?? null, expected: wanted[at - 2], got } as const
    if (reference === undefined) lines.push(formatMessage(named))
    else {
      const elements = bitsOf(reference).map((expected, index) => ({ field: 'outBits', args: [at - 2, index], expected }))
      const own = readFailures(await interpret(writeScript(program, memory, one, [run(line - 1), ...elements])))
      lines.push(formatMessage({ ...named, hex: replaceBits(reference, own) }))
    }
  }
  return [...lines, formatMessage({
    kind: 'score', part: 'kernel, not large', cases: program.entries.length, passed: program.entries.length - lines.length,
    digest: failures.get(asserts.length) ?? total, ms,
  })]
}

export const HOSTS: readonly Host[] = [{
  name: 'wabt interpreter', builds: ['scalar', 'simd'], tape: true, without: 'fast and threaded: its relaxed SIMD and threads are unfinished',
  install: 'Debian package wabt', debian: ['wabt'],
  find() {
    const version = askCommand(INTERPRETER, ['--version'])
    return version === undefined ? undefined : { version: versionIn(version), engine: 'interpreter' }
  },
  run: (suite, build) => play(suite, build as 'scalar' | 'simd'),
}]
