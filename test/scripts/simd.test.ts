/** WebAssembly's SIMD tests: the modules around the one under test, and a runner that tells wrong results from right ones. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { askBrowser, askHost } from '../../scripts/outside/simd.hosts.ts'
import { runSuite, runSuites } from '../../scripts/outside/simd.runner.ts'
import { readSteps } from '../../scripts/outside/simd.suite.ts'
import { refusal, refusalOf } from '../refusal.ts'
import { skipUnlessNode } from '../skip.ts'

/** `add` (v128, v128) → v128 by f32x4.add, and `trap`, which is unreachable. */
const MODULE = Uint8Array.of(
  0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 10, 2, 0x60, 2, 0x7b, 0x7b, 1, 0x7b, 0x60, 0, 0, 3, 3, 2, 0, 1,
  7, 14, 2, 3, 0x61, 0x64, 0x64, 0, 0, 4, 0x74, 0x72, 0x61, 0x70, 0, 1,
  10, 15, 2, 9, 0, 0x20, 0, 0x20, 1, 0xfd, 0xe4, 1, 0x0b, 3, 0, 0, 0x0b,
)
const INVALID = MODULE.slice(0, -1)

const bitsOf = (value: number) => String(new Uint32Array(Float32Array.of(value).buffer)[0])
/** One value for all lanes, or one for each. */
const vector = (...lanes: readonly string[]) => (
  { type: 'v128', lane_type: 'f32', value: lanes.length === 1 ? Array<string>(4).fill(lanes[0]) : lanes })
const add = (line: number, x: string, y: string, expected: ReturnType<typeof vector>) => ({
  type: 'assert_return', line, action: { type: 'invoke', field: 'add', args: [vector(x), vector(y)] }, expected: [expected],
})

