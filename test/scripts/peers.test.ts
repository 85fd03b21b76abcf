/** The comparison's own parts: the numbers in both languages, the ONNX bytes, the rounds and who is shut out of them, the table. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { listBars } from '../../scripts/peers/bars.ts'
import { kerf, listCases, pickBatches, productName } from '../../scripts/peers/cases.ts'
import type { Case, Contender } from '../../scripts/peers/cases.ts'
import type { Installed } from '../../scripts/peers/install.ts'
import { checkOutput, checkOutputs, chooseReference, drawTensor, findDifference, seedOf } from '../../scripts/peers/numbers.ts'
import { encodeModule } from '../../scripts/peers/peak.ts'
import type { Prepared } from '../../scripts/peers/protocol.ts'
import type { Measured } from '../../scripts/peers/ratio.ts'
import { compareRounds, findFastest, gigaflops, median, shareRounds } from '../../scripts/peers/ratio.ts'
import { runCase } from '../../scripts/peers/rounds.ts'
import { BEGIN, END, formatAbsences, formatTable, replaceTable } from '../../scripts/peers/table.ts'
import type { Work } from '../../scripts/peers/work.ts'
import { scriptArgs } from '../../scripts/runtime.ts'
import { describeBlock, describeProduct } from '../../scripts/peers/work.ts'
import { skipTest } from '../skip.ts'

const PYTHON = '/usr/bin/python3'

/** Against sums in float64, straight from the definition. */
function multiply(work: ReturnType<typeof describeProduct>): Float64Array {
  const { form, N, O, I } = work
  const a = drawTensor(work.a), b = drawTensor(work.b)
  const [rows, columns, depth] = form === 'forward' ? [N, O, I] : form === 'input' ? [N, I, O] : [O, I, N]
  const left = (row: number, k: number) => (form === 'weight' ? a[k * rows + row] : a[row * depth + k])
  const right = (k: number, column: number) => (form === 'forward' ? b[column * depth + k] : b[k * columns + column])
  return Float64Array.from({ length: rows * columns }, (_, at) => {
    let sum = 0
    for (let k = 0; k < depth; k++) sum += left(Math.floor(at / columns), k) * right(k, at % columns)
    return sum
  })
}

