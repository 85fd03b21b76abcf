/** The committed ABI is what the compiler and every binary say, and a wrong call does not pass the type check. */
import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { KernelExports } from '../../runtime/kernel/abi.ts'
import { ABI_VERSION } from '../../runtime/kernel/abi.ts'
import { adamw, blockBackward } from '../../runtime/kernel/calls.ts'
import { LINEAR_BYTES, writeNorm } from '../../runtime/kernel/records.ts'
import { writeAbi } from '../../scripts/abi.ts'
import type { Abi } from '../../scripts/abi.ts'
import { BUILDS, openKernelBuild } from '../kernels.ts'

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
const abi = JSON.parse(read('dist/abi.json')) as Abi

test('the committed files are what the compiler gives', () => {
  for (const [path, text] of writeAbi(abi)) assert.is(read(path), text, path)
  assert.is(abi.version, ABI_VERSION)
})

for (const build of BUILDS) {
  test(`${build}: every function with as many parameters`, async () => {
    const { module } = await openKernelBuild(build)
    const { exports } = await WebAssembly.instantiate(module, { env: { memory: new WebAssembly.Memory({ initial: 1 }) } })
    const functions = Object.entries(exports).flatMap(([name, value]) => (typeof value === 'function' ? [[name, value.length]] : []))
    const expected = Object.entries(abi.functions).map(([name, { parameters }]) => [name, parameters.length])
    assert.equal(functions.sort(), expected.sort())
  })
}

const FIXTURE: Abi = {
  version: 7,
  functions: {
    abiVersion: { file: 'assembly/index.ts', parameters: [], result: 'i32' },
    turn: { file: 'assembly/turn.ts', parameters: [...'abcdefghi'].map((name) => ({ name, type: 'usize' })), result: 'f32' },
    turnBackward: { file: 'assembly/turn.ts', parameters: [{ name: 'x', type: 'f64' }], result: 'void' },
  },
  records: { Pair: { bytes: 8, fields: { first: { offset: 0, type: 'usize' }, second: { offset: 4, type: 'f32' } } } },
}

test('every name, type and offset is in the text', () => {
  const [types, calls] = [...writeAbi(FIXTURE).values()]
  for (const part of [
    'export const ABI_VERSION = 7\n', '  // assembly/index.ts\n  abiVersion: () => i32\n\n  // assembly/turn.ts\n',
    'g: usize, h: usize, i: usize) => f32\n', '  turnBackward: (x: f64) => void\n}\n',
    'export const PAIR = {\n  bytes: 8,\n  fields: {\n',
    "    first: { offset: 0, type: 'usize' },\n    second: { offset: 4, type: 'f32' },\n  },\n} as const\n",
  ]) assert.ok(types.includes(part), part)
  for (const part of [
    '{ a, b, c, d, e, f, g, h, i }', 'return kernel.turn(a, b, c, d, e, f, g, h, i)\n', '{ x }: TurnBackwardArguments): void {\n',
  ]) assert.ok(calls.includes(part), part)
})

test('what neither JavaScript nor a record holds as a number is refused', () => {
  const with64 = { ...FIXTURE.functions, wide: { file: 'a.ts', parameters: [{ name: 'x', type: 'i64' }], result: 'void' } }
  assert.throws(() => writeAbi({ ...FIXTURE, functions: with64 }), /^wide\.x: expected a type of usize, i32, u32, f32, f64, got i64$/)
  const record = { Pair: { bytes: 8, fields: { first: { offset: 0, type: 'f64' } } } }
  assert.throws(() => writeAbi({ ...FIXTURE, records: record }), /^Pair\.first: expected a type of usize, i32, u32, f32, got f64$/)
})

/** Never called: every line after an expectation is one that the type check must refuse. */
export function refusedByTypes(kernel: KernelExports, buffer: ArrayBuffer, list: readonly number[]): void {
  kernel.matmul(0, 0, 0, 1, 1, 1, 0, 0)
  // @ts-expect-error: no scratch
  kernel.matmul(0, 0, 0, 1, 1, 1, 0)
  // @ts-expect-error: one too many
  kernel.matmul(0, 0, 0, 1, 1, 1, 0, 0, 0)
  // @ts-expect-error: not a number
  kernel.matmul('0', 0, 0, 1, 1, 1, 0, 0)
  // @ts-expect-error: a list of unknown length
  kernel.matmul(...list)
  // @ts-expect-error: no scratch
  kernel.matmulBackwardWeight(0, 0, 0, 1, 1, 1, 0)
  // @ts-expect-error: no eps
  kernel.adamw(0, 0, 0, 0, 1, 1, 0.9, 0.1, 0.999, 0.001, 0, 1)
  // @ts-expect-error: no scales
  kernel.embedding(0, 0, 0, 0, 0, 0, 0, 0, 1, 1)
  // @ts-expect-error: no scratch
  kernel.attentionBackward(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1)
  // @ts-expect-error: no threads
  kernel.blockScratchBytes(1, 1, 1, 1, 1, 1, 1)
  // @ts-expect-error: returns nothing
  kernel.linear(0, 0, 0, 0, 1, 0).toFixed()
  // @ts-expect-error: no such operation
  kernel.convolve(0, 0, 1)
  // @ts-expect-error: no eps
  adamw(kernel, { p: 0, m: 0, v: 0, g: 0, n: 1, keep: 1, beta1: 0.9, rest1: 0.1, beta2: 0.999, rest2: 0.001, step: 0, correction: 1 })
  // @ts-expect-error: dy is no name of it
  blockBackward(kernel, { dx: 0, dy: 0, saved: 0, block: 0, offsets: 0, N: 1, S: 1, T: 1, scratch: 0 })
  // @ts-expect-error: no eps
  writeNorm(buffer, LINEAR_BYTES, { gain: 0, bias: 0, dGain: 0, dBias: 0, width: 1 })
}

test.run()
