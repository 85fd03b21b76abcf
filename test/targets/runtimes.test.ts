/** Deno alone and Bun alone: where the PATH has no Node, each builds Kerf and trains, and leaves the bytes that Node leaves. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { cpSync, existsSync, readFileSync, symlinkSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Outcome } from '../command.ts'
import { makeDirectory } from '../command.ts'
import { findHost } from '../package/project.ts'
import { skipTest } from '../skip.ts'
import { adapterFile, callKerf, flagsOf, killAll, makeRoom, startProcess } from './cli.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const SOURCES = ['asconfig.json', 'assembly', 'bunfig.toml', 'deno.json', 'package.json', 'runtime', 'scripts', 'targets', 'tsconfig.json']
const PROGRAMS = ['bash', 'env', 'sh', 'uname']
const BINARIES = ['kerf.scalar.wasm', 'kerf.simd.wasm', 'kerf.relaxed.wasm', 'kerf.simd.shared.wasm', 'kerf.relaxed.shared.wasm']
const SCHEMES = ['kerf', 'sl']

const { at, model, data, val } = makeRoom()
const trainTo = (out: string) => flagsOf({
  model, data, val, scheme: SCHEMES.join(), clients: 2, cuts: '1,2', steps: 4, interval: 2, batch: 4, out: join(at, out),
})
const adaptersOf = (out: string) => SCHEMES.map((scheme) => readFileSync(adapterFile(join(at, out, scheme))).toString('base64'))

test.after.each(killAll)

/** A folder that is the whole PATH: a shell and the host. */
function makePath(name: string, host: string): string {
  const folder = makeDirectory(), places = (process.env.PATH ?? '').split(delimiter)
  for (const program of PROGRAMS) symlinkSync(places.map((place) => join(place, program)).find((path) => existsSync(path))!, join(folder, program))
  symlinkSync(host, join(folder, name))
  return folder
}

function makeCheckout(): string {
  const checkout = makeDirectory()
  for (const name of SOURCES) cpSync(join(ROOT, name), join(checkout, name), { recursive: true })
  symlinkSync(join(ROOT, 'node_modules'), join(checkout, 'node_modules'))
  return checkout
}

async function adaptersHere(): Promise<string[]> {
  if (!existsSync(join(at, 'here'))) await callKerf(['train', ...trainTo('here')])
  return adaptersOf('here')
}

for (const [name, start] of [['deno', ['task', '--quiet']], ['bun', ['run', '--silent']]] as const) {
  test(`${name} alone: the kernel's bytes and the adapters' are those of this runtime`, async () => {
    const host = findHost(name)
    if (host === undefined) return skipTest(`no ${name}`)
    const path = makePath(name, host), checkout = makeCheckout()
    const call = (...words: string[]): Promise<Outcome> => (
      startProcess('env', ['-i', `PATH=${path}`, `HOME=${checkout}`, `TMPDIR=${at}`, ...words], checkout).ended)
    assert.equal((await call('bash', '-c', 'type -P node npm npx')).stdout, '')
    for (const args of [['build'], ['train', ...trainTo(name)]]) {
      const { exitCode, stderr } = await call(name, ...start, ...args)
      assert.is(exitCode, 0, stderr)
    }
    for (const file of BINARIES) assert.ok(readFileSync(join(checkout, 'dist', file)).equals(readFileSync(join(ROOT, 'dist', file))), file)
    assert.equal(adaptersOf(name), await adaptersHere())
  })
}

test.run()