function ask(command: string, args: readonly string[], requests: readonly object[]): Prepared[] {
  const input = requests.map((request) => `${JSON.stringify(request)}\n`).join('')
  const { stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', input })
  const lines = stdout.trim().split('\n')
  assert.is(lines.length, requests.length, stderr)
  return lines.map((line) => JSON.parse(line) as Prepared)
}

const prepare = (work: Work) => ({ ask: 'prepare', work, setting: kerf('node').setting })
const PRODUCTS = (['forward', 'input', 'weight'] as const).map((form) => describeProduct(form, 5, 9, 6))
const RAGGED = describeBlock([[3, 1, 5], [2, 2]], 7)

test('a tensor depends on its name alone, and stays where it is said to be', () => {
  const tensor = { name: 'x.0', shape: [40, 50], scale: 0.25, center: 1 }
  const values = drawTensor(tensor)
  assert.equal(drawTensor({ ...tensor, shape: [10] }), values.slice(0, 10))
  assert.not.equal(drawTensor({ ...tensor, name: 'x.1', shape: [10] }), values.slice(0, 10))
  assert.ok(values.every((value) => value >= 0.75 && value < 1.25))
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  assert.ok(Math.abs(mean - 1) < 0.02, `mean ${mean}`)
  assert.is(seedOf('a'), 0xe40c292c, 'FNV-1a, as published')
})

test('a check tells a transposed output, a changed one and NaN from the right one', () => {
  const right = drawTensor({ name: 'y', shape: [64, 64], scale: 1, center: 0 })
  const turned = right.map((_, at) => right[(at % 64) * 64 + Math.floor(at / 64)])
  const expected = checkOutputs({ y: right })
  assert.is(findDifference(checkOutputs({ y: right.map((value) => value * (1 + 1e-5)) }), expected), undefined)
  for (const wrong of [turned, right.map((value) => value * 1.01), right.with(5, NaN), right.map((value, at) => (at < 32 ? 0 : value))]) {
    assert.match(findDifference(checkOutputs({ y: wrong }), expected) ?? 'no difference', /^y: expected /)
  }
  assert.match(findDifference({}, expected) ?? 'no difference', /got none/)
})

test('the reference is what most agree on', () => {
  const one = checkOutputs({ y: [1, 2, 3] }), near = checkOutputs({ y: [1, 2, 3.0001] }), other = checkOutputs({ y: [1, 2, 4] })
  assert.is(chooseReference([other, one, near]), one)
  assert.is(chooseReference([other, one]), other)
})

test('Kerf computes what the definition says', () => {
  const replies = ask(process.execPath, scriptArgs('scripts/peers/kerf.ts'), PRODUCTS.map(prepare))
  PRODUCTS.forEach((work, index) => assert.is(findDifference(replies[index].checks, { out: checkOutput(multiply(work)) }, 1e-5), undefined))
})

test('PyTorch draws the same numbers and computes the same products, and the same ragged block, padded', () => {
  if (spawnSync(PYTHON, ['-c', 'import numpy, torch']).status !== 0) return skipTest(`${PYTHON} has no torch with numpy`)
  const works = [...PRODUCTS, RAGGED]
  const theirs = ask(PYTHON, ['scripts/peers/pytorch.py'], works.map(prepare))
  const ours = ask(process.execPath, scriptArgs('scripts/peers/kerf.ts'), works.map(prepare))
  works.forEach((_, index) => assert.is(findDifference(theirs[index].checks, ours[index].checks, 1e-4), undefined))
  assert.is(Object.keys(ours[3].checks).length, 6)
})

test('the peak: valid modules whose accumulators are what the loop makes them', async () => {
  for (const paired of [false, true]) {
    const bytes = encodeModule(8, paired, false)
    assert.ok(WebAssembly.validate(bytes))
    const { instance } = await WebAssembly.instantiate(bytes)
    const { run, memory } = instance.exports as unknown as { run(loops: number): void; memory: WebAssembly.Memory }
    const values = new Float32Array(memory.buffer)
    values.fill(2, 0, 8)
    values.fill(5, 8, 16)
    values.fill(1, 16, 16 + 8 * 4)
    run(3)
    for (let chain = 0; chain < 8; chain++) {
      assert.equal([...values.subarray(16 + 4 * chain, 20 + 4 * chain)], Array(4).fill(chain & 2 ? 8 : 16), `chain ${chain}`)
    }
  }
})

const measured = (id: string, ms: number[], rest: Partial<Measured> = {}): Measured => {
  const [program, host] = id.split('@') as [Measured['program'], Measured['host']]
  return { id, program, host, setting: {}, label: '', ms, note: '', flops: 0, ...rest }
}

test('ratios are taken round by round, then the median', () => {
  assert.is(median([3, 1, 2]), 2)
  assert.is(median([4, 1, 2, 3]), 2.5)
  // The medians alone would say 3 times.
  assert.is(compareRounds({ ms: [1, 10, 2] }, { ms: [2, 20, 6] }), 2)
  assert.is(gigaflops({ ms: [2, 1, 4], flops: 8e6 }), 4)
  assert.ok(Number.isNaN(gigaflops({ ms: [1], flops: 0 })))
  assert.is(shareRounds({ ms: [2], flops: 3 }, { ms: [1], flops: 2 }), 0.75)
  assert.is(findFastest([{ ms: [3, 3, 1] }, { ms: [2, 2, 9] }])?.ms[0], 2)
  assert.is(findFastest([]), undefined)
})

test('bars take each peer at its best on the same generation of Node, as it comes and with the flag that Kerf sets', () => {
  const setting = kerf('node').setting
  const name = productName('forward', [768, 768])
  const results = new Map([[name, [
    measured('kerf@node', [10, 10]), measured('tfjs@node', [20, 20]), measured('ort-web@node', [15, 15]),
    measured('kerf@node26-revec', [5, 5]), measured('tfjs@node26', [9, 9]),
    measured('tfjs@node26-revec', [8, 8]), measured('jax@deno', [1, 1]),
  ].map((one) => ({ ...one, flops: 1e9, setting: one.program === 'kerf' ? setting : {} }))]])
  assert.equal(listBars(results).map(({ cells }) => cells.strict), [
    '1.50× (100 GFLOP/s, ort-web@node 66.7 GFLOP/s)', '1.80× (200 GFLOP/s, tfjs@node26 111 GFLOP/s)',
    '1.60× (200 GFLOP/s, tfjs@node26-revec 125 GFLOP/s)'])
  assert.ok(listBars(results).every(({ cells }) => cells.fast === undefined))
})

test('every case names its entries once, and batches come evenly from the data', () => {
  const lengths = Array.from({ length: 100 }, (_, index) => index + 1)
  const cases = listCases(lengths)
  for (const { name, entries } of cases) assert.is(new Set(entries.map(({ id }) => id)).size, entries.length, name)
  assert.is(new Set(cases.map(({ name }) => name)).size, cases.length)
  assert.equal(pickBatches(lengths, 2, 3), [[1, 2, 3], [51, 52, 53]])
})

/** A participant that answers as it is told and keeps a log of when it was asked. */
function writeStub(directory: string, name: string, size: number, ms: number): string {
  const file = join(directory, `${name}.mjs`)
  writeFileSync(file, `
    import { appendFileSync } from 'node:fs'
    import { createInterface } from 'node:readline'
    for await (const line of createInterface({ input: process.stdin })) {
      const { ask, atLeastMs } = JSON.parse(line)
      appendFileSync(${JSON.stringify(join(directory, 'log'))}, ask === 'time' && atLeastMs === 1 ? '${name} ' : '')
      const prepared = { checks: { y: { size: ${size}, signed: 1, norm: 1 } }, note: '' }
      console.log(JSON.stringify(ask === 'prepare' ? prepared : { ms: ${ms}, runs: 1 }))
    }`)
  return file
}

test('rounds go in turn, twice where steps are short; who computes something else, dies or is missing is reported, not timed', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'kerf-peers-'))
  try {
    const broken = join(directory, 'broken.mjs')
    writeFileSync(broken, 'throw new Error("no such device")')
    const node = { command: [process.execPath], title: 'Node' }, none = { reason: 'not here' }
    const program = (file: string) => ({ file, title: file })
    const installed: Installed = {
      hosts: { node, node26: node, 'node26-revec': none, deno: none, bun: none, python: node },
      programs: {
        kerf: program(writeStub(directory, 'a', 2, 600)), tfjs: program(writeStub(directory, 'b', 2.0001, 1000)),
        'ort-web': program(writeStub(directory, 'c', 2.1, 1)), jax: program(broken), 'ort-native': none, torch: none,
      },
    }
    const part = { label: '', work: { kind: 'peak' } as const, flops: 5 }
    const entry = (id: string, runs: Contender['program'], host: Contender['host'] = 'node') =>
      ({ id, program: runs, host, setting: {}, ...part })
    const one: Case = { name: 'x', title: 'x', entries: [
      entry('a', 'kerf'), entry('c', 'ort-web'), entry('b', 'tfjs'), entry('d', 'jax'),
      entry('e', 'ort-native'), entry('f', 'kerf', 'deno')] }
    const result = await runCase(one, installed, 3, 1)
    assert.equal(result.measured.map(({ id, ms, flops }) => [id, ms, flops]), [['a', Array(6).fill(600), 5], ['b', Array(6).fill(1000), 5]])
    const reasons = Object.fromEntries(result.absent.map(({ id, reason }) => [id, reason]))
    assert.match(reasons.c, /^computed something else: y: /)
    assert.match(reasons.d, /no such device/)
    assert.is(reasons.e, 'not here')
    assert.is(reasons.f, 'not here')
    const { stdout } = spawnSync('cat', [join(directory, 'log')], { encoding: 'utf8' })
    assert.is(stdout.trim(), 'a b a b a b a b a b a b')
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
})

