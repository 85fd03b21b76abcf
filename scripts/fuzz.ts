/**
 * Damaged frames by the million: against the readers in this process, and against a live server with honest devices.
 *
 *   node --import tsx scripts/fuzz.ts [--frames N] [--live M] [--seed S]
 *
 * Prints what came out by refusal, frames a second and memory; ends with 1 where anything but a refusal by name came out, a
 * rejection was not handled, or the honest devices' bits changed. One seed gives the same frames.
 */
import { isDeepStrictEqual, parseArgs } from 'node:util'
import { openChecksum } from '../test/split/model.ts'
import { makeSubjects, tryFrame } from '../test/split/mutate.ts'
import { besiege, withoutFoe } from '../test/split/siege.ts'
import { randomFrom } from '../test/wire/random.ts'

const REPORT_EVERY = 1_000_000
const ROUNDS = 30

const { values } = parseArgs({
  options: { frames: { type: 'string', default: '1000000' }, live: { type: 'string', default: '20000' }, seed: { type: 'string', default: '1' } },
})
const [frames, live, seed] = [values.frames, values.live, values.seed].map(Number)
const failures: string[] = []
let unhandled = 0
process.on('unhandledRejection', () => { unhandled++ })

const memoryMB = () => Math.round(process.memoryUsage().rss / 2 ** 20)
const count = (codes: Map<string, number>, code: string, times = 1) => codes.set(code, (codes.get(code) ?? 0) + times)

function fail(what: string): void {
  if (failures.length < 20) console.log(`FAIL ${what}`)
  failures.push(what)
}

function show(what: string, done: number, ms: number, codes: ReadonlyMap<string, number>): void {
  console.log(`${what}: ${done} frames, ${Math.round((1000 * done) / ms)} a second, ${memoryMB()} MB, ${unhandled} unhandled, ${failures.length} failures`)
  const sorted = [...codes].sort(([, a], [, b]) => b - a)
  console.log(sorted.map(([code, times]) => `  ${String(times).padStart(9)} ${code}`).join('\n'))
}

async function fuzzReaders(): Promise<void> {
  const crc32c = await openChecksum()
  const subjects = makeSubjects(crc32c)
  const codes = new Map<string, number>()
  const begin = performance.now()
  for (let index = 0; index < frames; index++) {
    try {
      count(codes, tryFrame(subjects[index % subjects.length], randomFrom(seed, index), crc32c))
    } catch (error) {
      fail(`seed ${seed}, frame ${index}: ${String(error)}`)
    }
    if ((index + 1) % REPORT_EVERY === 0) console.log(`${index + 1} frames, ${memoryMB()} MB`)
  }
  show('readers', frames, performance.now() - begin, codes)
}

async function fuzzServer(): Promise<void> {
  const codes = new Map<string, number>()
  const expected = await withoutFoe(ROUNDS)
  const begin = performance.now()
  let done = 0, greetings = 0, working = 0
  for (let run = 0; done < live; run++) {
    const siege = await besiege(seed + run, ROUNDS)
    done += siege.frames
    greetings += siege.greetings
    working += siege.working
    for (const [code, times] of siege.codes) count(codes, code, times)
    if (!isDeepStrictEqual(siege.vector, expected)) fail(`seed ${seed + run}: the honest devices' bits changed`)
    if (siege.codes.has('server')) fail(`seed ${seed + run}: an error that is no refusal`)
    if (siege.honest.some((ending) => ending !== 'done')) fail(`seed ${seed + run}: an honest device was sent away`)
    if (run % 500 === 499) console.log(`${done} frames, ${memoryMB()} MB`)
  }
  show(`live server, ${greetings} greetings, ${working} frames where work was expected`, done, performance.now() - begin, codes)
}

if (frames > 0) await fuzzReaders()
if (live > 0) await fuzzServer()
process.exitCode = failures.length > 0 || unhandled > 0 ? 1 : 0