/** What becomes of the commands, with MODULE before them. */
function outcomeOf(commands: readonly object[]) {
  const folder = mkdtempSync(join(tmpdir(), 'kerf-simd-'))
  try {
    writeFileSync(join(folder, 'a.wasm'), MODULE)
    writeFileSync(join(folder, 'b.wasm'), INVALID)
    writeFileSync(join(folder, 'a.json'), JSON.stringify({ commands: [{ type: 'module', line: 1, filename: 'a.wasm' }, ...commands] }))
    const left = new Map<string, number>()
    return { ...runSuite([{ file: 'a', steps: readSteps(join(folder, 'a.json'), left) }]), left: [...left.values()] }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const NAN = '2143289344', OTHER_NAN = '2143289345', SIGNALLING = '2139095041'

test('right results, traps and invalid modules pass', () => {
  assert.equal(outcomeOf([
    add(2, bitsOf(1.5), bitsOf(2), vector(bitsOf(3.5))),
    add(3, bitsOf(-0), bitsOf(-0), vector(bitsOf(-0))),
    add(4, bitsOf(Infinity), bitsOf(-Infinity), vector('nan:canonical')),
    add(5, NAN, bitsOf(1), vector('nan:arithmetic', 'nan:arithmetic', 'nan:canonical', NAN)),
    {
      type: 'assert_return', line: 5, expected: [vector(...[1, 2, 3, 4].map(bitsOf))],
      action: { type: 'invoke', field: 'add', args: [vector(...[1, 2, 3, 4].map(bitsOf)), vector('0')] },
    },
    { type: 'assert_trap', line: 6, action: { type: 'invoke', field: 'trap', args: [] }, expected: [] },
    { type: 'assert_invalid', line: 7, filename: 'b.wasm', module_type: 'binary' },
    { type: 'assert_malformed', line: 8, filename: 'c.wat', module_type: 'text' },
  ]), { passed: 8, failed: 0, failures: [], left: [1] })
})

test('wrong results, in any lane and any bit, fail by line', () => {
  const { passed, failures } = outcomeOf([
    add(2, bitsOf(1), bitsOf(2), vector(bitsOf(3), bitsOf(3), bitsOf(3), bitsOf(4))),
    add(3, bitsOf(-0), bitsOf(-0), vector(bitsOf(0))),
    add(4, bitsOf(1), bitsOf(2), vector('nan:canonical')),
    add(5, bitsOf(1), bitsOf(2), vector('nan:arithmetic')),
    { type: 'assert_trap', line: 6, action: add(6, '0', '0', vector('0')).action, expected: [vector('0')] },
    { type: 'assert_return', line: 7, action: { type: 'invoke', field: 'trap', args: [] }, expected: [] },
    { type: 'assert_invalid', line: 8, filename: 'a.wasm', module_type: 'binary' },
  ])
  assert.is(passed, 1)
  const [lane, ...others] = failures.sort()
  assert.equal(failures.map((line) => line.slice(0, 3)), ['a:2', 'a:3', 'a:4', 'a:5', 'a:6', 'a:7', 'a:8'])
  assert.match(lane, /got 00004040000040400000404000004040$/)
  assert.match(others[3], /no trap/)
})

test('which NaN is canonical, and which arithmetic', () => {
  const step = (bits: string, nan: string) => outcomeOf([add(2, bits, bits, vector(nan))]).failed
  assert.equal([step(NAN, 'nan:canonical'), step(NAN, 'nan:arithmetic')], [0, 0])
  assert.is(step(OTHER_NAN, 'nan:arithmetic'), 0)
  assert.is(step(SIGNALLING, 'nan:arithmetic'), 0)
  assert.is(step(bitsOf(Infinity), 'nan:arithmetic'), 1)
})

test('one of several results is enough, and none of them is a failure', () => {
  const { expected: _, ...sum } = add(2, bitsOf(1), bitsOf(2), vector('0'))
  const failed = (...values: readonly number[]) => outcomeOf([{ ...sum, either: values.map((value) => vector(bitsOf(value))) }]).failed
  assert.equal([failed(4, 3), failed(4, 5)], [0, 1])
})

test('an engine that compiles no relaxed module is asked for none', () => {
  const step = (binary: Uint8Array) => ({ kind: 'module' as const, line: 1, binary: Buffer.from(binary).toString('hex'), checks: [] })
  const relaxed = (binary: Uint8Array) => runSuites({ simd: [], relaxed: [{ file: 'a', steps: [step(binary)] }] }).relaxed
  assert.equal([relaxed(MODULE)?.passed, relaxed(INVALID)], [1, null])
})

test('a module that does not fit its assertions fails each of them', () => {
  const missing = { type: 'assert_return', line: 2, action: { type: 'invoke', field: 'none', args: [] }, expected: [] }
  assert.equal(outcomeOf([missing, add(3, '0', '0', vector('0'))]).failures.map((line) => line.slice(0, 3)), ['a:1', 'a:2', 'a:3'])
})

test('values that are none are refused', () => {
  const message = (...args: Parameters<typeof add>) => refusal(() => outcomeOf([add(...args)])).message
  assert.match(message(2, 'x', '0', vector('0')), /a\.json:2: expected an integer, got "x"/)
  assert.match(message(2, '0', '0', vector('0', '0')), /a\.json:2: expected 16 bytes, got 8/)
})

test('a host that gives no outcome is refused with what it said', async () => {
  if (skipUnlessNode('-e before a script')) return
  const says = (code: string) => [process.execPath, '-e', code]
  assert.match(refusal(() => askHost(says('console.log(1)'), 'x')).message, /expected an outcome/)
  assert.match(refusal(() => askHost(says('throw new Error("lame")'), 'x')).message, /expected an outcome/)
  assert.match((await refusalOf(askBrowser(['no-such-browser'], 'x'))).message, /no-such-browser: expected an outcome.*ENOENT/)
  const simd = { passed: 3, failed: 1, failures: ['f'] }
  const line = JSON.stringify(JSON.stringify({ simd, relaxed: null, engine: 'E 1' }))
  const answer = askHost(says(`console.log(${line})`), 'x')
  assert.equal([answer.simd, answer.relaxed, /: E 1$/.test(answer.title)], [simd, null, true])
})

test.run()
