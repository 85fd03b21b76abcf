/** What one host makes of one build: a row of the matrix. */
import { existsSync, mkdtempSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { FOLDER, bundleSuite } from './bundle.ts'
import { describeFailure } from './difference.ts'
import type { Build, Found, Host, Suite } from './host.ts'
import type { Row } from './matrix.ts'
import { readParts } from './part.ts'
import { readMessages } from './protocol.ts'

const BINARIES = fileURLToPath(new URL('../../dist', import.meta.url))

/** Every host of hosts/, in the order of its files. */
export async function listHosts(): Promise<Host[]> {
  const files = readdirSync(new URL('hosts/', import.meta.url)).filter((file) => file.endsWith('.ts')).sort()
  const modules = await Promise.all(files.map((file) => import(new URL(`hosts/${file}`, import.meta.url).href) as Promise<{ HOSTS: readonly Host[] }>))
  return modules.flatMap(({ HOSTS }) => HOSTS)
}

/** The bundle, made anew, and what hosts need beside it. `scratch` is to be removed. */
export async function openSuite(): Promise<Suite> {
  if (!existsSync(BINARIES)) throw new Error('dist: expected the kernel, which npm run build makes, got none')
  await bundleSuite()
  return { folder: FOLDER, binaries: BINARIES, scratch: mkdtempSync(join(tmpdir(), 'kerf-conform-')) }
}

/** What each part of the suite must come to. */
export const EXPECTED_PARTS = readParts()

export async function runRow(host: Host, { version, engine }: Found, build: Build, suite: Suite): Promise<Row> {
  const start = performance.now()
  const base = { host: host.name, version, engine, build, part: 'all' as const, cases: 0, passed: 0, digest: '', ms: 0 }
  try {
    const messages = readMessages(await host.run(suite, build))
    const crash = messages.find((message) => message.kind === 'crash')
    if (crash) return { ...base, verdict: 'failed', differs: crash.error, ms: performance.now() - start }
    const score = messages.find((message) => message.kind === 'score')
    if (!score) throw new Error('expected a score, got none')
    const { kind: _, part = 'all', ...counted } = score
    const first = messages.find((message) => message.kind === 'failure')
    const right = score.cases > 0 && score.passed === score.cases && (build === 'fast' || score.digest === EXPECTED_PARTS[part].digest)
    const differs = first && await describeFailure(first)
    return { ...base, ...counted, part, verdict: right ? (build === 'fast' ? 'within tolerance' : 'equal') : 'differs', ...(differs && { differs }) }
  } catch (error) {
    return { ...base, verdict: 'failed', differs: error instanceof Error ? error.message : String(error), ms: performance.now() - start }
  }
}
