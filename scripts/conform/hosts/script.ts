/** Engines without WebAssembly: suite and kernel are one ES5 script (script.ts), the kernel as wasm2js makes it of the scalar build. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundleScript } from '../../embedded.bundle.ts'
import { duktape } from '../../engines/duktape.ts'
import { hermes } from '../../engines/hermes.ts'
import { quickjs, quickjsNg } from '../../engines/quickjs.ts'
import type { ScriptHost } from '../../engines/script.ts'
import { readPublished } from '../bundle.ts'
import { runCommand } from '../command.ts'
import type { Host, Suite } from '../host.ts'

const PLAY = fileURLToPath(new URL('../../engines/play.ts', import.meta.url))
const ENTRY = fileURLToPath(new URL('../script.ts', import.meta.url))
const RUN_MS = 400_000

/** Made once, by the first host that wants it. */
let bundled: Promise<string> | undefined

/** The script, and the call that runs it. */
export async function writeSuite(whole: boolean): Promise<string> {
  bundled ??= bundleScript({ entry: ENTRY, name: 'kerfConform', minify: false })
  return `${await bundled}
kerfConform.run({
  published: ${JSON.stringify(readPublished())}, whole: ${whole},
  print: function (line) { print(line) }, now: function () { return new Date().getTime() }
})
`
}

async function play({ scratch }: Suite, name: string, whole: boolean): Promise<string[]> {
  const file = join(scratch, `${name}.js`)
  writeFileSync(file, await writeSuite(whole))
  return runCommand({ file: process.execPath, args: ['--import', 'tsx', PLAY, name, file], timeoutMs: RUN_MS })
}

type Row = { engine: ScriptHost; kind: string; debian?: readonly string[]; whole?: boolean }

function hostOf({ engine, kind, debian, whole = false }: Row): Host {
  return {
    name: engine.name, builds: ['wasm2js'], install: engine.installedBy, debian, slow: true, ...(engine.install && { fetch: () => engine.install!() }),
    find() {
      const found = engine.find()
      return found === null ? undefined : { version: found.version, engine: kind }
    },
    run: (suite) => play(suite, engine.name, whole),
  }
}

export const HOSTS: readonly Host[] = [
  { engine: duktape, kind: 'interpreter', debian: ['duktape'] },
  { engine: quickjs, kind: 'interpreter, as WebAssembly in Node' },
  { engine: quickjsNg, kind: 'interpreter, as WebAssembly in Node' },
  { engine: hermes, kind: 'interpreter' },
].map(hostOf)
