/** A Worker for workerd, which runs binaries that it compiled beforehand alone: each request's path is a build. */
import './suite.js'
import relaxed from './kerf.relaxed.wasm'
import scalar from './kerf.scalar.wasm'
import simd from './kerf.simd.wasm'
import type { ConformGlobal } from './suite.ts'

const { run } = (globalThis as unknown as { kerfConform: ConformGlobal }).kerfConform
const modules: Readonly<Record<string, WebAssembly.Module>> = { 'kerf.relaxed.wasm': relaxed, 'kerf.scalar.wasm': scalar, 'kerf.simd.wasm': simd }

export default {
  async fetch(request: Request): Promise<Response> {
    const lines: string[] = []
    await run({
      build: new URL(request.url).pathname.slice(1), print: (line) => { lines.push(line) }, now: () => performance.now(),
      load: (file) => Promise.resolve(modules[file]),
    })
    return new Response(lines.join('\n'))
  },
}
