/** WebAssembly's SIMD tests as wabt's wast2json writes them, made into steps that any JavaScript host can run. */
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { refuse } from '../../runtime/error.ts'
import type { Check, Lane, Step } from './simd.runner.ts'
import { VALUE_BYTES, encodeWrapper } from './simd.wrapper.ts'
import type { Constant, Invocation, ValueType } from './simd.wrapper.ts'

type Value = { type: ValueType; lane_type?: string; value?: string | string[] }
type Action = { type: string; field: string; module?: string; args: Value[] }
type Command = {
  type: string; line: number; filename?: string; module_type?: string; as?: string; action?: Action; expected?: Value[]; either?: Value[]
}

/** What no JavaScript host can be asked, by reason. */
export type Left = Map<string, number>

const LANE_BYTES: Readonly<Record<string, number>> = { i8: 1, i16: 2, i32: 4, i64: 8, f32: 4, f64: 8 }

const toHex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

function toBits(value: string, bytes: number, what: string): Uint8Array {
  if (!/^-?\d+$/.test(value)) refuse('outside.value', what, 'an integer', value)
  const view = new DataView(new ArrayBuffer(8))
  view.setBigUint64(0, BigInt.asUintN(8 * bytes, BigInt(value)), true)
  return new Uint8Array(view.buffer, 0, bytes)
}

function lanesOf({ type, lane_type: lane, value }: Value, what: string): Lane[] {
  const bytes = lane === undefined ? VALUE_BYTES[type] : LANE_BYTES[lane]
  const values = Array.isArray(value) ? value : [value ?? refuse('outside.value', what, 'a value', 'none')]
  if (values.length * bytes !== VALUE_BYTES[type]) refuse('outside.value', what, `${VALUE_BYTES[type]} bytes`, values.length * bytes)
  return values.map((one): Lane => {
    const nan = one === 'nan:canonical' ? 'canonical' : one === 'nan:arithmetic' ? 'arithmetic' : undefined
    return nan === undefined ? { bytes, bits: toHex(toBits(one, bytes, what)) } : { bytes, bits: '', nan }
  })
}

function toConstant(value: Value, what: string): Constant {
  const bits = Buffer.from(lanesOf(value, what).map((lane) => lane.bits).join(''), 'hex')
  return { type: value.type, bits: new Uint8Array(bits) }
}

/** The steps of one JSON file of wast2json's, whose modules lie beside it. */
export function readSteps(path: string, left: Left): Step[] {
  const { commands } = JSON.parse(readFileSync(path, 'utf8')) as { commands: Command[] }
  const steps: Step[] = []
  let open: { step: Extract<Step, { kind: 'module' }>; invocations: Invocation[]; checks: Check[] } | undefined
  const leave = (reason: string) => void left.set(reason, (left.get(reason) ?? 0) + 1)
  const close = () => {
    if (open === undefined) return
    const { step, invocations, checks } = open
    steps.push(checks.length === 0 ? step : { ...step, checks, wrapper: toHex(encodeWrapper(invocations)) })
    open = undefined
  }
  const binaryOf = ({ filename }: Command) => toHex(readFileSync(join(dirname(path), filename ?? '')))
  for (const command of commands) {
    const { type, line, action, expected = [], either = expected } = command, what = `${path}:${line}`
    if (type === 'module') {
      close()
      open = { step: { kind: 'module', line, binary: binaryOf(command), checks: [] }, invocations: [], checks: [] }
    } else if (type === 'register') {
      if (open === undefined) refuse('outside.register', what, 'a module before it', 'none')
      open.step = { ...open.step, register: command.as }
    } else if (type === 'assert_invalid' || type === 'assert_malformed') {
      if (command.module_type === 'text') leave('in the text format, which only its reader sees')
      else steps.push({ kind: 'invalid', line, binary: binaryOf(command) })
    } else if (type === 'assert_return' || type === 'assert_trap') {
      if (open === undefined || action?.type !== 'invoke' || action.module !== undefined || expected.length > 1) {
        refuse('outside.action', what, 'a call of the last module with at most one result', action?.type)
      }
      const [result] = either
      open.invocations.push({ field: action.field, args: action.args.map((arg) => toConstant(arg, what)), result: result?.type })
      if (type === 'assert_trap') open.checks.push({ line, kind: 'trap' })
      else open.checks.push({ line, kind: 'return', either: result === undefined ? [[]] : either.map((value) => lanesOf(value, what)) })
    } else leave(`${type}, which is not read here`)
  }
  close()
  return steps
}
