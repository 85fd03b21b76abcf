/** workerd, the runtime of Cloudflare's Workers: binaries are compiled from its configuration, never by a program. */
import { spawn } from 'node:child_process'
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { askCommand } from '../command.ts'
import type { Host, Suite } from '../host.ts'
import { findInstalled } from '../place.ts'
import { freePort } from '../port.ts'

const BINARIES = ['kerf.relaxed.wasm', 'kerf.scalar.wasm', 'kerf.simd.wasm']
const START_MS = 20_000, RUN_MS = 240_000
const locate = () => findInstalled('.bin/workerd')

function writeConfig({ folder, binaries, scratch }: Suite, port: number): string {
  mkdirSync(scratch, { recursive: true })
  for (const file of BINARIES) copyFileSync(`${binaries}/${file}`, `${scratch}/${file}`)
  for (const file of ['suite.js', 'drive.workerd.js']) copyFileSync(`${folder}${file}`, `${scratch}/${file}`)
  const modules = [
    '(name = "main", esModule = embed "drive.workerd.js")', '(name = "suite.js", esModule = embed "suite.js")',
    ...BINARIES.map((file) => `(name = "${file}", wasm = embed "${file}")`),
  ]
  writeFileSync(`${scratch}/workerd.capnp`, `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = (compatibilityDate = "2026-01-01", modules = [${modules.join(', ')}]))],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")]
);
`)
  return `${scratch}/workerd.capnp`
}

async function ask(url: string): Promise<string> {
  const end = Date.now() + START_MS
  for (;;) {
    try {
      return await (await fetch(url, { signal: AbortSignal.timeout(RUN_MS) })).text()
    } catch (error) {
      if (Date.now() > end) throw error
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
}

export const HOSTS: readonly Host[] = [{
  name: 'workerd', builds: ['scalar', 'simd', 'fast'], without: 'threaded: it has no workers that share memory',
  install: 'npm package workerd', npm: ['workerd'],
  find() {
    const file = locate()
    const version = file && askCommand(file, ['--version'])?.replace('workerd ', '')
    return version === undefined ? undefined : { version, engine: 'V8' }
  },
  async run(suite, build) {
    const port = await freePort()
    const server = spawn(locate()!, ['serve', writeConfig(suite, port)], { stdio: ['ignore', 'ignore', 'pipe'] })
    let said = ''
    server.stderr.setEncoding('utf8').on('data', (chunk: string) => { said += chunk })
    try {
      return (await ask(`http://127.0.0.1:${port}/${build}`)).split('\n')
    } catch (error) {
      throw new Error(`workerd: ${error instanceof Error ? error.message : String(error)}\n${said.slice(-2000)}`)
    } finally {
      server.kill('SIGKILL')
    }
  },
}]
