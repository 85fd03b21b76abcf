/** ONNX's backend tests in a folder: what each case asks for, and what the builds of the kernel answer. */
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { KerfError, refuse } from '../../runtime/error.ts'
import type { KernelBuild } from '../../runtime/kernel/load.ts'
import { NO_GAP, measureGap, passes, worseOf } from './compare.ts'
import type { Gap } from './compare.ts'
import { NotRun } from './operator.ts'
import type { Operator, Way } from './operator.ts'
import { ELEMENTWISE } from './operators.elementwise.ts'
import { PRODUCT } from './operators.product.ts'
import { ROWS } from './operators.rows.ts'
import type { Model, Tensor } from './protobuf.ts'
import { readModel, readTensor } from './protobuf.ts'
import type { Workspace } from './workspace.ts'

/** Folders of the suite with a model in each of theirs; `light` and `real` are whole networks for pictures. */
export const PARTS = ['node', 'simple', 'pytorch-converted', 'pytorch-operator'] as const
const FILE_BYTES_MAX = 64 * 1024 ** 2

const OPERATORS: Readonly<Record<string, Operator>> = { ...ELEMENTWISE, ...ROWS, ...PRODUCT }
/** Near to what the kernel has, and yet nothing that it exports computes them. */
const WITHOUT: Readonly<Record<string, string>> = {
  Mul: 'the kernel multiplies element by element only inside other operations',
  Div: 'the kernel divides only inside other operations',
  Sqrt: 'the kernel takes roots only inside layerNorm and adamw',
  NegativeLogLikelihoodLoss: 'the kernel\'s loss begins at scores, not at logarithms of probabilities',
  RMSNormalization: 'the kernel normalises as LayerNorm does',
  QuantizeLinear: 'the kernel chooses the scale of each row itself',
  DynamicQuantizeLinear: 'uint8 with a zero point; the kernel has int8 without',
  Adagrad: 'the kernel\'s optimiser is AdamW',
  Momentum: 'the kernel\'s optimiser is AdamW',
}

export type WayVerdict = {
  by: string
  /** Of the first build asked for, and of the fast profile's where it ran. */
  strict: Gap
  relaxed: Gap | undefined
  sameBits: boolean
}
export type Verdict = { name: string; operator: string } & (
  | { kind: 'passed' | 'failed'; ways: readonly WayVerdict[]; reason?: string }
  | { kind: 'not run'; reason: string })

export type Survey = {
  verdicts: readonly Verdict[]
  /** Cases of each operator that the kernel has nothing for. */
  elsewhere: ReadonlyMap<string, number>
  /** Models of several nodes. */
  graphs: readonly string[]
}

function readFile(path: string): Uint8Array {
  const { size } = statSync(path)
  return size <= FILE_BYTES_MAX ? readFileSync(path) : refuse('outside.file', path, `at most ${FILE_BYTES_MAX} bytes`, size)
}

/** Tensors of one set in the order of their numbers. */
function readTensors(folder: string, kind: 'input' | 'output'): Tensor[] {
  const count = readdirSync(folder).filter((file) => file.startsWith(`${kind}_`) && file.endsWith('.pb')).length
  return Array.from({ length: count }, (_, i) => readTensor(readFile(join(folder, `${kind}_${i}.pb`)), `${kind}_${i}`))
}

/** The node's inputs by name: the graph's own values, then the set's in the order of the graph's inputs. */
function bindInputs({ nodes: [node], initializers, inputs }: Model, tensors: readonly Tensor[]): (Tensor | undefined)[] {
  const values = new Map(initializers.map((tensor) => [tensor.name, tensor]))
  const open = inputs.filter((name) => !values.has(name))
  if (open.length !== tensors.length) refuse('outside.case', 'inputs', String(open.length), tensors.length)
  open.forEach((name, i) => values.set(name, tensors[i]))
  return node.inputs.map((name) => (name === '' ? undefined : values.get(name) ?? refuse('outside.case', name, 'a tensor', 'none')))
}

const sameBytes = (a: Way, b: Way) => a.outputs.every((output, i) => (
  Buffer.compare(Buffer.from(output.buffer, output.byteOffset, output.byteLength),
    Buffer.from(b.outputs[i].buffer, b.outputs[i].byteOffset, b.outputs[i].byteLength)) === 0))

