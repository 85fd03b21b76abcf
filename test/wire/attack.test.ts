/** Every error code of runtime/wire is thrown by an attack, named in SPEC.md, and nothing else is thrown. */
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { KerfError } from '../../runtime/error.ts'
import { checkPrelude, decodeFrame, readPrelude } from '../../runtime/wire/frame.ts'
import * as limits from '../../runtime/wire/limits.ts'
import { CALL_ATTACKS, FRAME_ATTACKS } from './attacks.ts'
import { crc32c } from './crc32c.ts'
import { EXPECTED, patchPrelude, rawFile, sampleBytes, wrapBody } from './sample.ts'

const WIRE = new URL('../../runtime/wire/', import.meta.url)
const spec = readFileSync(new URL('SPEC.md', WIRE), 'utf8')

function sourceCodes(): string[] {
  const files = readdirSync(WIRE).filter((name) => name.endsWith('.ts'))
  const source = files.map((name) => readFileSync(new URL(name, WIRE), 'utf8')).join('\n')
  const codes = [...source.matchAll(/refuse\(\s*'([^']+)'/g)].map((match) => match[1])
  assert.is(codes.length, source.match(/refuse\((?!code)/g)?.length, 'every refuse() names its code in place')
  return [...new Set(codes)].sort()
}

function codeOf(call: () => unknown): string {
  try {
    call()
  } catch (error) {
    assert.instance(error, KerfError)
    const { code, message, field } = error as KerfError
    assert.match(message, /^[^\n]+: expected [^\n]+, got [^\n]*$/)
    assert.ok(message.startsWith(field) && message.length < 600, message)
    return code
  }
  return 'accepted'
}

for (const { code, title, build } of FRAME_ATTACKS) {
  test(`${code}: ${title}`, () => assert.is(codeOf(() => decodeFrame(build(), EXPECTED, crc32c)), code))
}

for (const { code, title, call } of CALL_ATTACKS) {
  test(`${code}: ${title}`, () => assert.is(codeOf(call), code))
}

test('every code has an attack, and no attack a code of its own', () => {
  const attacked = new Set([...FRAME_ATTACKS, ...CALL_ATTACKS].map(({ code }) => code))
  assert.equal([...attacked].sort(), sourceCodes())
})

test('SPEC.md names every code, and none besides', () => {
  const named = new Set([...spec.matchAll(/`((?:frame|safetensors|codec)-[a-z0-9-]+)`/g)].map((match) => match[1]))
  assert.equal([...named].sort(), sourceCodes())
})

test('SPEC.md quotes every limit', () => {
  for (const [name, value] of Object.entries(limits)) {
    const row = spec.split('\n').find((line) => line.startsWith(`| \`${name}\``)) ?? ''
    const numbers = typeof value === 'number' ? [value] : Object.values(value)
    for (const number of numbers) assert.ok(row.includes(` ${number}`), `${name} ${number}`)
  }
})

test('the earlier rule wins when several are broken', () => {
  const order: [code: string, change: (view: DataView) => void][] = [
    ['frame-magic', (view) => view.setUint8(0, 0)],
    ['frame-version', (view) => view.setUint8(4, 9)],
    ['frame-type', (view) => view.setUint8(5, 99)],
    ['frame-flags', (view) => view.setUint16(6, 1, true)],
    ['frame-reserved', (view) => view.setUint8(50, 1)],
    ['frame-run', (view) => view.setUint32(20, 99, true)],
    ['frame-client', (view) => view.setUint32(24, 99, true)],
    ['frame-epoch', (view) => view.setUint32(40, 99, true)],
    ['frame-round-future', (view) => view.setUint32(28, 99, true)],
    ['frame-step-future', (view) => view.setUint32(32, 99, true)],
    ['frame-sequence-future', (view) => view.setUint32(36, 99, true)],
    ['frame-chunk', (view) => view.setUint32(12, 99, true)],
    ['frame-limit', (view) => view.setUint32(8, 1 << 30, true)],
    ['frame-body-crc', (view) => view.setUint32(56, 1, true)],
    ['safetensors-json', () => {}],
  ]
  order.forEach(([code], first) => {
    const bytes = patchPrelude((view) => order.slice(first).forEach(([, change]) => change(view)), wrapBody(rawFile('[]')))
    assert.is(codeOf(() => decodeFrame(bytes, EXPECTED, crc32c)), code)
  })
})

test('a prelude is checked without its body', () => {
  const prelude = readPrelude(sampleBytes().subarray(0, 64), crc32c)
  checkPrelude(prelude, EXPECTED)
  assert.is(prelude.bodyBytes, sampleBytes().length - 64)
})

test('null leaves run, client and epoch unchecked', () => {
  const strangers = patchPrelude((view) => [20, 24, 40].forEach((at) => view.setUint32(at, 77, true)))
  const frame = decodeFrame(strangers, { ...EXPECTED, run: null, client: null, epoch: null }, crc32c)
  assert.equal([frame.run, frame.client, frame.epoch], [77, 77, 77])
})

test('a declared limit cannot raise the constant one', () => {
  const raised = { ...EXPECTED, types: { hello: { bodyBytesMax: 1 << 30, tensors: [] } } }
  const bytes = patchPrelude((view) => view.setUint32(8, limits.BODY_BYTES_MAX.hello + 1, true), sampleBytes('hello'))
  assert.is(codeOf(() => decodeFrame(bytes, raised, crc32c)), 'frame-limit')
})

test('a body is not touched before its length is allowed', () => {
  const seen: number[] = []
  const bytes = patchPrelude((view) => view.setUint32(8, 0xffffffff, true))
  codeOf(() => decodeFrame(bytes, EXPECTED, (part) => (seen.push(part.length), crc32c(part))))
  assert.equal(seen, [60])
})

test.run()
