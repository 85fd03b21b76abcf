/** BERT-base as a directory: its sizes, the bundled words, weights drawn from a seed. */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ModelConfig } from '../../runtime/model/config.ts'
import { formatConfig } from '../../runtime/model/config.ts'
import { blockTensors, embeddingTensors, poolerTensors } from '../../runtime/model/names.ts'
import { createRandom } from '../../runtime/random.ts'
import { encodeSafetensors } from '../../runtime/wire/safetensors.ts'

const BUNDLED = new URL('../../runtime/bundled/', import.meta.url)
const CONFIG: ModelConfig = {
  vocabSize: 30522, hiddenSize: 768, layers: 12, heads: 12, intermediateSize: 3072, positionsMax: 512, typesMax: 2, layerNormEps: 1e-12, labels: [],
}
/** BERT's initial weights have a deviation of 0.02; drawn once so many, then taken again. */
const DEVIATION = 0.02
const DRAWN = 1 << 20

/** Writes it into `at`, 438 MB. */
export function writeBert(at: string, seed = 1): void {
  mkdirSync(at, { recursive: true })
  const random = createRandom(seed, 'weights')
  // The sum of three has a variance of a quarter.
  const drawn = Float32Array.from({ length: DRAWN }, () => 2 * DEVIATION * (random.uniform() + random.uniform() + random.uniform() - 1.5))
  const shapes = [
    ...embeddingTensors(CONFIG), ...Array.from({ length: CONFIG.layers }, (_, block) => blockTensors(CONFIG, block)).flat(), ...poolerTensors(CONFIG),
  ]
  const tensors = shapes.map(({ name, shape }) => {
    const values = new Float32Array(shape.reduce((product, size) => product * size, 1))
    if (name.endsWith('LayerNorm.weight')) values.fill(1)
    else if (!name.endsWith('.bias')) for (let at = 0; at < values.length; at += DRAWN) values.set(drawn.subarray(0, values.length - at), at)
    return { name: `bert.${name}`, dtype: 'F32' as const, shape: [...shape], data: new Uint8Array(values.buffer) }
  })
  writeFileSync(join(at, 'model.safetensors'), encodeSafetensors(tensors))
  writeFileSync(join(at, 'config.json'), formatConfig(CONFIG))
  copyFileSync(fileURLToPath(new URL('base/vocab.txt', BUNDLED)), join(at, 'vocab.txt'))
}

/** `count` texts of at least `words` words with labels, made of the bundled sentences. */
export function writeLongTexts(path: string, count: number, words: number): void {
  const lines = readFileSync(fileURLToPath(new URL('emotions/train.txt', BUNDLED)), 'utf8').trim().split('\n').map((line) => line.split(';'))
  const texts = Array.from({ length: count }, (_, index) => {
    const joined: string[] = []
    for (let next = index * 7; joined.length < words; next++) joined.push(...lines[next % lines.length][0].split(' '))
    return `${joined.slice(0, words).join(' ')};${lines[index][1]}`
  })
  writeFileSync(path, `${texts.join('\n')}\n`)
}
