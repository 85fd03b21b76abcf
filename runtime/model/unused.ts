/** What a weight file brings and nothing reads: said, since a run of fewer blocks than were trained is another model. */
import type { ModelConfig } from './config.ts'
import { blockTensors, classifierTensors, embeddingTensors, poolerTensors } from './names.ts'

/** Buffers that older transformers saved beside the weights: numbers from 0 on, and zeros. */
const BUFFERS = ['embeddings.position_ids', 'embeddings.token_type_ids']
const BLOCK = /^encoder\.layer\.(\d+)\./
/** Names in one line. */
const SHOWN_MAX = 3

function rangeOf(blocks: readonly number[]): string {
  const [first, last] = [Math.min(...blocks), Math.max(...blocks)]
  return first === last ? `layer ${first}` : `layers ${first} to ${last}`
}

/** A line for the blocks above those that the configuration counts, and one for all else. */
export function describeUnused(names: readonly string[], config: ModelConfig, file: string): string[] {
  const blocks = Array.from({ length: config.layers }, (_, block) => blockTensors(config, block)).flat()
  const read = [...embeddingTensors(config), ...blocks, ...poolerTensors(config), ...classifierTensors(config, 1)]
  const used = new Set([...BUFFERS, ...read.map(({ name }) => name)])
  const unused = names.filter((name) => !used.has(name))
  const above = unused.flatMap((name) => Number(BLOCK.exec(name)?.[1] ?? -1)).filter((block) => block >= config.layers)
  const others = unused.filter((name) => Number(BLOCK.exec(name)?.[1] ?? -1) < config.layers)
  const shown = others.slice(0, SHOWN_MAX).join(', ') + (others.length > SHOWN_MAX ? ', …' : '')
  return [
    ...(above.length > 0 ? [`${file}: ${rangeOf(above)} left out: config.json counts ${config.layers} (num_hidden_layers)`] : []),
    ...(others.length > 0 ? [`${file}: ${others.length === 1 ? '1 tensor' : `${others.length} tensors`} not used: ${shown}`] : []),
  ]
}
