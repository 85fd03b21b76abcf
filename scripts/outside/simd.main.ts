/** The script that a host runs: the suites stand before it as SUITES. */
import type { Suites } from './simd.runner.ts'
import { runSuites } from './simd.runner.ts'

declare const SUITES: Suites
/** Of shells without console, and of the page; every browser has one of its own that opens a dialogue. */
declare const print: ((line: string) => void) | undefined
type Versions = { node?: string; v8?: string; bun?: string; deno?: string; webkit?: string }
type Named = { navigator?: { userAgent?: string }; process?: { versions?: Versions } }

/** What this engine calls itself; Bun's `v8` is no engine of its own. */
function nameEngine({ navigator, process }: Named): string | undefined {
  const { node, v8, bun, deno, webkit } = process?.versions ?? {}
  if (bun !== undefined) return `Bun ${bun}, JavaScriptCore${webkit === undefined ? '' : ` ${webkit.slice(0, 12)}`}`
  if (node !== undefined) return `${deno === undefined ? `Node ${node}` : `Deno ${deno}`}, V8 ${v8}`
  return /(?:HeadlessChrome|Chrome|Firefox|Version)\/[\d.]+/.exec(navigator?.userAgent ?? '')?.[0] ?? navigator?.userAgent
}

const write = typeof print === 'function' ? print : (line: string) => console.log(line)
write(JSON.stringify({ ...runSuites(SUITES), engine: nameEngine(globalThis as Named) }))
