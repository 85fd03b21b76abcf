/** Operators of matrix products, each by every form of product that training needs; attention; Adam. */
import { LINEAR } from '../../runtime/kernel/abi.ts'
import { writeLinear } from '../../runtime/kernel/records.ts'
import type { Operator, Way } from './operator.ts'
import { floatsOf, notRun, numberOf } from './operator.ts'
import type { Tensor } from './protobuf.ts'
import { broadcastShapes, broadcastTo, countOf, permute, transpose } from './shape.ts'
import type { Workspace } from './workspace.ts'

/** a [M, K] · b [K, N] in row-major order gives [M, N] at an address. */
type Product = (workspace: Workspace, a: Float32Array, b: Float32Array, M: number, N: number, K: number) => number

const PRODUCTS: Readonly<Record<string, Product>> = {
  matmul({ kernel, lay, take }, a, b, M, N, K) {
    const out = take(4 * M * N)
    kernel.matmul(out, lay(a), lay(transpose(b, K, N)), M, N, K, 0, take(kernel.productScratchBytes(N)))
    return out
  },
  matmulBackwardInput({ kernel, lay, take }, a, b, M, N, K) {
    const out = take(4 * M * N)
    kernel.matmulBackwardInput(out, lay(a), lay(b), M, K, N, 0, take(kernel.productScratchBytes(N)))
    return out
  },
  matmulBackwardWeight({ kernel, lay, take }, a, b, M, N, K) {
    const out = take(4 * M * N)
    kernel.matmulBackwardWeight(out, lay(transpose(a, M, K)), lay(b), K, M, N, 0, take(kernel.productScratchBytes(N)))
    return out
  },
}

/** A product over the last two dimensions, the others repeated to each other's. */
function multiplyBatches(workspace: Workspace, product: Product, a: Tensor, b: Tensor): Float32Array {
  const left = a.shape.length === 1 ? [1, ...a.shape] : a.shape, right = b.shape.length === 1 ? [...b.shape, 1] : b.shape
  const M = left.at(-2)!, K = left.at(-1)!, N = right.at(-1)!
  const batch = broadcastShapes(left.slice(0, -2), right.slice(0, -2))
  const xs = broadcastTo(floatsOf(a), left, [...batch, M, K]), ws = broadcastTo(floatsOf(b), right, [...batch, K, N])
  const out = new Float32Array(countOf(batch) * M * N)
  for (let i = 0; i < countOf(batch); i++) {
    const at = product(workspace, xs.subarray(i * M * K, (i + 1) * M * K), ws.subarray(i * K * N, (i + 1) * K * N), M, N, K)
    out.set(workspace.floats(at, M * N), i * M * N)
  }
  return out
}

const matmulOperator: Operator = ({ workspace, inputs: [a, b] }) => {
  for (const tensor of [a, b]) floatsOf(tensor)
  return Object.entries(PRODUCTS).map(([by, product]) => ({ by, outputs: [multiplyBatches(workspace, product, a!, b!)] }))
}

function linearWay(workspace: Workspace, a: Float32Array, b: Float32Array, bias: Float32Array, M: number, N: number, K: number): Way {
  const { kernel, lay, take, floats, buffer } = workspace
  const layer = take(LINEAR.bytes), y = take(4 * M * N)
  writeLinear(buffer, layer, {
    weight: lay(transpose(b, K, N)), bias: lay(bias), loraA: 0, loraB: 0, dWeight: 0, dBias: 0, dLoraA: 0, dLoraB: 0,
    inputs: K, outputs: N, rank: 0, scale: 0, format: 0, scales: 0,
  })
  kernel.linear(y, 0, lay(a), layer, M, take(kernel.productScratchBytes(N)))
  return { by: 'linear', outputs: [floats(y, M * N)] }
}

/** alpha·A·B + beta·C. */
const gemmOperator: Operator = (call) => {
  const { workspace, inputs: [a, b, c] } = call, { kernel } = workspace
  const alpha = numberOf(call, 'alpha', 1), beta = numberOf(call, 'beta', 1)
  const [x, w] = ([['transA', a], ['transB', b]] as const).map(([name, tensor]) => {
    const floats = floatsOf(tensor), [rows, columns] = tensor!.shape
    return numberOf(call, name, 0) ? { floats: transpose(floats, rows, columns), rows: columns, columns: rows } : { floats, rows, columns }
  })
  const M = x.rows, K = x.columns, N = w.columns
  const start = c && broadcastTo(floatsOf(c), c.shape, [M, N])
  const ways: Way[] = Object.entries(PRODUCTS).map(([by, product]) => {
    const out = product(workspace, x.floats, w.floats, M, N, K)
    if (alpha !== 1) kernel.scale(out, out, alpha, M * N)
    if (start) {
      const at = workspace.lay(start)
      if (beta !== 1) kernel.scale(at, at, beta, M * N)
      kernel.add(out, at, M * N)
    }
    const scaled = alpha !== 1 || (start && beta !== 1)
    return { by: [by, ...(scaled ? ['scale'] : []), ...(start ? ['add'] : [])].join(', '), outputs: [workspace.floats(out, M * N)] }
  })
  const isRow = c === undefined || c.shape.length < 2 || c.shape[0] === 1
  if (alpha !== 1 || beta !== 1 || !isRow) return ways
  return [...ways, linearWay(workspace, x.floats, w.floats, start?.subarray(0, N) ?? new Float32Array(N), M, N, K)]
}

type Heads = { floats: Float32Array; batch: number; heads: number; rows: number; width: number }

