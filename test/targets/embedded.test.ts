/**
 * The embedded script: its form, and what it computes in engines without WebAssembly: the frames of Node's device against the
 * server's own code, byte for byte, and the kernel's bits where wasm2js or a small engine could change them.
 */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openHost } from '../../scripts/conform/hosts/script.ts'
import { SCRIPT_HOSTS } from '../../scripts/conform/hosts/scripts.ts'
import { openArena } from '../kernel/arena.ts'
import { skipTest } from '../skip.ts'
import { expectBits } from '../split/bits.ts'
import { readNames } from './embedded.form.ts'
import { PROBE_BYTES, probe, probeScript } from './embedded.probe.ts'
import { damagedScript, runSession } from './embedded.scene.ts'
import { GLOBALS, bareHost, openEmbedded, script } from './embedded.script.ts'

const node = await runSession()
const scalar = await openArena('scalar')
const probed = probe(scalar.kernel, scalar.memory.buffer)

const kindsOf = (frames: readonly string[]) => frames.map((frame) => frame.split(' ')[0])

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
  const session = await runSession({ host: bareHost, script })
  assert.is(session.answers?.end, 'done')
  assert.equal(session.up, node.up)
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
    const session = await runSession({ host: found, script })
    assert.is(session.answers?.end, 'done')
    assert.equal(kindsOf(session.up), ['hello', 'ready', 'activation', 'state', 'activation', 'adapter', 'bye'])
    assert.equal(kindsOf(session.up), kindsOf(node.up))
    session.up.forEach((frame, at) => assert.ok(frame === node.up[at], `expected Node's bytes in frame ${at}, ${kindsOf([frame])}`))
    expectBits(session.vector, node.vector, 'the averaged adapters')
  })

  test(`${name}: a damaged frame is refused by name`, async () => {
    if (!found) return skipTest(`no ${name}: ${installedBy}`)
    const { lines } = await found.run(damagedScript(script, node))
    assert.match(lines[lines.length - 1], /^error KerfError frame-body-crc frame\.bodyCrc: expected 0x[0-9a-f]{8}, got "0x[0-9a-f]{8}"$/)
  })
}

test.run()
