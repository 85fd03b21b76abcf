/**
 * Multiply-adds of one step of a stage: its matrix products, as the kernel runs them.
 * Norms, GELU, softmax and the optimiser are left out: they are a few operations for
 * each value where products take hundreds.
 * N rows of S sequences, T rows of one sequence, C width, F hidden, R rank, K labels.
 */
import { LINEARS, widthOf } from './names.ts'
import type { StageSpec } from './plan.ts'
import { hasHead } from './plan.ts'

export type Work = { forward: number; backward: number }

type Shape = Pick<StageSpec, 'config' | 'from' | 'to' | 'labels' | 'adapter' | 'training' | 'head' | 'recompute'>

/** `tokens` counts each sequence's rows. Attention's backward computes its probabilities again. */
export function countWork(spec: Shape, tokens: readonly number[]): Work {
  const { from, to } = spec
  const work: Work = { forward: 0, backward: 0 }
  const add = (part: Work) => {
    work.forward += part.forward
    work.backward += part.backward
  }
  for (let block = from; block < to; block++) add(countBlock(spec, block, tokens))
  if (spec.recompute) for (let block = from; block < to - 1; block++) add({ forward: 0, backward: countBlock(spec, block, tokens).forward })
  if (hasHead(spec)) add(countHead(spec, tokens.length))
  return spec.training === 'none' ? { ...work, backward: 0 } : work
}

function countBlock({ config, adapter, training }: Shape, block: number, tokens: readonly number[]): Work {
  const N = tokens.reduce((sum, T) => sum + T, 0)
  const scores = config.hiddenSize * tokens.reduce((sum, T) => sum + T * T, 0)
  // q·kᵀ and P·v; then P again, dP, dq, dk and dv.
  const work: Work = { forward: 2 * scores, backward: 5 * scores }
  for (const { key, input, output } of LINEARS) {
    const I = widthOf(config, input), O = widthOf(config, output)
    const R = adapter?.targets.includes(key) ? adapter.rank : 0
    // Below the first block nothing is trained unless all is, so its three inputs need no gradient.
    const wanted = block > 0 || training === 'all' || !(key === 'query' || key === 'key' || key === 'value')
    work.forward += N * (I * O + R * (I + O))
    work.backward += N * (2 * R * O + R * I) + (wanted ? N * (I * O + R * I) : 0) + (training === 'all' ? N * I * O : 0)
  }
  return work
}

/** Pooler and classifier see the first row of each sequence. */
function countHead({ config, labels, training }: Shape, S: number): Work {
  const pooler = S * config.hiddenSize * config.hiddenSize, classifier = S * config.hiddenSize * labels
  return { forward: pooler + classifier, backward: pooler + 2 * classifier + (training === 'all' ? pooler : 0) }
}