/** Bits of halves as the numbers that they mean, so that tolerances apply. */
function halvesOf(bits: Uint16Array): Float64Array {
  return Float64Array.from(bits, (half) => {
    const exponent = (half >> 10) & 31, fraction = half & 1023, sign = half >> 15 ? -1 : 1
    if (exponent === 31) return fraction ? NaN : sign * Infinity
    return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15))
  })
}

function gapOf({ outputs }: Way, expected: readonly Tensor[]): Gap {
  if (outputs.length !== expected.length) refuse('outside.case', 'outputs', String(expected.length), outputs.length)
  return outputs.map((output, i) => {
    const { type, values } = expected[i]
    const half = output instanceof Uint16Array
    if (values === undefined || (type === 'float16') !== half) return refuse('outside.case', 'output', 'float or float16', type)
    return half ? measureGap(halvesOf(output), halvesOf(values as Uint16Array)) : measureGap(output, values)
  }).reduce(worseOf, NO_GAP)
}

/** @param workspaces scalar, simd and, where the host has it, relaxed */
export function runCase(
  model: Model, tensors: readonly Tensor[], expected: readonly Tensor[], workspaces: readonly Workspace[],
): WayVerdict[] {
  const [node] = model.nodes, { attributes } = node, operator = OPERATORS[node.op]
  const inputs = bindInputs(model, tensors)
  const answers = new Map<KernelBuild, readonly Way[]>()
  for (const workspace of workspaces) {
    workspace.clear()
    answers.set(workspace.build, operator({ workspace, inputs, outputs: node.outputs.length, attributes, opset: model.opset }))
  }
  const [scalar, simd, relaxed] = (['scalar', 'simd', 'relaxed'] as const).map((build) => answers.get(build))
  return scalar!.map((way, i) => ({
    by: way.by, strict: gapOf(way, expected), relaxed: relaxed && gapOf(relaxed[i], expected),
    sameBits: sameBytes(way, simd![i]),
  }))
}

function judge(name: string, operator: string, run: () => WayVerdict[]): Verdict {
  try {
    const ways = run()
    const wrong = ways.find(({ strict, relaxed, sameBits }) => !(sameBits && passes(strict) && (relaxed === undefined || passes(relaxed))))
    if (wrong === undefined) return { name, operator, kind: 'passed', ways }
    return { name, operator, kind: 'failed', ways, reason: wrong.sameBits ? `by ${wrong.by}` : `scalar and SIMD differ by ${wrong.by}` }
  } catch (error) {
    if (error instanceof NotRun) return { name, operator, kind: 'not run', reason: error.message }
    if (error instanceof KerfError) return { name, operator, kind: 'failed', ways: [], reason: error.message }
    throw error
  }
}

/** Every case under `data`, by folder and name. */
export function surveySuite(data: string, workspaces: readonly Workspace[]): Survey {
  const verdicts: Verdict[] = [], elsewhere = new Map<string, number>(), graphs: string[] = []
  for (const part of PARTS) {
    if (!existsSync(join(data, part))) refuse('outside.data', join(data, part), 'a folder of the suite', 'none')
    for (const folder of readdirSync(join(data, part)).sort()) {
      const name = `${part}/${folder}`, at = join(data, name)
      if (!existsSync(join(at, 'model.onnx'))) continue
      const model = readModel(readFile(join(at, 'model.onnx')), name)
      const { op } = model.nodes[0]
      if (model.nodes.length > 1) graphs.push(name)
      else if (op in WITHOUT) verdicts.push({ name, operator: op, kind: 'not run', reason: WITHOUT[op] })
      else if (!(op in OPERATORS)) elsewhere.set(op, (elsewhere.get(op) ?? 0) + 1)
      else {
        const sets = readdirSync(at).filter((set) => set.startsWith('test_data_set_')).sort()
        if (sets.length === 0) refuse('outside.data', at, 'a set of test data', 'none')
        for (const set of sets) {
          verdicts.push(judge(sets.length > 1 ? `${name}/${set}` : name, op, () => (
            runCase(model, readTensors(join(at, set), 'input'), readTensors(join(at, set), 'output'), workspaces))))
        }
      }
    }
  }
  return { verdicts, elsewhere, graphs }
}