/** [batch, heads, rows, width], from that or from [batch, rows, heads·width]. */
function headsOf(tensor: Tensor, heads: number): Heads {
  const floats = floatsOf(tensor), { shape } = tensor
  if (shape.length === 4) return { floats, batch: shape[0], heads: shape[1], rows: shape[2], width: shape[3] }
  const [batch, rows, C] = shape, width = C / heads
  return { floats: permute(floats, [batch, rows, heads, width], [0, 2, 1, 3]), batch, heads, rows, width }
}

/** The kernel's rows [batch·T, H·D]: heads repeated in groups, missing rows and columns zero. */
function toRows({ floats, batch, heads, rows, width }: Heads, T: number, H: number, D: number): Float32Array {
  const out = new Float32Array(batch * T * H * D)
  for (let i = 0; i < batch * T * H * D; i++) {
    const d = i % D, h = Math.floor(i / D) % H, t = Math.floor(i / (D * H)) % T, s = Math.floor(i / (D * H * T))
    if (d < width && t < rows) out[i] = floats[((s * heads + Math.floor(h / (H / heads))) * rows + t) * width + d]
  }
  return out
}

/**
 * Every row of the kernel's attention is a query and a key. Where there are fewer queries, rows of zeros are added, whose
 * results nobody reads; where values are wider than keys, columns of zeros, and q is scaled for the factor 1/√D.
 */
const attentionOperator: Operator = (call) => {
  const { workspace, inputs: [q, k, v, ...others], outputs } = call, { kernel } = workspace
  if (others.some((tensor) => tensor !== undefined)) notRun('a mask, a past or padding: the kernel\'s attention has none')
  if (numberOf(call, 'is_causal', 0)) notRun('causal: the kernel\'s attention sees every row of its sequence')
  if (numberOf(call, 'softcap', 0)) notRun('softcap: the kernel\'s attention has none')
  if (outputs > 1) notRun('scores or presents asked for: the kernel keeps no scores')
  floatsOf(q)
  const query = headsOf(q!, numberOf(call, 'q_num_heads', 0)), pairs = numberOf(call, 'kv_num_heads', 0)
  const key = headsOf(k!, pairs), value = headsOf(v!, pairs)
  const T = key.rows, H = query.heads, D = Math.max(key.width, value.width), S = query.batch, C = H * D
  if (query.rows > T) notRun('more queries than keys')
  const lay = (heads: Heads) => workspace.lay(toRows(heads, T, H, D))
  const at = lay(query), wanted = numberOf(call, 'scale', 1 / Math.sqrt(query.width))
  const scaled = D !== query.width || call.attributes.has('scale')
  if (scaled) kernel.scale(at, at, wanted * Math.sqrt(D), S * T * C)
  const offsets = workspace.lay(Int32Array.from({ length: S + 1 }, (_, s) => s * T)), out = workspace.take(4 * S * T * C)
  kernel.attention(out, at, lay(key), lay(value), offsets, S, H, D, T, workspace.take(kernel.attentionScratchBytes(T, D)))
  const all = workspace.floats(out, S * T * C), W = value.width, R = query.rows
  // [S, T, H, D] → [S, H, R, W] for four dimensions, [S, R, H, W] for three.
  const four = q!.shape.length === 4
  const result = Float32Array.from({ length: S * R * H * W }, (_, i) => {
    const d = i % W, outer = Math.floor(i / W)
    const [h, t] = four ? [Math.floor(outer / R) % H, outer % R] : [outer % H, Math.floor(outer / H) % R]
    return all[((Math.floor(outer / (H * R)) * T + t) * H + h) * D + d]
  })
  return [{ by: scaled ? 'scale, attention' : 'attention', outputs: [result] }]
}

/** ONNX adds eps to √v itself and has the correction in the step; norm_coefficient is added to the gradient, not to the step. */
const adamOperator: Operator = (call) => {
  const { workspace, inputs: [rate, count, ...rest] } = call, { kernel, lay, floats } = workspace
  const [alpha, beta] = [numberOf(call, 'alpha', 0.9), numberOf(call, 'beta', 0.999)]
  const T = Number(count!.values?.[0]), groups = rest.length / 4
  const step = floatsOf(rate)[0] * (T > 0 ? Math.sqrt(1 - beta ** T) / (1 - alpha ** T) : 1)
  const decay = numberOf(call, 'norm_coefficient', 0), decayPost = numberOf(call, 'norm_coefficient_post', 0)
  const updated = Array.from({ length: groups }, (_, i) => {
    const [x, g, m, v] = [0, 1, 2, 3].map((part) => floatsOf(rest[part * groups + i]))
    const n = x.length, [p, gradient, mean, square, pull] = [x, g, m, v, x].map(lay)
    kernel.scale(pull, pull, decay, n)
    kernel.add(gradient, pull, n)
    kernel.adamw(p, mean, square, gradient, n, 1, alpha, 1 - alpha, beta, 1 - beta, step, 1, numberOf(call, 'epsilon', 1e-6))
    if (decayPost) kernel.scale(p, p, 1 - decayPost, n)
    return [p, mean, square].map((at) => floats(at, n))
  })
  return [{ by: 'scale, add, adamw', outputs: [0, 1, 2].flatMap((part) => updated.map((tensors) => tensors[part])) }]
}

export const PRODUCT: Readonly<Record<string, Operator>> = {
  MatMul: matmulOperator,
  Gemm: gemmOperator,
  Attention: attentionOperator,
  Adam: adamOperator,
}

