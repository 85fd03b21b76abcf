/**
 * The embedded script in each engine: a small run against the server's code, as test/targets/embedded.test.ts has it, and one step
 * of a device with the bundled base. Prints a table; an engine that gives other bytes than Node says so.
 *
 *   node --import tsx scripts/embedded.engines.ts        after npm run build
 *
 *   step     from the gradient to what follows it: backward and update, and in the small run the next step's forward; of the base,
 *            from the adapters to the activation and from the gradient to the adapters
 *   held     Duktape, Hermes: the most that the process held in memory, its program, the script and the base's file as text included;
 *            QuickJS: what its heap held at the end
 *   linear   bytes of the kernel's memory, which are among these: the plan's, and a page for checksums
 */
import { fileURLToPath } from 'node:url'
import { formatColumns } from '../runtime/text/columns.ts'
import { readAnswers, runSession, sessionScript } from '../test/targets/embedded.scene.ts'
import type { Answers } from '../test/targets/embedded.scene.ts'
import type { FoundHost } from './engines/script.ts'
import { openHost } from './engines/script.ts'
import { SCRIPT_HOSTS } from './engines/scripts.ts'
import { prepareBase } from './embedded.base.ts'
import { bundleEmbedded } from './embedded.bundle.ts'

const REPEATS = 3
const PAGE_BYTES = 65536
/** Long enough for its memory to be looked at. */
const IDLE = 'var end = new Date().getTime() + 200; while (new Date().getTime() < end);'

process.chdir(fileURLToPath(new URL('..', import.meta.url)))

const script = await bundleEmbedded()
const node = await runSession()
const base = await prepareBase()

const megabytes = (bytes: number | null) => (bytes === null ? '' : (bytes / 1e6).toFixed(2))
const timeOf = ({ timesMs }: Answers, frames: readonly number[]) => (
  frames.reduce((sum, frame) => sum + (timesMs.get(`frame${frame}`) ?? NaN), 0))
const verdict = (same: boolean) => (same ? 'same' : 'OTHER')

function sameFrames(actual: readonly Uint8Array[], expected: readonly Uint8Array[]): boolean {
  return actual.length === expected.length && actual.every((frame, at) => Buffer.compare(frame, expected[at]) === 0)
}

/** The least of some runs: an engine shares its machine. */
async function repeat(run: () => Promise<Answers>, frames: readonly number[]): Promise<{ answers: Answers; ms: number }> {
  let answers = await run()
  let ms = timeOf(answers, frames)
  for (let again = 1; again < REPEATS; again++) {
    answers = await run()
    ms = Math.min(ms, timeOf(answers, frames))
  }
  return { answers, ms }
}

async function measure(name: string, host: FoundHost): Promise<string[]> {
  const empty = await host.run(IDLE)
  const small = await runSession({ engine: { host, script } })
  const { answers: last, ms } = await repeat(async () => (await runSession({ engine: { host, script } })).answers!, [2])
  const stepScript = sessionScript(script, base.brought, base.down)
  const { answers, ms: baseMs } = await repeat(async () => readAnswers(await host.run(stepScript)), [1, 2])
  if (!sameFrames(answers.frames, base.up) || small.up.join() !== node.up.join()) process.exitCode = 1
  return [
    name, host.version, verdict(small.up.join() === node.up.join()), ms.toFixed(0), megabytes(last.ran.heapBytes),
    verdict(sameFrames(answers.frames, base.up)), baseMs.toFixed(0), (base.tokens / (baseMs / 1000)).toFixed(1),
    megabytes(answers.ran.heapBytes), megabytes(empty.heapBytes),
  ]
}

const rows = [['engine', 'version', 'small run', 'step ms', 'held MB', 'base', 'step ms', 'tokens/s', 'held MB', 'empty MB']]
for (const host of SCRIPT_HOSTS) {
  const found = await openHost(host)
  rows.push(found ? await measure(host.name, found) : [host.name, `missing: ${host.installedBy}`])
}
console.log(formatColumns(rows, 2).join('\n'))
const texts = base.brought.sequences.length
console.log(`linear MB of the base's device: ${megabytes(base.memoryBytes + PAGE_BYTES)}; ${base.tokens} tokens in ${texts} texts`)
