/**
 * Runs WebAssembly's own assertions on whatever engine runs this: no import of a platform, so that one script serves every
 * JavaScript host. What is asked stands in a Suite, which simd.ts makes.
 */
import { importsOf } from './simd.wrapper.ts'

/** Binary data in hex, since not every host has atob. */
export type Lane = { bytes: number; bits: string; nan?: 'canonical' | 'arithmetic' }
/** `either`: the results that are allowed, of which relaxed instructions have several. */
export type Check = { line: number } & ({ kind: 'return'; either: readonly (readonly Lane[])[] } | { kind: 'trap' })
export type Step =
  | { kind: 'module'; line: number; binary: string; wrapper?: string; checks: readonly Check[]; register?: string }
  | { kind: 'invalid'; line: number; binary: string }
export type Suite = readonly { file: string; steps: readonly Step[] }[]
export type Outcome = { passed: number; failed: number; failures: string[] }
/** What a host is asked, and what it answers; `relaxed` is null where it compiles none of that. */
export type Suites = { simd: Suite; relaxed: Suite }
export type Outcomes = { simd: Outcome; relaxed: Outcome | null }

function toBytes(hex: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(hex.length / 2)
  for (let i = 0; i < bytes.length; i++) bytes[i] = parseInt(hex.slice(2 * i, 2 * i + 2), 16)
  return bytes
}

/** A canonical NaN has no more of its fraction than the highest bit, an arithmetic one at least that. */
function isLane(view: DataView, at: number, { bytes, bits, nan }: Lane): boolean {
  if (nan === undefined) return toBytes(bits).every((byte, i) => byte === view.getUint8(at + i))
  const high = bytes === 4 ? view.getUint32(at, true) : view.getUint32(at + 4, true)
  const low = bytes === 4 ? 0 : view.getUint32(at, true)
  const quiet = bytes === 4 ? 0x7fc00000 : 0x7ff80000
  if (nan === 'arithmetic') return (high & quiet) === quiet
  return (high & 0x7fffffff) === quiet && low === 0
}

function isResult(view: DataView, lanes: readonly Lane[]): boolean {
  let at = 0
  return lanes.every((lane) => {
    at += lane.bytes
    return isLane(view, at - lane.bytes, lane)
  })
}

function runCheck(check: Check, call: () => void, memory: WebAssembly.Memory): string | undefined {
  try {
    call()
  } catch (error) {
    return check.kind === 'trap' && error instanceof WebAssembly.RuntimeError ? undefined : String(error)
  }
  if (check.kind === 'trap') return 'no trap'
  const view = new DataView(memory.buffer)
  if (check.either.some((lanes) => isResult(view, lanes))) return undefined
  return `got ${Array.from(new Uint8Array(memory.buffer, 0, 16), (byte) => (256 + byte).toString(16).slice(1)).join('')}`
}

/** Every assertion of the suite, a module's own after those of invalid ones behind it; memory is filled with ones before each. */
export function runSuite(suite: Suite): Outcome {
  const outcome: Outcome = { passed: 0, failed: 0, failures: [] }
  for (const { file, steps } of suite) {
    const registered: WebAssembly.Imports = {}
    const count = (line: number, failure: string | undefined) => {
      if (failure === undefined) outcome.passed += 1
      else {
        outcome.failed += 1
        outcome.failures.push(`${file}:${line}: ${failure}`)
      }
    }
    for (const step of steps) {
      if (step.kind === 'invalid') {
        count(step.line, WebAssembly.validate(toBytes(step.binary)) ? 'validated, though it is invalid' : undefined)
        continue
      }
      try {
        const { exports } = new WebAssembly.Instance(new WebAssembly.Module(toBytes(step.binary)), registered)
        count(step.line, undefined)
        if (step.register !== undefined) registered[step.register] = exports
        if (step.wrapper === undefined) continue
        const wrapper = new WebAssembly.Instance(new WebAssembly.Module(toBytes(step.wrapper)), importsOf(exports)).exports
        const memory = wrapper.memory as WebAssembly.Memory
        step.checks.forEach((check, i) => {
          new Uint8Array(memory.buffer, 0, 16).fill(0xff)
          count(check.line, runCheck(check, wrapper[String(i)] as () => void, memory))
        })
      } catch (error) {
        for (const { line } of [step, ...step.checks]) count(line, String(error))
      }
    }
  }
  return outcome
}

export function runSuites({ simd, relaxed }: Suites): Outcomes {
  const modules = relaxed.flatMap(({ steps }) => steps.filter(({ kind }) => kind === 'module'))
  const known = modules.some(({ binary }) => WebAssembly.validate(toBytes(binary)))
  return { simd: runSuite(simd), relaxed: known ? runSuite(relaxed) : null }
}
