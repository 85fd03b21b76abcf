/** Operators that reduce or normalise rows: the host moves the axes in question last, and back. */
import type { Call, Operator, Way } from './operator.ts'
import { floatsOf, integersOf, notRun, numberOf, textOf } from './operator.ts'
import { axisOf, countOf, movedLast, permute } from './shape.ts'
import type { Shape } from './shape.ts'
import type { Workspace } from './workspace.ts'

/** Before opset 13 softmax took all dimensions from the axis on as one. */
const OPSET_ONE_AXIS = 13

type Rows = { rows: Float32Array; N: number; K: number; restore: (out: Float32Array) => Float32Array }

function rowsAlong(values: Float32Array, shape: Shape, axes: readonly number[]): Rows {
  const { order, back } = movedLast(axes, shape.length)
  const moved = order.map((axis) => shape[axis])
  const K = countOf(axes.map((axis) => shape[axis]))
  return {
    rows: permute(values, shape, order), N: countOf(moved.slice(0, shape.length - axes.length)), K,
    restore: (out) => permute(out, moved, back),
  }
}

function softmaxRows(call: Call): Rows {
  const { inputs: [x], opset } = call
  const floats = floatsOf(x), shape = x!.shape
  if (opset >= OPSET_ONE_AXIS) return rowsAlong(floats, shape, [axisOf(numberOf(call, 'axis', -1), shape.length)])
  const axis = axisOf(numberOf(call, 'axis', 1), shape.length)
  return { rows: floats, N: countOf(shape.slice(0, axis)), K: countOf(shape.slice(axis)), restore: (out) => out }
}

const softmaxOperator: Operator = (call) => {
  const { workspace } = call, { kernel } = workspace
  const { rows, N, K, restore } = softmaxRows(call)
  const out = workspace.take(4 * N * K)
  kernel.softmax(out, workspace.lay(rows), N, K, workspace.take(kernel.tableScratchBytes()))
  return [{ by: 'softmax', outputs: [restore(workspace.floats(out, N * K))] }]
}

/** Each row's loss for each of its K labels is −log softmax. */
function logSoftmax({ kernel, lay, take, floats }: Workspace, rows: Float32Array, N: number, K: number): Float32Array {
  const repeated = Float32Array.from({ length: N * K * K }, (_, i) => rows[Math.floor(i / (K * K)) * K + i % K])
  const labels = Int32Array.from({ length: N * K }, (_, i) => i % K)
  const losses = take(4 * N * K)
  kernel.crossEntropy(losses, 0, lay(repeated), lay(labels), N * K, K)
  kernel.scale(losses, losses, -1, N * K)
  return floats(losses, N * K)
}

const logSoftmaxOperator: Operator = (call) => {
  const { rows, N, K, restore } = softmaxRows(call)
  return [{ by: 'crossEntropy, scale', outputs: [restore(logSoftmax(call.workspace, rows, N, K))] }]
}

const layerNormOperator: Operator = (call) => {
  const { workspace, inputs: [x, scale, bias], outputs } = call, { kernel } = workspace
  if (numberOf(call, 'stash_type', 1) !== 1) notRun('stash_type is not float')
  const floats = floatsOf(x), shape = x!.shape
  const axis = axisOf(numberOf(call, 'axis', -1), shape.length)
  const N = countOf(shape.slice(0, axis)), C = countOf(shape.slice(axis))
  const out = workspace.take(4 * N * C), stats = workspace.take(8 * N)
  const beta = bias === undefined ? new Float32Array(C) : floatsOf(bias)
  const eps = numberOf(call, 'epsilon', 1e-5)
  kernel.layerNorm(out, stats, workspace.lay(floats), workspace.lay(floatsOf(scale)), workspace.lay(beta), N, C, eps)
  const told = workspace.floats(stats, 2 * N)
  const all = [workspace.floats(out, N * C), told.filter((_, i) => i % 2 === 0), told.filter((_, i) => i % 2 === 1)]
  return [{ by: 'layerNorm', outputs: all.slice(0, outputs) }]
}

function reducedRows(call: Call): Rows {
  const { inputs: [x, wanted], attributes } = call
  const floats = floatsOf(x), rank = x!.shape.length
  const given = wanted === undefined ? (attributes.get('axes') ?? []) : integersOf(wanted)
  if (!Array.isArray(given)) return notRun('axes is no list')
  const all = Array.from({ length: rank }, (_, i) => i)
  const none = given.length === 0 && numberOf(call, 'noop_with_empty_axes', 0) === 0
  const axes = none ? all : (given as number[]).map((axis) => axisOf(axis, rank)).sort((a, b) => a - b)
  return rowsAlong(floats, x!.shape, axes)
}

type Reduce = (workspace: Workspace, x: number, N: number, K: number) => Float32Array
const reduceOperator = (by: string, reduce: Reduce): Operator => (call) => {
  const { rows, N, K } = reducedRows(call)
  return [{ by, outputs: [reduce(call.workspace, call.workspace.lay(rows), N, K)] }]
}

