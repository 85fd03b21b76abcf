/**
 * wasm2js's text for engines without a compiler and without Math.fround, to which a call costs more than all else in an inner loop:
 * what wasm2js does by calls is done by an element of a typed array. The same values: storing an f32 rounds as Math.fround does, and a
 * constant is rounded here. A product of matrices against one that calls: 2.1× on Duktape, 1.1× on QuickJS, 0.7× on QuickJS-NG and
 * Hermes, which have a fast Math.fround; gelu, which is full of constants, 3.5× on Duktape.
 *
 *   Math_fround(0.1)                      0.10000000149011612
 *   Math_fround(a * b)                    (F32[0] = a * b, F32[0])
 *   wasm2js_scratch_store_i32(2, x)       (i32ScratchView[2] = x)          and so on: words whose bits are read as another type
 */
import { parse } from 'acorn'
import type { AnyNode, CallExpression, Expression } from 'acorn'

/** Declared beside wasm2js's own views. */
const CELL = 'F32'
export const DECLARE_CELL = `var ${CELL} = new Float32Array(1);\n`
/** Names that stand for what was called. */
export const VIEWS = [CELL, 'i32ScratchView', 'f32ScratchView', 'f64ScratchView']

/** Stores end in their value, loads have no argument but an index. */
const SCRATCH: Readonly<Record<string, { view: string; index?: string; store: boolean }>> = {
  wasm2js_scratch_store_i32: { view: 'i32ScratchView', store: true },
  wasm2js_scratch_load_i32: { view: 'i32ScratchView', store: false },
  wasm2js_scratch_store_f32: { view: 'f32ScratchView', index: '2', store: true },
  wasm2js_scratch_load_f32: { view: 'f32ScratchView', index: '2', store: false },
  wasm2js_scratch_store_f64: { view: 'f64ScratchView', index: '0', store: true },
  wasm2js_scratch_load_f64: { view: 'f64ScratchView', index: '0', store: false },
}

type Edit = { begin: number; end: number; text: string }

function isNode(value: unknown): value is AnyNode {
  return typeof value === 'object' && value !== null && typeof (value as { type?: unknown }).type === 'string'
}

function walk(node: AnyNode, visit: (node: AnyNode) => void): void {
  visit(node)
  for (const value of Object.values(node) as unknown[]) {
    if (isNode(value)) walk(value, visit)
    else if (Array.isArray(value)) for (const item of value) if (isNode(item)) walk(item, visit)
  }
}

function constantOf(node: AnyNode): number | null {
  if (node.type === 'Literal' && typeof node.value === 'number') return node.value
  if (node.type !== 'UnaryExpression' || node.operator !== '-') return null
  const value = constantOf(node.argument)
  return value === null ? null : -value
}

/** In parentheses where a sign would run into what stands before; negative zero keeps its own. */
function writeNumber(value: number): string {
  return value < 0 || Object.is(value, -0) ? `(-${String(-value)})` : String(value)
}

function editsOf(call: CallExpression, name: string): Edit[] {
  const { start, end } = call
  const args = call.arguments as Expression[]
  const around = (before: string, value: Expression, after: string): Edit[] => (
    [{ begin: start, end: value.start, text: before }, { begin: value.end, end, text: after }])
  if (name === 'Math_fround') {
    const constant = constantOf(args[0])
    if (constant !== null) return [{ begin: start, end, text: writeNumber(Math.fround(constant)) }]
    return around(`(${CELL}[0] = `, args[0], `, ${CELL}[0])`)
  }
  const scratch = SCRATCH[name]
  if (!scratch) return []
  const { view, store } = scratch
  const index = scratch.index ?? String(constantOf(args[0]))
  return store ? around(`(${view}[${index}] = `, args[args.length - 1], ')') : [{ begin: start, end, text: `${view}[${index}]` }]
}

/** The text with its calls replaced. Its functions of those names stay, unused. */
export function replaceCalls(text: string): string {
  const edits: Edit[] = []
  walk(parse(text, { ecmaVersion: 5, sourceType: 'script' }), (node) => {
    if (node.type === 'CallExpression' && node.callee.type === 'Identifier') edits.push(...editsOf(node, node.callee.name))
  })
  let result = '', at = 0
  for (const { begin, end, text: put } of edits.sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    result += text.slice(at, begin) + put
    at = end
  }
  return result + text.slice(at)
}
