/** Operators that work element by element, or on rows that they gather. */
import type { Call, Operator, Way } from './operator.ts'
import { floatsOf, integersOf, notRun, numberOf, textOf } from './operator.ts'
import type { Tensor } from './protobuf.ts'
import { axisOf, broadcastShapes, broadcastTo, countOf, permute } from './shape.ts'
import type { Shape } from './shape.ts'
import type { Workspace } from './workspace.ts'

function required({ inputs }: Call): Tensor[] {
  return inputs.map((tensor) => tensor ?? notRun('an input is left out that the kernel needs'))
}

/** Every input, repeated to the shape of all. */
function repeated(call: Call): { floats: Float32Array[]; shape: Shape } {
  const tensors = required(call)
  const all = tensors.map(floatsOf)
  const shape = broadcastShapes(...tensors.map((tensor) => tensor.shape))
  return { floats: tensors.map((tensor, i) => broadcastTo(all[i], tensor.shape, shape)), shape }
}

const addOperator: Operator = (call) => {
  const { workspace } = call, { kernel } = workspace
  const { floats: [x, y] } = repeated(call)
  const n = x.length, out = workspace.take(4 * n)
  kernel.addTo(out, workspace.lay(x), workspace.lay(y), n)
  const ways: Way[] = [{ by: 'addTo', outputs: [workspace.floats(out, n)] }]
  const [, row] = required(call)
  if (row.shape.length === 1 && row.shape[0] > 1) {
    const C = row.shape[0], rows = workspace.take(4 * n)
    kernel.broadcastRow(rows, workspace.lay(floatsOf(row)), n / C, C)
    kernel.add(rows, workspace.lay(x), n)
    ways.push({ by: 'broadcastRow, add', outputs: [workspace.floats(rows, n)] })
  }
  return ways
}

const sumOperator: Operator = (call) => {
  const { workspace } = call, { floats } = repeated(call)
  const n = floats[0].length, out = workspace.take(4 * n)
  workspace.kernel.fill(out, 0, n)
  for (const x of floats) workspace.kernel.add(out, workspace.lay(x), n)
  return [{ by: 'fill, add', outputs: [workspace.floats(out, n)] }]
}

const subOperator: Operator = (call) => {
  const { workspace } = call, { floats: [x, y] } = repeated(call)
  const n = x.length, out = workspace.lay(y)
  workspace.kernel.scale(out, out, -1, n)
  workspace.kernel.addTo(out, workspace.lay(x), out, n)
  return [{ by: 'scale, addTo', outputs: [workspace.floats(out, n)] }]
}

const negOperator: Operator = ({ workspace, inputs: [x] }) => {
  const n = floatsOf(x).length, out = workspace.take(4 * n)
  workspace.kernel.scale(out, workspace.lay(floatsOf(x)), -1, n)
  return [{ by: 'scale', outputs: [workspace.floats(out, n)] }]
}

/** The mean of tensors is FedAvg's, with equal weights. */
const meanOperator: Operator = (call) => {
  const { workspace } = call, { floats } = repeated(call)
  const n = floats[0].length, sum = workspace.take(8 * n), out = workspace.take(4 * n)
  workspace.kernel.fill(sum, 0, 2 * n)
  for (const x of floats) workspace.kernel.averageAdd(sum, workspace.lay(x), 1, n)
  workspace.kernel.averageFinish(out, sum, floats.length, n)
  return [{ by: 'averageAdd, averageFinish', outputs: [workspace.floats(out, n)] }]
}

const mapOperator = (by: string, map: (workspace: Workspace, value: number) => number): Operator => ({ workspace, inputs: [x] }) => (
  [{ by, outputs: [floatsOf(x).map((value) => map(workspace, value))] }])

const tanhOperator: Operator = ({ workspace, inputs: [x] }) => {
  const n = floatsOf(x).length, out = workspace.take(4 * n)
  workspace.kernel.tanh(out, workspace.lay(floatsOf(x)), n)
  return [{ by: 'tanh', outputs: [workspace.floats(out, n)] }]
}

const geluOperator: Operator = (call) => {
  const { workspace, inputs: [x] } = call, { kernel } = workspace
  const approximate = textOf(call, 'approximate', 'none')
  if (approximate !== 'none') notRun(`approximate=${approximate}: the kernel's GELU is the exact one`)
  const n = floatsOf(x).length, out = workspace.take(4 * n)
  kernel.gelu(out, workspace.lay(floatsOf(x)), n, workspace.take(kernel.tableScratchBytes()))
  return [{ by: 'gelu', outputs: [workspace.floats(out, n)] }]
}

