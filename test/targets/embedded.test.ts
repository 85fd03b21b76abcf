/**
 * The embedded script: its form, and what it computes in engines without WebAssembly: the frames of Node's device against the
 * server's own code, byte for byte, and the kernel's bits where wasm2js or a small engine could change them.
 */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Codec } from '../../runtime/wire/codec.ts'
import { CODECS } from '../../runtime/wire/codec.ts'
import type { FoundHost } from '../../scripts/engines/script.ts'
import { openHost } from '../../scripts/engines/script.ts'
import { SCRIPT_HOSTS } from '../../scripts/engines/scripts.ts'
import { openArena } from '../kernel/arena.ts'
import type { DeviceParts } from '../../targets/embedded/device.ts'
import { formatHex } from '../../runtime/text/hex.ts'
import { skipTest } from '../skip.ts'
import { expectBits } from '../split/bits.ts'
import { readNames } from './embedded.form.ts'
import { PROBE_BYTES, probe, probeScript } from './embedded.probe.ts'
import { damagedScript, readAnswers, runSession, sessionScript } from './embedded.scene.ts'
import { GLOBALS, bareHost, openEmbedded, script } from './embedded.script.ts'

/** By codec, as Node's device has them. */
const node = { f32: await runSession(), f16: await runSession({ codec: 'f16' }), int8: await runSession({ codec: 'int8' }) }
const scalar = await openArena('scalar')
const probed = probe(scalar.kernel, scalar.memory.buffer)

const kindsOf = (frames: readonly string[]) => frames.map((frame) => frame.split(' ')[0])

async function checkRun(host: FoundHost, codec: Codec): Promise<void> {
  const session = await runSession({ engine: { host, script }, codec })
  const { up, vector } = node[codec]
  assert.is(session.answers?.end, 'done', codec)
  assert.equal(kindsOf(session.up), ['hello', 'ready', 'activation', 'state', 'activation', 'adapter', 'bye'])
  assert.equal(kindsOf(session.up), kindsOf(up))
  session.up.forEach((frame, at) => assert.ok(frame === up[at], `${codec}: expected Node's bytes in frame ${at}, ${kindsOf([frame])}`))
  expectBits(session.vector, vector, `${codec}: the averaged adapters`)
}

test('it is ES5, declares one name, and takes none but the language\'s own', () => {
  const { taken, declared } = readNames(script)
  assert.equal([...declared], ['kerf'])
  assert.equal([...taken].filter((name) => !GLOBALS.some((known) => known === name)), [])
  assert.ok(!/sourceMappingURL/.test(script))
})

test('the form\'s own check finds what it must', () => {
  const names = (text: string) => [...readNames(text).taken]
  assert.equal(names('var f = function (a) { try { a.setTimeout } catch (e) { e(console) } return require(a) }'), ['console', 'require'])
  assert.throws(() => readNames('let a = 1'))
  assert.throws(() => readNames('import "x"'))
})

test('the probe sees a kernel that rounds otherwise', () => {
  const memory = { buffer: new ArrayBuffer(PROBE_BYTES) }
  const { openKernel } = openEmbedded()
  assert.equal(probe(openKernel(memory.buffer), memory.buffer), probed)
  const off = openKernel(memory.buffer)
  const scale = off.scale
  off.scale = (out, x, factor, n) => scale(out, x, factor * (1 + 2e-7), n)
  assert.is.not(probe(off, memory.buffer).join(), probed.join())
})

test('a host with nothing but ES5 and typed arrays is enough', async () => {
  const missing = ['Map', 'Symbol', 'Math.fround', '[].find', 'new Uint8Array(1).slice']
  const { lines } = await bareHost.run(missing.map((name) => `print(typeof ${name})`).join('\n'))
  assert.equal(lines, missing.map(() => 'undefined'))
  for (const codec of CODECS) await checkRun(bareHost, codec)
})

/** Node's frames to a device of this process; its answers as hexadecimal digits. */
function answer(parts: Partial<DeviceParts>, spoil = (frame: Uint8Array) => { void frame }): string[] {
  const { brought, down } = node.f32
  const weights = Uint8Array.from(Buffer.from(brought.weights, 'base64')).buffer
  const device = openEmbedded().openDevice({ ...brought, weights, ...parts })
  const said = [...device.begin()]
  for (const frame of down) {
    const bytes = frame.slice()
    said.push(...device.takeFrame(bytes))
    spoil(bytes)
  }
  assert.ok(device.isDone())
  return said.map(formatHex)
}

const bodiesOf = (frames: readonly string[]) => frames.map((frame) => frame.split(' ')[1])

test('weights are read part by part, and a frame may be overwritten once it is taken', () => {
  const file = Uint8Array.from(Buffer.from(node.f32.brought.weights, 'base64'))
  let largest = 0
  const weights = {
    bytes: file.length,
    read(begin: number, end: number) {
      largest = Math.max(largest, end - begin)
      return file.slice(begin, end)
    },
  }
  assert.equal(answer({ weights }, (frame) => { frame.fill(255) }), bodiesOf(node.f32.up))
  assert.ok(largest > 0 && largest < file.length / 2, `${largest} of ${file.length} bytes at once`)
})

test('what a host brings is checked before it is used', () => {
  const { brought } = node.f32
  const refused = (parts: Partial<DeviceParts>, message: RegExp) => assert.throws(() => answer(parts), message)
  refused({ labels: brought.labels.slice(1) }, /^labels: expected 5 of them, one for each text, got 4$/)
  refused({ labels: brought.labels.map(() => 3) }, /^labels\[0\]: expected 0 … 2, as the run has labels, got 3$/)
  refused({ sequences: brought.sequences.map(() => [30, 1, 2]) }, /^batch\.ids\[0\]: expected 0 … 29, got 30$/)
  refused({ weights: new ArrayBuffer(4) }, /^weights: expected at least 8 bytes, got 4$/)
  refused({ config: '{}' }, /^config\.model_type: expected "bert", got undefined$/)
})

for (const host of SCRIPT_HOSTS) {
  const { name, installedBy } = host
  const found = await openHost(host)

  test(`${name}: the kernel has the bits of WebAssembly`, async () => {
    if (!found) return skipTest(`no ${name}: ${installedBy}`)
    const { lines } = await found.run(probeScript(script))
    probed.forEach((line, at) => assert.is(lines[at], line))
    assert.is(lines.length, probed.length)
  })

  test(`${name}: a device's run against the server has the bytes of Node's`, async () => {
    if (!found) return skipTest(`no ${name}: ${installedBy}`)
    await checkRun(found, 'f32')
  })

  test(`${name}: the same frames have the same answers in int8, where the runtime itself rounds`, async () => {
    if (!found) return skipTest(`no ${name}: ${installedBy}`)
    const { brought, down, up } = node.int8
    const { frames, end } = readAnswers(await found.run(sessionScript(script, brought, down)))
    assert.is(end, 'done')
    assert.equal(frames.map(formatHex), bodiesOf(up))
  })

  test(`${name}: a damaged frame is refused by name`, async () => {
    if (!found) return skipTest(`no ${name}: ${installedBy}`)
    const { lines } = await found.run(damagedScript(script, node.f32))
    assert.match(lines[lines.length - 1], /^error KerfError frame-body-crc frame\.bodyCrc: expected 0x[0-9a-f]{8}, got "0x[0-9a-f]{8}"$/)
  })
}

test.run()
