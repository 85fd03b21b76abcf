/**
 * The adapter set that a run starts from: LoRA's A uniform in ±1/√inputs, B zero, so
 * that the first forward pass is the base model's (Hu et al. 2021, section 4.1); the
 * classifier normal with deviation 0.02 as in BERT, its bias zero.
 */
import type { KernelExports } from '../kernel/abi.ts'
import type { Layout } from './layout.ts'
import { createRandom, drawNormal } from '../random.ts'

const CLASSIFIER_DEVIATION = 0.02

export function initialVector(layout: Layout, seed: number, kernel: KernelExports): Float32Array {
  const vector = new Float32Array(layout.count)
  layout.entries.forEach(({ name, shape, offset, count }, index) => {
    if (name.endsWith('.lora_A')) {
      const random = createRandom(seed, 'adapter', index)
      const bound = 1 / Math.sqrt(shape[1])
      for (let i = 0; i < count; i++) vector[offset + i] = bound * (2 * random.uniform() - 1)
    } else if (name === 'classifier.weight') {
      const random = createRandom(seed, 'classifier')
      for (let i = 0; i < count; i++) vector[offset + i] = CLASSIFIER_DEVIATION * drawNormal(random, kernel.log64)
    }
  })
  return vector
}