const fillOperator: Operator = (call) => {
  const { workspace } = call, [shape] = required(call)
  const value = call.attributes.get('value')
  if (typeof value !== 'object' || !('type' in value)) return notRun('no value')
  const [number] = floatsOf(value)
  const n = countOf(integersOf(shape)), out = workspace.take(4 * n)
  workspace.kernel.fill(out, number, n)
  return [{ by: 'fill', outputs: [workspace.floats(out, n)] }]
}

const gatherOperator: Operator = (call) => {
  const { workspace } = call, { kernel } = workspace
  const [data, indices] = required(call)
  const rank = data.shape.length, axis = axisOf(numberOf(call, 'axis', 0), rank)
  const rows = data.shape[axis], before = data.shape.slice(0, axis), after = data.shape.slice(axis + 1)
  const order = [axis, ...Array.from({ length: rank }, (_, i) => i).filter((i) => i !== axis)]
  const table = permute(floatsOf(data), data.shape, order)
  const index = Int32Array.from(integersOf(indices), (i) => axisOf(i, rows))
  const outside = index.find((i) => i < 0 || i >= rows)
  if (outside !== undefined) notRun(`index ${outside}: the kernel reads rows as the caller says`)
  const C = countOf([...before, ...after]), count = index.length
  const out = workspace.take(4 * count * C), x = workspace.lay(table), at = workspace.lay(index)
  kernel.gatherRows(out, x, at, count, C)
  // [indices, before, after] as gathered, [before, indices, after] as wanted.
  const arrange = () => permute(workspace.floats(out, count * C), [count, countOf(before), countOf(after)], [1, 0, 2])
  const ways: Way[] = [{ by: 'gatherRows', outputs: [arrange()] }]
  if (axis === 0) {
    const zeros = workspace.lay(new Float32Array(count * C))
    kernel.embedding(out, at, 0, workspace.lay(Int32Array.of(0, count)), x, zeros, zeros, 0, 0, 0, 0, 1, C)
    ways.push({ by: 'embedding', outputs: [arrange()] })
  }
  return ways
}

const FLOAT = 1, FLOAT16 = 10

function cast(workspace: Workspace, { type, values }: Tensor, target: string): Way[] {
  const { kernel } = workspace
  if ((type === 'float16' || type === 'bfloat16') && target === 'float') {
    const bits = values as Uint16Array, n = bits.length, out = workspace.take(4 * n), x = workspace.lay(bits)
    const by = type === 'float16' ? 'widenF16' : 'widenBF16'
    kernel[by](out, x, n)
    return [{ by, outputs: [workspace.floats(out, n)] }]
  }
  if (type === 'float' && target === 'float16') {
    const floats = values as Float32Array, n = floats.length, out = workspace.take(2 * n)
    kernel.narrowF16(out, workspace.lay(floats), n)
    return [{ by: 'narrowF16', outputs: [workspace.halves(out, n)] }]
  }
  return notRun(`${type} to ${target}: the kernel converts float16 and bfloat16 to float, and float to float16`)
}

const castOperator: Operator = (call) => {
  const code = numberOf(call, 'to', 0)
  return cast(call.workspace, required(call)[0], code === FLOAT ? 'float' : code === FLOAT16 ? 'float16' : `type ${code}`)
}

const castLikeOperator: Operator = (call) => {
  const [x, like] = required(call)
  return cast(call.workspace, x, like.type)
}

const dequantizeOperator: Operator = (call) => {
  const [x] = required(call)
  return notRun(`${x.type}: the kernel's int8 has a scale for each row and no zero point`)
}

export const ELEMENTWISE: Readonly<Record<string, Operator>> = {
  Add: addOperator,
  Sum: sumOperator,
  Sub: subOperator,
  Neg: negOperator,
  Mean: meanOperator,
  Exp: mapOperator('exp32', ({ kernel }, value) => kernel.exp32(value)),
  Erf: mapOperator('erf32', ({ kernel }, value) => kernel.erf32(value)),
  Log: mapOperator('log64', ({ kernel }, value) => kernel.log64(value)),
  Tanh: tanhOperator,
  Gelu: geluOperator,
  ConstantOfShape: fillOperator,
  Gather: gatherOperator,
  Cast: castOperator,
  CastLike: castLikeOperator,
  DequantizeLinear: dequantizeOperator,
}