const eachRow = (N: number, reduce: (row: number) => number) => Float32Array.from({ length: N }, (_, row) => reduce(row))

function meanRows({ kernel, lay, take, floats }: Workspace, x: number, N: number, K: number): Float32Array {
  const stats = take(8 * N)
  kernel.layerNorm(take(4 * N * K), stats, x, lay(new Float32Array(K).fill(1)), lay(new Float32Array(K)), N, K, 1)
  return floats(stats, 2 * N).filter((_, i) => i % 2 === 0)
}

type Reduced = { by: string; values: Float32Array }
type Reduction = (workspace: Workspace, losses: number, weights: Float32Array | undefined, N: number) => Reduced

/** Weighted losses and their means are averages as FedAvg takes them: Σ weight·loss in f64, over the sum of the weights. */
function average({ kernel, take, floats }: Workspace, losses: number, weights: Float32Array, each: boolean): Float32Array {
  const n = each ? weights.length : 1, sums = take(8 * n), out = take(4 * n)
  kernel.fill(sums, 0, 2 * n)
  weights.forEach((weight, i) => kernel.averageAdd(sums + (each ? 8 * i : 0), losses + 4 * i, weight, 1))
  kernel.averageFinish(out, sums, each ? 1 : weights.reduce((sum, weight) => sum + weight, 0), n)
  return floats(out, n)
}

const REDUCTIONS: Readonly<Record<string, Reduction>> = {
  none: (workspace, losses, weights, N) => (weights === undefined
    ? { by: 'crossEntropy', values: workspace.floats(losses, N) }
    : { by: 'crossEntropy, averageAdd, averageFinish', values: average(workspace, losses, weights, true) }),
  sum: ({ kernel, lay }, losses, weights, N) => (weights === undefined
    ? { by: 'crossEntropy, sumRow', values: Float32Array.of(kernel.sumRow(losses, N)) }
    : { by: 'crossEntropy, dotRow', values: Float32Array.of(kernel.dotRow(losses, lay(weights), N)) }),
  mean: (workspace, losses, weights, N) => ({
    by: 'crossEntropy, averageAdd, averageFinish', values: average(workspace, losses, weights ?? new Float32Array(N).fill(1), false),
  }),
}

/** Scores [batch, K, …], labels [batch, …]; rows with the label that is ignored are left out, and stand as 0 in the result. */
const lossOperator: Operator = (call) => {
  const { workspace, inputs: [scores, labels, classWeights], outputs, attributes } = call, { kernel } = workspace
  const { rows, N, K, restore } = rowsAlong(floatsOf(scores), scores!.shape, [1])
  const all = integersOf(labels!), ignored = attributes.has('ignore_index') ? numberOf(call, 'ignore_index', 0) : undefined
  const kept = all.flatMap((label, row) => (label === ignored ? [] : [row]))
  if (kept.length === 0) notRun('every row is ignored')
  const own = Float32Array.from({ length: kept.length * K }, (_, i) => rows[kept[Math.floor(i / K)] * K + i % K])
  const ownLabels = Int32Array.from(kept, (row) => all[row])
  const outside = ownLabels.find((label) => label < 0 || label >= K)
  if (outside !== undefined) notRun(`label ${outside} of ${K}`)
  const losses = workspace.take(4 * kept.length)
  const mean = kernel.crossEntropy(losses, 0, workspace.lay(own), workspace.lay(ownLabels), kept.length, K)
  const weights = classWeights && Float32Array.from(ownLabels, (label) => floatsOf(classWeights)[label])
  const reduction = textOf(call, 'reduction', 'mean')
  const { by, values } = (REDUCTIONS[reduction] ?? notRun(`reduction=${reduction}`))(workspace, losses, weights, kept.length)
  const spread = () => {
    const whole = new Float32Array(N)
    kept.forEach((row, i) => { whole[row] = values[i] })
    return whole
  }
  const first = reduction === 'none' ? spread() : values
  const rest = outputs > 1 ? [restore(logSoftmax(workspace, rows, N, K))] : []
  const ways: Way[] = [{ by: outputs > 1 ? `${by}, scale` : by, outputs: [first, ...rest] }]
  if (reduction === 'mean' && weights === undefined) {
    ways.push({ by: `crossEntropy (its own mean)${outputs > 1 ? ', scale' : ''}`, outputs: [Float32Array.of(mean), ...rest] })
  }
  return ways
}

export const ROWS: Readonly<Record<string, Operator>> = {
  Softmax: softmaxOperator,
  LogSoftmax: logSoftmaxOperator,
  LayerNormalization: layerNormOperator,
  ReduceSum: reduceOperator('sumRow', ({ kernel }, x, N, K) => eachRow(N, (row) => kernel.sumRow(x + 4 * row * K, K))),
  ReduceSumSquare: reduceOperator('dotRow', ({ kernel }, x, N, K) => eachRow(N, (row) => {
    const at = x + 4 * row * K
    return kernel.dotRow(at, at, K)
  })),
  ReduceMean: reduceOperator('layerNorm (its mean)', meanRows),
  SoftmaxCrossEntropyLoss: lossOperator,
}
