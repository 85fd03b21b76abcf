/**
 * How one dataset is shared among clients: `contiguous` (equal shares in file order),
 * `iid` (equal shares of a shuffle) or `dirichlet:ALPHA` (each label's samples dealt by
 * proportions from a Dirichlet distribution; Hsu et al. 2019, section 3).
 */
import { refuse } from '../error.ts'
import type { KernelExports } from '../kernel/abi.ts'
import type { TokenizedDataset } from './dataset.ts'
import type { Random } from '../random.ts'
import { createRandom, drawNormal, permute } from '../random.ts'

export type Partition = { kind: 'contiguous' } | { kind: 'iid' } | { kind: 'dirichlet'; alpha: number }

export function parsePartition(text: string, field = 'partition'): Partition {
  if (text === 'contiguous' || text === 'iid') return { kind: text }
  const alpha = Number(/^dirichlet:([^:]+)$/.exec(text)?.[1] ?? NaN)
  if (!(alpha > 0) || !Number.isFinite(alpha)) {
    refuse('partition', field, 'contiguous, iid or dirichlet:ALPHA with ALPHA above 0', text)
  }
  return { kind: 'dirichlet', alpha }
}

/**
 * Each client's sample indices, ascending; every sample belongs to one client and every client has one. Refuses more
 * clients than samples.
 */
export function partition(
  labels: Int32Array, labelCount: number, clients: number, how: Partition, seed: number, kernel: KernelExports,
): readonly number[][] {
  const n = labels.length
  if (clients < 1 || clients > n) refuse('partition-clients', 'clients', `1 … ${n}, one sample each`, clients)
  if (how.kind === 'dirichlet') return dealByLabel(labels, labelCount, clients, how.alpha, seed, kernel)
  const order = how.kind === 'iid' ? permute(n, createRandom(seed, 'partition')) : Int32Array.from(labels, (_, index) => index)
  const bound = (client: number) => Math.floor((client * n) / clients)
  return Array.from({ length: clients }, (_, client) => [...order.subarray(bound(client), bound(client + 1))].sort((a, b) => a - b))
}

function dealByLabel(
  labels: Int32Array, labelCount: number, clients: number, alpha: number, seed: number, kernel: KernelExports,
): number[][] {
  const random = createRandom(seed, 'partition')
  const shares: number[][] = Array.from({ length: clients }, () => [])
  for (let label = 0; label < labelCount; label++) {
    const own = [...labels.keys()].filter((index) => labels[index] === label)
    const order = permute(own.length, random)
    const weights = Array.from({ length: clients }, () => drawGamma(alpha, random, kernel))
    // So small an alpha that every weight underflows: in the limit, one client has the whole label.
    if (!weights.some((weight) => weight > 0)) weights[random.below(clients)] = 1
    const total = weights.reduce((sum, weight) => sum + weight, 0)
    let begin = 0, reached = 0
    weights.forEach((weight, client) => {
      reached += weight
      const end = client === clients - 1 ? own.length : Math.round((own.length * reached) / total)
      for (let at = begin; at < end; at++) shares[client].push(own[order[at]])
      begin = Math.max(begin, end)
    })
  }
  for (const share of shares) {
    const largest = shares.reduce((top, other) => (other.length > top.length ? other : top))
    if (share.length === 0) share.push(largest.pop()!)
    share.sort((a, b) => a - b)
  }
  return shares
}

/** Gamma(alpha, 1) by Marsaglia and Tsang (2000); below 1 by the power of a uniform. */
function drawGamma(alpha: number, random: Random, kernel: KernelExports): number {
  if (alpha < 1) {
    const power = kernel.log64(random.uniform()) / alpha
    return power < -700 ? 0 : drawGamma(alpha + 1, random, kernel) * kernel.exp64(power)
  }
  const d = alpha - 1 / 3, c = 1 / Math.sqrt(9 * d)
  for (;;) {
    const x = drawNormal(random, kernel.log64)
    const root = 1 + c * x
    const v = root * root * root
    if (v > 0 && kernel.log64(random.uniform()) < 0.5 * x * x + d - d * v + d * kernel.log64(v)) return d * v
  }
}

/** The part of a dataset with the given indices. */
export function selectSamples(data: TokenizedDataset, indices: readonly number[]): TokenizedDataset {
  return { sequences: indices.map((index) => data.sequences[index]), labels: Int32Array.from(indices, (index) => data.labels[index]) }
}