test('absences: each reason once, with whom and where', () => {
  const result = (name: string, ...absent: { id: string; reason: string }[]) => ({ name, measured: [], absent })
  const slow = { id: 'kerf.fast@node:peak', reason: 'no fast profile' }, gone = { id: 'tfjs@node', reason: 'not here' }
  assert.is(formatAbsences([result('a', slow, gone), result('b', { ...slow, id: 'kerf.fast@node' })]),
    '- kerf.fast@node (a, b): no fast profile\n- tfjs@node (a): not here')
  assert.is(formatAbsences(['a', 'b', 'c', 'd'].map((name) => result(name, gone))), '- tfjs@node (4 cases): not here')
})

test('the table goes between its markers, and nowhere else', () => {
  assert.is(formatTable(['a', 'b'], [['1|2', 'x\ny']]), '| a | b |\n| --- | --- |\n| 1\\|2 | x y |')
  assert.is(replaceTable(`top\n${BEGIN}\nold\n${END}\nend`, 'new'), `top\n${BEGIN}\n\nnew\n\n${END}\nend`)
  assert.is(replaceTable(replaceTable(`${BEGIN}${END}`, 'one'), 'two'), replaceTable(`${BEGIN}${END}`, 'two'))
  const damaged = ['', BEGIN, `${END}${BEGIN}`, `${BEGIN}${END}${BEGIN}${END}`]
  for (const text of damaged) assert.throws(() => replaceTable(text, 'new'), /once each/)
})

test.run()
