/** The embedded script in engines without WebAssembly: the frames of Node's device, against the server's own code. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { bundleEmbedded } from '../../scripts/embedded.bundle.ts'
import { duktape } from '../../scripts/conform/hosts/duktape.ts'
import { hermes } from '../../scripts/conform/hosts/hermes.ts'
import { quickjs, quickjsNg } from '../../scripts/conform/hosts/quickjs.ts'
import { skipTest } from '../skip.ts'
import { expectBits } from '../split/bits.ts'
import { runSession } from './embedded.scene.ts'

const script = await bundleEmbedded()
const node = await runSession()

const kindsOf = (frames: readonly string[]) => frames.map((frame) => frame.split(' ')[0])

for (const { name, installedBy, find } of [duktape, quickjs, quickjsNg, hermes]) {
  test(`${name}: a device's steps have the bits of Node's`, async () => {
    const host = await find()
    if (!host) return skipTest(`no ${name}: ${installedBy}`)
    const session = await runSession({ host, script })
    assert.is(session.answers?.end, 'done')
    assert.equal(kindsOf(session.up), ['hello', 'ready', 'activation', 'state', 'activation', 'adapter', 'bye'])
    assert.equal(kindsOf(session.up), kindsOf(node.up))
    session.up.forEach((frame, at) => assert.ok(frame === node.up[at], `expected Node's bytes in frame ${at}, ${kindsOf([frame])}`))
    expectBits(session.vector, node.vector, 'the averaged adapters')
    console.log(name, host.version, session.answers?.ran.seconds, session.answers?.ran.heapBytes, [...session.answers!.timesMs])
  })
}

test.run()
